"""What is static about a convolution."""

from typing import NamedTuple


class Geometry(NamedTuple):
    """Static part of a convolution of x [N, H, W, I] to y [N, h, w, O]."""

    height: int  # rows of x
    width: int  # columns of x
    kernel: int  # rows and columns of the kernel
    stride: int
    padding: int  # zeros added on every side of x

    @property
    def out_height(self) -> int:
        """Rows of y."""
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of y."""
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1
