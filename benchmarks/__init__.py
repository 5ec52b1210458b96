"""Timings beside PyTorch; README.md has the results."""
