"""Poisson blending: a part of one image put into another, seamlessly (Perez et al. 2003).

In the mask the result has the gradients of the foreground, at its edge the background's colours.
Two solvers of the same equations: `multigrid` (conjugate gradients preconditioned by multigrid)
and `adam`, which minimises the squared error of the Laplacian, as the classical exercise does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pix2pix_jax.blending import multigrid, polygons
from pix2pix_jax.runtime import few_shapes

SOLVERS = ("multigrid", "adam")
FORMER_NAMES = {"direct": "multigrid", "gradient": "adam"}  # of the solvers; still accepted
TOLERANCE = 1e-4  # of the residual, relative to that of the foreground pasted as it is
MAX_ITERATIONS = 200
ADAM_ITERATIONS = 5000
ADAM_RATE = 1e-2  # of intensities in [0, 1]; a tenth of it in the last third
START = 0.1  # weight of the foreground in what Adam starts from
PADDED_TO = 64  # sizes are rounded up to multiples, so that few are compiled
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Blend(NamedTuple):
    """A blended image and how well it solves the equations."""

    image: np.ndarray  # uint8 [H, W, C], the background's size
    residual: float  # norm before rounding, relative to that of the pasted foreground
    iterations: int


def blend(
    foreground: np.ndarray,
    background: np.ndarray,
    mask: np.ndarray,
    offset: tuple[int, int] = (0, 0),
    solver: str = "multigrid",
    mixed: bool = False,
    tolerance: float = TOLERANCE,
) -> Blend:
    """Blends the masked part of the foreground into the background.

    Neighbours beyond the background do not count (equation 7), so a mask may touch its border;
    what the offset moves out of the background is cut off.

    Args:
        foreground: uint8 [h, w, C].
        background: uint8 [H, W, C].
        mask: [h, w], bool or uint8; True or more than 127 is taken from the foreground.
        offset: (x, y) in the background of the foreground's upper left pixel.
        solver: multigrid or adam.
        mixed: take the larger of both images' gradients (equation 12), pixel by pixel: for
            foregrounds with holes or on a flat ground.
        tolerance: of `multigrid`, see TOLERANCE.

    Raises:
        ValueError: there is no such solver, mask and foreground differ in size, the mask is empty
            or lies outside the background, or nothing of the background would be left.
    """
    solver = FORMER_NAMES.get(solver, solver)
    if solver not in SOLVERS:
        raise ValueError(f"the solver is {solver!r}; choose one of {', '.join(SOLVERS)}")
    foreground, inside = _placed(foreground, background, mask, offset)
    rows, columns = _box(inside)
    problem = _Problem(
        foreground[rows, columns],
        background[rows, columns],
        inside[rows, columns],
        _all_neighbours(inside.shape)[rows, columns],
    )
    height, width = problem.inside.shape
    padded = jax.tree.map(_padded, problem)
    if solver == "multigrid":
        part, residual, iterations = _solve_multigrid(padded, mixed=mixed, tolerance=tolerance)
    else:
        part, residual, iterations = _solve_adam(padded, mixed=mixed)
    # By NumPy: JAX would compile, and keep, a program for each size.
    levels = np.asarray(part)[:height, :width].round().clip(0, 255).astype(np.uint8)
    image = background.copy()
    image[rows, columns] = np.where(problem.inside[..., None], levels, image[rows, columns])
    return Blend(image, float(residual), int(iterations))


class _Problem(NamedTuple):
    """The box of the background around the mask, with a rim of fixed pixels where there are any."""

    foreground: np.ndarray  # [h, w, C]
    background: np.ndarray
    inside: np.ndarray  # bool [h, w]: the unknown pixels
    neighbours: np.ndarray  # bool [h, w, 4]: which neighbours the background has


def _placed(foreground, background, mask, offset):
    """Foreground and mask as images of the background's size."""
    if foreground.shape[:2] != mask.shape[:2]:
        sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (mask, foreground)]
        raise ValueError(f"the mask is {sizes[0]}, and the foreground {sizes[1]}: they must agree")
    mask = mask if mask.dtype == bool else mask > 127
    if not mask.any():
        raise ValueError("the mask is empty: it has no pixel over 127")
    if not polygons.reachable(*offset):
        raise ValueError(f"the offset {offset[0]},{offset[1]} {polygons.OUT_OF_REACH}")
    (x, y), (height, width) = map(int, offset), background.shape[:2]
    # Beyond the foreground its edge is repeated, so gradients there are zero.
    rows = np.clip(np.arange(height) - y, 0, mask.shape[0] - 1)
    columns = np.clip(np.arange(width) - x, 0, mask.shape[1] - 1)
    known = (rows + y == np.arange(height))[:, None] & (columns + x == np.arange(width))
    inside = mask[rows[:, None], columns] & known
    if not inside.any():
        raise ValueError(
            f"the offset {x},{y} moves the whole mask out of the background, which is "
            f"{width}x{height}"
        )
    if inside.all():
        raise ValueError(
            "the mask covers the whole background, so no pixel is left to take the colours "
            "from: use a smaller mask"
        )
    return foreground[rows[:, None], columns], inside


