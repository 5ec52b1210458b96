"""Poisson blending of images."""
