"""The methods by the name that `config.method` gives, and what is made of one: state, functions."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from pix2pix_jax.methods import (
    average,
    colorization,
    cut,
    cyclegan,
    inpainting,
    pix2pix,
    pix2pixhd,
    regression,
)
from pix2pix_jax.methods.contract import GENERATOR, Direction, Generate, Layout, Method, Step
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.state import NetworkState, TrainState, apply, create_network
from pix2pix_jax.models.normalization import sharing
from pix2pix_jax.runtime import precision, random_streams

METHODS: dict[str, Method] = {
    "pix2pix": pix2pix.METHOD,
    "cyclegan": cyclegan.METHOD,
    "cut": cut.METHOD,
    "pix2pixhd": pix2pixhd.METHOD,
    "regression": regression.METHOD,
    "inpainting": inpainting.METHOD,
    "colorization": colorization.METHOD,
}


def fresh_state(config: Any) -> TrainState:
    """The state before the first step, drawn from `config.seed`, as host arrays."""
    # A program for each network: each layer alone would be compiled, and computed, for its shape
    # only. Networks that are alike, as CycleGAN's two generators, share one.
    key = random_streams.stream(config.seed, random_streams.INITIALISATION)
    programs, create = {}, {}
    for name, create_one in _creating(config).items():
        lowered = jax.jit(create_one).lower(key)
        text = lowered.as_text()
        programs[text] = programs.get(text) or lowered.compile()
        create[name] = programs[text]
    return jax.device_get(_state(config, key, create))


def abstract_state(config: Any) -> TrainState:
    """Shapes and dtypes of `fresh_state`.

    Raises:
        ValueError: a network that cannot be, or cannot take the size of the crop.
    """
    return _abstract_state(ml_collections.FrozenConfigDict(config))


@functools.lru_cache(maxsize=8)  # asked for several times at a run's start, 0.2 s each
def _abstract_state(config):
    return jax.eval_shape(lambda key: create_state(config, key), jax.random.key(0))


def create_state(config: Any, key: jax.Array) -> TrainState:
    """Freshly initialised networks, each from a key of its own, and what the method adds."""
    return _state(config, key, _creating(config))


def _creating(config: Any) -> dict[str, Callable[[jax.Array], NetworkState]]:
    """Functions of a key that return the networks of `config`, by name."""
    networks = METHODS[config.method].networks(config, 1)
    create = lambda network, key: create_network(network.module, config.optim, key, network.shape)
    return {name: functools.partial(create, network) for name, network in networks.items()}


def _state(config, key, create):
    networks = {name: one(random_streams.named(key, name)) for name, one in create.items()}
    extra = METHODS[config.method].extra_state(config)
    extra |= average.start(config.optim, networks, generator_names(config))
    return TrainState(jnp.zeros((), jnp.int32), networks, Plateau.create(), extra)


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The training step of the config's method, in its precision and with its average."""
    step = METHODS[config.method].make_train_step(config, num_examples, layout)
    return _computing(config, average.with_average(config, step))


def make_generate(config: Any, direction: Direction) -> Generate:
    """The translation of the config's method, in its precision."""
    return _computing(config, METHODS[config.method].make_generate(config, direction))


def make_statistics(config: Any, direction: Direction) -> Callable[..., Any] | None:
    """What lets parts of an image be translated by statistics that they share.

    Returns:
        (variables of the generator, parts [N, H, W, I] in [-1, 1], key) -> variables with the
        statistics of all parts together, for `make_generate` with eval.norm_mode "shared". None
        where an image's own statistics play no part.
    """
    method = METHODS[config.method]
    module = method.networks(config, 1)[direction.generator].module
    if config.model.norm == "batch" and config.eval.norm_mode == "running":
        return None
    if (generator := sharing(module)) is module:
        return None

    def measure(variables, parts, key):
        settings = {"rngs": {"dropout": key}, "dropout": config.eval.dropout}
        _, found = apply(generator, variables, method.prepare(config, parts), **settings)
        return variables | {"batch_stats": found}

    return _computing(config, measure)


def _computing(config, function):
    """The function, traced with the precision that train.precision asks for."""

    def computed(*args):
        with precision.computing(config.train.precision):
            return function(*args)

    return computed


def generator_names(config: Any) -> list[str]:
    """Names of the networks that are generators."""
    networks = METHODS[config.method].networks(config, 1)
    return [name for name, network in networks.items() if network.role == GENERATOR]
