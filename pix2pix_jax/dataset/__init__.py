"""Folders of images before training: looked through, paired, prepared, shown on one sheet."""
