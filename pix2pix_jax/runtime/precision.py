"""How exactly an accelerator computes float32 convolutions and matrix products."""

import contextlib

import jax

PRECISIONS = ("default", "highest")  # values of train.precision


def computing(precision: str) -> contextlib.AbstractContextManager:
    """Context in which functions are traced whose products are to have this precision.

    "default" leaves the choice to JAX: TF32 on NVIDIA GPUs (10 bits of the factors' mantissas),
    one pass of bfloat16 on TPUs (7 bits). "highest" is float32 on both: no TF32, six passes of
    bfloat16. It is written into the convolutions and products of the program, those of derivatives
    too, and changes nothing else; a CPU computes in float32 either way.

    The context belongs inside of the function that is jitted, for that is when it is traced.
    """
    if precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(precision)
