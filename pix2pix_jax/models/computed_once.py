"""Values that are dear to compute again."""

import jax


def computed_once(x: jax.Array) -> jax.Array:
    """x, finite; on a CPU computed once, and not anew in each kernel that takes it.

    XLA's CPU backend repeats what is cheap in all kernels that take it, but no division.
    """
    divided = lambda x: x / (1 + 0 * x)
    return jax.lax.platform_dependent(x, cpu=divided, default=lambda x: x)
