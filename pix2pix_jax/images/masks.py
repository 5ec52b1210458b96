"""Random holes: rectangles and free-form strokes, each of the wanted share of the image."""

import jax
import jax.numpy as jnp

KINDS = ("rectangle", "strokes", "both")
SEGMENTS = 48  # of the brush's path; the pen is lifted after every eighth
LIFTED_EVERY = 8
BISECTIONS = 24  # as many bits of a float32
ASPECT = 2.0  # rectangles are up to so many times as long as wide


def draw(
    keys: jax.Array, height: int, width: int, kind: str, share: tuple[float, float]
) -> jax.Array:
    """Draws one mask for each key.

    Args:
        keys: random keys [N].
        height: of each, pixels.
        width: of each, pixels.
        kind: rectangle, strokes, or both (each with probability 1/2).
        share: smallest and largest share of the image that is hole; it is uniform between.

    Returns:
        float32 [N, height, width, 1]: 1 in the hole.
    """
    one = lambda key: _draw_one(key, height, width, kind, share)
    return jax.vmap(one)(keys)[..., None]


def _draw_one(key, height, width, kind, share):
    share_key, kind_key, shape_key = jax.random.split(key, 3)
    part = jax.random.uniform(share_key, minval=share[0], maxval=share[1])
    if kind == "both":
        rectangle = _rectangle(shape_key, height, width, part)
        strokes = _strokes(shape_key, height, width, part)
        return jnp.where(jax.random.bernoulli(kind_key), rectangle, strokes)
    return {"rectangle": _rectangle, "strokes": _strokes}[kind](shape_key, height, width, part)


def _rectangle(key, height, width, share):
    """One rectangle of the wanted area, anywhere inside the image."""
    aspect_key, corner_key = jax.random.split(key)
    log_aspect = jax.random.uniform(aspect_key, minval=-1.0, maxval=1.0) * jnp.log(ASPECT)
    area = share * height * width
    # Sides that the image cannot hold are cut, and the other one made up for it.
    rows = jnp.clip(jnp.sqrt(area * jnp.exp(log_aspect)), area / width, height)
    rows, columns = jnp.maximum(jnp.round(jnp.stack([rows, area / rows])), 1)
    corner = jax.random.uniform(corner_key, (2,)) * jnp.stack([height - rows, width - columns])
    top, left = jnp.round(corner)
    y, x = jnp.arange(height)[:, None], jnp.arange(width)
    inside = (y >= top) & (y < top + rows) & (x >= left) & (x < left + columns)
    return inside.astype(jnp.float32)


def _strokes(key, height, width, share):
    """Strokes of a round brush, along a random path that ends when the share is painted.

    Every pixel has a time, at which the brush first covers it; the hole is made of the earliest.
    """
    start_key, angle_key, turn_key, length_key, radius_key = jax.random.split(key, 5)
    size = jnp.array([height, width], jnp.float32)
    scale = jnp.minimum(size[0], size[1])
    num_strokes = SEGMENTS // LIFTED_EVERY
    starts = jax.random.uniform(start_key, (num_strokes, 1, 2)) * size
    shape = (num_strokes, LIFTED_EVERY)
    turns = jax.random.normal(turn_key, shape) * 0.8
    angles = jax.random.uniform(angle_key, (num_strokes, 1), maxval=2 * jnp.pi)
    angles = angles + jnp.cumsum(turns, axis=1)
    lengths = scale * jax.random.uniform(length_key, shape, minval=0.05, maxval=0.25)
    steps = jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1) * lengths[..., None]
    ends = jnp.clip(starts + jnp.cumsum(steps, axis=1), 0, size - 1)
    begins = jnp.concatenate([starts, ends[:, :-1]], axis=1)
    # Wider brushes for larger holes, so that the path can paint any share.
    radii = scale * jax.random.uniform(radius_key, (num_strokes, 1), minval=0.02, maxval=0.05)
    radii = jnp.broadcast_to(radii + 0.12 * scale * share, shape)

    y = jnp.arange(height, dtype=jnp.float32)[:, None]
    x = jnp.arange(width, dtype=jnp.float32)

    def paint(times, stroke):
        # Written out segment by segment, so that XLA makes one loop over the pixels of a stroke.
        for number, begin, end, radius in zip(*stroke, strict=True):
            dy, dx = end - begin
            along = (y - begin[0]) * dy + (x - begin[1]) * dx
            place = jnp.clip(along / jnp.maximum(dy * dy + dx * dx, 1e-6), 0, 1)
            distance = jnp.hypot(y - begin[0] - place * dy, x - begin[1] - place * dx)
            # What the path never reaches is painted last, the nearest first.
            late = SEGMENTS + distance - radius
            times = jnp.minimum(times, jnp.where(distance <= radius, number + place, late))
        return times, None

    numbers = jnp.arange(SEGMENTS, dtype=jnp.float32).reshape(shape)
    unpainted = jnp.full((height, width), jnp.inf)
    times, _ = jax.lax.scan(paint, unpainted, (numbers, begins, ends, radii))
    return (times <= _smallest(times, jnp.round(share * times.size))).astype(jnp.float32)


def _smallest(x, count):
    """The value that about `count` elements of x do not exceed, by bisection: no sort."""

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        enough = (x <= middle).sum() >= count
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    return jax.lax.fori_loop(0, BISECTIONS, halve, (x.min(), x.max()))[1]
