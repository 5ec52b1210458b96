"""Poisson's equation on any set of pixels: conjugate gradients preconditioned by multigrid.

The system is  count_p f_p - sum of f_q over the neighbours q of p inside  =  b_p  for every pixel
p inside, with `count` the number of neighbours of p in the image (Perez et al. 2003, equation 7).
Red-black Gauss-Seidel smooths; the V-cycle is symmetric, as conjugate gradients require.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

COARSEST = 8  # pixels; the last level is solved by a dense inverse


class Level(NamedTuple):
    """One grid [H, W] of the hierarchy."""

    inside: jax.Array  # 1 for the unknowns, else 0
    right: jax.Array | None  # weight of the link to the pixel on the right; None: 1
    below: jax.Array | None
    diagonal: jax.Array
    red: jax.Array  # 1 / diagonal on the red squares of the chequerboard, else 0
    black: jax.Array
    inverse: jax.Array | None  # [H W, H W]; only the last grid has it


def solve(
    inside: jax.Array, count: jax.Array, b: jax.Array, tolerance: float, max_iterations: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Solves the system for several right-hand sides in turn, starting from zero. Can be jitted.

    Args:
        inside: float32 [H, W], 1 for the unknowns, else 0.
        count: float32 [H, W], neighbours of each pixel in the image; at least one unknown must have
            a neighbour outside, or the system has no unique solution.
        b: float32 [C, H, W], 0 outside.
        tolerance: of the residual's norm over that of b.
        max_iterations: upper limit on conjugate-gradient iterations.

    Returns:
        f [C, H, W], 0 outside; the relative residuals [C]; iterations [C].
    """
    levels = hierarchy(inside, count)
    return lax.map(lambda b: _conjugate_gradient(levels, b, tolerance, max_iterations), b)


def _conjugate_gradient(levels, b, tolerance, max_iterations):
    dot = lambda x, y: jnp.sum(x * y)
    wanted = tolerance**2 * dot(b, b)

    def unfinished(state):
        _, residual, _, _, iteration = state
        return (iteration < max_iterations) & (dot(residual, residual) > wanted)

    def iterate(state):
        f, residual, direction, old, iteration = state
        z = v_cycle(levels, residual)
        new = dot(residual, z)
        direction = z + new / old * direction
        image = apply(levels[0], direction)
        step = new / dot(direction, image)
        return f + step * direction, residual - step * image, direction, new, iteration + 1

    zero = jnp.zeros_like(b)
    start = (zero, b, zero, jnp.float32(1), jnp.int32(0))
    f, residual, _, _, iterations = lax.while_loop(unfinished, iterate, start)
    norm = jnp.sqrt(dot(b, b))
    return f, jnp.sqrt(dot(residual, residual)) / jnp.where(norm > 0, norm, 1), iterations


def hierarchy(inside: jax.Array, count: jax.Array) -> list[Level]:
    """The system on grids each half the size of the one before, down to `COARSEST` pixels.

    A coarse pixel is inside if any of its four pixels is; a link between coarse pixels has half
    the summed weight of the two fine links across their edge, as rediscretisation gives. Links
    to fixed pixels span half a pixel, so they weigh less the coarser the grid.
    """
    right = inside * _shifted(inside, 0, -1)
    below = inside * _shifted(inside, -1, 0)
    fixed = inside * count - _links(right, below)
    levels = []
    while True:
        level = len(levels)
        weight = fixed / (2.0 ** (level - 1) + 0.5) if level else fixed
        diagonal = _links(right, below) + weight
        inverse = jnp.where((inside > 0) & (diagonal > 0), 1 / jnp.maximum(diagonal, 1e-6), 0)
        height, width = inside.shape
        odd = (jnp.arange(height)[:, None] + jnp.arange(width)) % 2
        links = (right, below) if level else (None, None)
        grid = Level(inside, *links, diagonal, inverse * (1 - odd), inverse * odd, None)
        if max(inside.shape) <= COARSEST:
            return [*levels, grid._replace(inverse=_inverse(grid))]
        levels.append(grid)
        even = ((0, height % 2), (0, width % 2))
        right, below, inside, fixed = (jnp.pad(x, even) for x in (right, below, inside, fixed))
        right = (right[0::2, 1::2] + right[1::2, 1::2]) / 2
        below = (below[1::2, 0::2] + below[1::2, 1::2]) / 2
        inside, fixed = jnp.minimum(_sum_of_four(inside), 1), _sum_of_four(fixed)


