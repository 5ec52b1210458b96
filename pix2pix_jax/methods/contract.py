"""What a method of training provides. A file of this folder ends in one `Method`.

To add a method: write its file, register it in `registry.py`, give it a config and a test.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from pix2pix_jax.methods.state import TrainState

GENERATOR, DISCRIMINATOR, OTHER = "generator", "discriminator", "other"  # roles of networks

Batch = dict[str, jax.Array]  # float32 [N, H, W, C] in [-1, 1], by name
Losses = dict[str, jax.Array]  # by name, with their weights
Step = Callable[[TrainState, Batch], tuple[TrainState, Losses]]
# (variables, images [N, H, W, I], keys [N]) -> images [N, H, W, O], all in [-1, 1]
Generate = Callable[[Any, jax.Array, jax.Array], jax.Array]


class Network(NamedTuple):
    """A network of a method, before it has parameters."""

    role: str  # GENERATOR, DISCRIMINATOR or OTHER
    module: nn.Module
    shape: tuple[int, ...] | list[tuple[int, ...]]  # [1, H, W, C] of what it takes; of a list, each


class Layout(NamedTuple):
    """How a batch lies over devices."""

    groups: int = 1  # runs of images that batch norm normalises apart, one for each device
    # Constrains a batch [N, ...] to lie over all devices, each with its own images.
    spread: Callable[[jax.Array], jax.Array] = lambda images: images
    # Constrains a batch [N, ...] to lie whole on every device.
    gather: Callable[[jax.Array], jax.Array] = lambda images: images


class Direction(NamedTuple):
    """One way in which a trained method translates."""

    name: str  # "" where there is only one
    source: str  # images of an example that it takes
    target: str  # images of an example that it imitates
    generator: str  # network that does it
    in_channels: int  # of the image files that it takes
    out_channels: int
    inverse: "Direction | None" = None  # the way back, for reconstructions
    show_input: Callable[[np.ndarray], np.ndarray] = lambda images: images  # uint8 -> a picture
    # (image, its translation at another resolution, resized to its size) -> the translation with
    # what the method keeps of the image, both uint8 [H, W, C]
    keep: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda image, output: output


class Distance(NamedTuple):
    """The distance by which runs are compared: as it is validated, and as it is trained on."""

    metric: str  # of validation
    losses: dict[str, float]  # training losses of the same kind, whose mean it is, with weights


class Method(NamedTuple):
    """Pure functions of a config, and what the rest of the program must know of a method."""

    data: str  # what examples are: pairs, sets, images or masked (data/loading.py)
    # (config, groups) -> networks by name, those of the PyTorch code where it has them
    networks: Callable[[Any, int], dict[str, Network]]
    # (config) -> names of the losses of a step, in the order of reports
    loss_names: Callable[[Any], tuple[str, ...]]
    # (config, examples in an epoch, layout) -> the training step
    make_train_step: Callable[[Any, int, Layout], Step]
    directions: Callable[[Any], list[Direction]]  # (config) -> those that are asked for
    make_generate: Callable[[Any, Direction], Generate]  # (config, direction) -> pure function
    distance: Callable[[Any], Distance]  # (config) -> what runs are compared by
    # (config): raises ValueError for what only this method cannot do
    check: Callable[[Any], None] = lambda config: None
    update_orders: tuple[str, ...] = ("torch", "simultaneous")  # values of loss.update_order
    # (config) -> its own part of the train state, by name; a name is a name in checkpoints
    extra_state: Callable[[Any], dict[str, Any]] = lambda config: {}
    # Fields that networks beside the generators depend on, beside method, model and channels
    network_fields: tuple[str, ...] = ()
    # (config) -> fields that the rest of its state depends on
    state_fields: Callable[[Any], tuple[str, ...]] = lambda config: ()
    # (config, images [N, H, W, C] as files have them) -> what generators take, all in [-1, 1]
    prepare: Callable[[Any, jax.Array], jax.Array] = lambda config, images: images
    # (config) -> that of a training whose networks are parts of this one's; None without one
    first_phase: Callable[[Any], Any] = lambda config: None
    # (variables of its networks by name, fresh ones) -> the fresh ones with those parts
    grow: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda old, new: new
    # (config) -> whether a step has thousands of large matrix products, and few others
    many_products: Callable[[Any], bool] = lambda config: False
    has_holes: bool = False  # its source images have the hole as their last channel
