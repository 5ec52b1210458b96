"""The programs of training and translation, traced for devices that need not be there."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, SingleDeviceSharding

from configs import cut, cyclegan, facades
from pix2pix_jax import dispatch
from pix2pix_jax.data import loading
from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.translation.translator import make_translate

CONFIGS = {
    "pix2pix": facades.get_config,
    "cyclegan": cyclegan.base,
    "cut": cut.base,
    "fastcut": lambda: cut.base(fast=True),
}
EXAMPLES = 400  # in the cache, as facades has them
STEPS = 20  # in a dispatch, as `dispatch.fused_steps` has them on an accelerator


def config_of(name: str, batch: int, dtype: str) -> Any:
    """The paper's recipe, on data that need no file.

    Args:
        name: of CONFIGS.
        batch: images in a batch, over all devices.
        dtype: of the computation.
    """
    config = CONFIGS[name]()
    config.data.name, config.data.synthetic_train = "synthetic", 2
    config.train.batch_size = config.eval.batch_size = batch
    config.model.dtype = dtype
    return config


def training(config: Any, devices: list[jax.Device]) -> jax.stages.Lowered:
    """One dispatch of STEPS steps, over data that lie on every device."""
    data, kind = config.data, METHODS[config.method].data
    examples = loading.load_examples(data, config.seed, "train", train=True, kind=kind)
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    run_steps = dispatch.make_run_steps(config, examples, mesh)
    cache = jax.tree.map(lambda x: _abstract(x, EXAMPLES, *x.shape[1:]), examples.cache)
    chunk = jax.tree.map(
        lambda x: _abstract(x, *x.shape), examples.chunk(0, STEPS, config.train.batch_size)
    )
    return run_steps.lower(abstract_state(config), cache, chunk, None)


def translation(config: Any, device: jax.Device) -> jax.stages.Lowered:
    """A batch of images through the generator, on one device."""
    direction = METHODS[config.method].directions(config)[0]
    variables = abstract_state(config).networks[direction.generator].variables
    batch, size = config.eval.batch_size, config.data.crop_size
    images = jax.ShapeDtypeStruct((batch, *size, direction.in_channels), np.uint8)
    indices = jax.ShapeDtypeStruct((batch,), np.int32)
    sample = jax.ShapeDtypeStruct((), np.int32)
    run = jax.jit(make_translate(config, direction), in_shardings=SingleDeviceSharding(device))
    return run.lower(variables, images, indices, sample)


def _abstract(x, *shape):
    return jax.ShapeDtypeStruct(shape, x.dtype)