def _inverse(level):
    """The inverse of the system on a grid as a matrix, zero for pixels outside."""
    size, inside = level.inside.size, level.inside.ravel()
    basis = jnp.eye(size).reshape(size, *level.inside.shape)
    columns = jax.vmap(lambda f: apply(level, level.inside * f).ravel())(basis)
    solved = (level.diagonal > 0).ravel() * inside
    return jnp.linalg.inv(columns + jnp.diag(1 - solved)) * (solved * solved[:, None])


def apply(level: Level, f: jax.Array) -> jax.Array:
    """The left-hand side of the system for f [H, W], which is 0 outside."""
    return level.inside * (level.diagonal * f - _neighbours(level, f))


def v_cycle(levels: list[Level], b: jax.Array) -> jax.Array:
    """Approximately solves the system on levels[0] from zero, with the help of the coarser ones."""
    level = levels[0]

    def sweep(color, f):
        return f + color * (b + _neighbours(level, f) - level.diagonal * f)

    if level.inverse is not None:
        return (level.inverse @ b.ravel()).reshape(b.shape)
    red = level.red * b
    black = level.black * (b + _neighbours(level, red))
    # After the black squares only the red ones have a residual.
    residual = jnp.where(level.red > 0, _neighbours(level, black), 0)
    coarse = v_cycle(levels[1:], _restricted(residual) * levels[1].inside)
    f = red + black + _interpolated(coarse, level.inside.shape) * level.inside
    return sweep(level.red, sweep(level.black, f))


def _shifted(x, down, right):
    """Shifts x by one pixel, filling with zeros."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(down, -down, 0), (right, -right, 0)])


def _links(right, below):
    """Sum of the weights of every pixel's links."""
    return right + _shifted(right, 0, 1) + below + _shifted(below, 1, 0)


def _neighbours(level, f):
    """Weighted sum of every pixel's neighbours, f being 0 outside."""
    if level.right is None:
        return _shifted(f, 0, 1) + _shifted(f, 0, -1) + _shifted(f, 1, 0) + _shifted(f, -1, 0)
    across = _shifted(level.right * f, 0, 1) + level.right * _shifted(f, 0, -1)
    return across + _shifted(level.below * f, 1, 0) + level.below * _shifted(f, -1, 0)


def _sum_of_four(x):
    return x[0::2, 0::2] + x[1::2, 0::2] + x[0::2, 1::2] + x[1::2, 1::2]


def _interpolated(coarse, shape):
    """Bilinear interpolation to twice the size, cut to `shape`."""
    for axis in (1, 0):
        down, right = (1, 0) if axis == 0 else (0, 1)
        low = 0.75 * coarse + 0.25 * _shifted(coarse, down, right)
        high = 0.75 * coarse + 0.25 * _shifted(coarse, -down, -right)
        size = [2 * n if i == axis else n for i, n in enumerate(coarse.shape)]
        coarse = jnp.stack([low, high], axis + 1).reshape(size)
    return coarse[: shape[0], : shape[1]]


def _restricted(fine):
    """The adjoint of `_interpolated`."""
    fine = jnp.pad(fine, ((0, fine.shape[0] % 2), (0, fine.shape[1] % 2)))
    for axis in (0, 1):
        down, right = (1, 0) if axis == 0 else (0, 1)
        low, high = (lax.slice_in_dim(fine, i, None, 2, axis) for i in (0, 1))
        others = _shifted(high, down, right) + _shifted(low, -down, -right)
        fine = 0.75 * (low + high) + 0.25 * others
    return fine
