"""Image files, their value ranges, sizes and colours, and holes in them."""
