"""--mode=export --format=stablehlo: trained generators as programs that JAX alone can run.

from jax import export
model = export.deserialize(open("facades.stablehlo", "rb").read())
photos = model.call(labels)                                        without dropout
photos = model.call(labels, jax.random.split(key, len(labels)))    with dropout
"""

import json
import pathlib
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from pix2pix_jax.export.description import describe, is_random, least_multiple
from pix2pix_jax.export.files import export_each
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import make_generate
from pix2pix_jax.settings import config_checks

PLATFORMS = ("cpu", "cuda", "tpu")
LEAST_SIDE = 8  # pixels: a reflected border must be narrower than the image


def export_stablehlo(config: Any, workdir: str, output: str) -> list[pathlib.Path]:
    """Writes the generators of `config.eval.direction`, and what to know of each as a .json.

    They take and give images float32 [N, H, W, C] in [-1, 1], of any number, height and width
    (multiples of the divisor). With eval.dropout they also take a random key for each image.

    Returns:
        the files, one for each direction.

    Raises:
        ValueError, OSError: as `weights.load_generators`.
    """
    config_checks.check(config)

    def make(direction, variables):
        facts = describe(config, direction) | {"takes_keys": is_random(config)}
        program = make_program(config, direction, variables).serialize()
        text = json.dumps(facts, indent=2) + "\n"
        return {".stablehlo": program, ".json": text.encode()}, ""

    return export_each(config, workdir, output, make)


def make_program(config: Any, direction: Direction, variables: Any) -> jax.export.Exported:
    """One direction with its weights, for all PLATFORMS and sizes, as `make_generate` gives it."""
    facts = describe(config, direction)
    generate = make_generate(config, direction)
    variables = jax.device_get(variables)

    def translate(images, keys=None):
        if keys is None:  # of noise that is off
            keys = jax.random.wrap_key_data(jnp.zeros((images.shape[0], 2), jnp.uint32))
        return generate(variables, images, keys)

    divisor = facts["divisor"]
    least = least_multiple(config, direction, LEAST_SIDE)
    n, rows, columns = jax.export.symbolic_shape(
        "n, rows, columns", constraints=[f"rows >= {least}", f"columns >= {least}"]
    )
    shape = (n, divisor * rows, divisor * columns, facts["in_channels"])
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32)]
    if is_random(config):
        arguments.append(jax.ShapeDtypeStruct((n,), jax.random.key(0).dtype))
    return jax.export.export(jax.jit(translate), platforms=PLATFORMS)(*arguments)
