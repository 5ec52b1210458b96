"""Measures what networks make of a split: --mode=eval, and validation in training."""
