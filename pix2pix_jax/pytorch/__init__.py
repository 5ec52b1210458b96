"""PyTorch's weights: .pth files and the names in them."""
