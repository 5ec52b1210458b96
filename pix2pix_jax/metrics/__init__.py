"""Metrics of single images and of whole sets."""
