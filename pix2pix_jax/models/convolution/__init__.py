"""Convolution: the form, its derivative rule, and how a CPU computes it."""
