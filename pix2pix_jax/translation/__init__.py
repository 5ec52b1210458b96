"""Translates images, folders and videos: --mode=translate, and what others use of it."""