def _box(inside):
    """Rows and columns of the mask with one pixel around it."""
    found = []
    for axis in (1, 0):
        where = np.flatnonzero(inside.any(axis))
        found.append(slice(max(where[0] - 1, 0), where[-1] + 2))
    return found


def _all_neighbours(shape):
    """bool [H, W, 4]: whether a pixel has a neighbour in each direction of NEIGHBOURS."""
    y, x = np.indices(shape)
    places = [(y + dy, x + dx) for dy, dx in NEIGHBOURS]
    return np.stack(
        [(y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1]) for y, x in places], axis=-1
    )


def _padded(x):
    pads = [(0, -size % PADDED_TO) for size in x.shape[:2]] + [(0, 0)] * (x.ndim - 2)
    return np.pad(x, pads)


def _neighbour(x, direction):
    """Every pixel's neighbour in a direction; at the border it wraps around."""
    return jnp.roll(x, [-d for d in direction], axis=(0, 1))


def _laplacian(f, neighbours):
    """Sum of differences to all neighbours, [H, W, C]."""
    return sum(
        neighbours[..., i : i + 1] * (f - _neighbour(f, direction))
        for i, direction in enumerate(NEIGHBOURS)
    )


def _equations(problem, mixed):
    """float32 foreground, background, inside and neighbours, and the Laplacian to reach."""
    foreground, background, inside, neighbours = (
        jnp.asarray(x, jnp.float32) for x in problem._replace(inside=problem.inside[..., None])
    )
    wanted = 0
    for i, direction in enumerate(NEIGHBOURS):
        step = foreground - _neighbour(foreground, direction)
        if mixed:
            other = background - _neighbour(background, direction)
            step = jnp.where(jnp.abs(other) > jnp.abs(step), other, step)
        wanted += neighbours[..., i : i + 1] * step
    return foreground, background, inside, neighbours, wanted


@few_shapes.jit
def _solve_multigrid(problem, mixed, tolerance):
    """Solves for what is added to the pasted foreground: that is smooth, so float32 is enough."""
    foreground, background, inside, neighbours, wanted = _equations(problem, mixed)
    pasted = inside * foreground + (1 - inside) * background
    b = inside * (wanted - _laplacian(pasted, neighbours))
    count = neighbours.sum(-1)
    added, residual, iterations = multigrid.solve(
        inside[..., 0], count, jnp.moveaxis(b, -1, 0), tolerance, MAX_ITERATIONS
    )
    return pasted + jnp.moveaxis(added, 0, -1), residual.max(), iterations.max()


@few_shapes.jit
def _solve_adam(problem, mixed):
    """Adam on the mean squared error of the Laplacian inside, over the pixels inside."""
    foreground, background, inside, neighbours, wanted = _equations(problem, mixed)
    pasted = inside * foreground + (1 - inside) * background
    first = wanted - _laplacian(pasted, neighbours)
    count = inside.sum() * foreground.shape[-1]

    def loss(f):
        error = inside * (_laplacian(f, neighbours) - wanted / 255)
        return jnp.square(error).sum() / count

    rate = optax.piecewise_constant_schedule(ADAM_RATE, {ADAM_ITERATIONS * 2 // 3: 0.1})
    adam = optax.adam(rate)

    def step(_, carry):
        f, state = carry
        updates, state = adam.update(inside * jax.grad(loss)(f), state)
        return f + updates, state

    start = background + inside * START * (foreground - background)
    f, _ = jax.lax.fori_loop(0, ADAM_ITERATIONS, step, (start / 255, adam.init(start)))
    norm = lambda x: jnp.sqrt(jnp.square(inside * x).sum((0, 1)))
    last = wanted - _laplacian(f * 255, neighbours)
    residual = norm(last) / jnp.maximum(norm(first), 1e-6)
    return f * 255, residual.max(), ADAM_ITERATIONS
