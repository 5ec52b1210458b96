"""Trains ours and PyTorch's code from the same weights on the same batches, and compares both."""
