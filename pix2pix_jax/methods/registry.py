"""What is trained, and how. Each method is a module with the same few things.

`create_state(config, key)` and `make_train_step(config, num_examples, groups)` are pure functions;
`DATA` says what a batch is made of (see `data.load`): pairs, sets, images or masked;
`translations(config)` lists what the trained generators can do, `make_translate` does it.
"""

import functools
from types import ModuleType
from typing import Any

import jax

from pix2pix_jax.methods import colorization, cyclegan, inpainting, pix2pix, regression
from pix2pix_jax.methods.state import TrainState

METHODS: dict[str, ModuleType] = {
    "pix2pix": pix2pix,
    "cyclegan": cyclegan,
    "regression": regression,
    "inpainting": inpainting,
    "colorization": colorization,
}


def fresh_state(config: Any) -> TrainState:
    """The state before the first step, drawn from `config.seed`, as host arrays."""
    # Compiled as one: each layer alone would be compiled, and computed, for its shape only.
    return jax.device_get(jax.jit(_create(config))(jax.random.key(config.seed)))


def abstract_state(config: Any) -> TrainState:
    """Shapes and dtypes of `fresh_state`.

    Raises:
        ValueError: a network that cannot be, or cannot take the size of the crop.
    """
    return jax.eval_shape(_create(config), jax.random.key(0))


def _create(config):
    return functools.partial(METHODS[config.method].create_state, config)
