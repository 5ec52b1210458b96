"""train.precision, in the programs that are compiled for GPUs and TPUs."""

import json
import re

import jax
import numpy as np
import pytest

from pix2pix_jax import dispatch
from pix2pix_jax.data import loading
from pix2pix_jax.export import stablehlo
from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.metrics.batches import in_batches
from pix2pix_jax.run import config_file
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation.translator import make_translate
from tests.conftest import small_config

PRODUCT = r"stablehlo\.(?:convolution|dot_general)\(?[^\n]*"  # an operation, on its line


def training_program(platform, **fields):
    """What a dispatch of two steps lowers to, with the gradient penalty's second derivatives."""
    config = small_config(**{"loss.gan_mode": "wgangp", **fields})
    examples = loading.load_examples(config.data, config.seed, "train", train=True)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    run_steps = dispatch.make_run_steps(config, examples, mesh)
    arguments = abstract_state(config), examples.cache, examples.chunk(0, 2, 1), None
    return run_steps.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def translation_program(platform, **fields):
    config = small_config(**fields)
    (direction,) = METHODS[config.method].directions(config)
    variables = abstract_state(config).networks["G"].variables
    images, indices = np.zeros((2, 32, 32, 3), np.uint8), np.arange(2)
    traced = jax.jit(make_translate(config, direction)).trace(variables, images, indices, 0)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def exported_program(platform, **fields):
    del platform  # it is for all
    config = small_config(**fields)
    (direction,) = METHODS[config.method].directions(config)
    zeros = lambda leaf: np.zeros(leaf.shape, leaf.dtype)
    variables = jax.tree.map(zeros, abstract_state(config).networks["G"].variables)
    return stablehlo.make_program(config, direction, variables).mlir_module()


@pytest.mark.parametrize("program", [training_program, translation_program, exported_program])
def test_highest_is_in_every_product(program):
    """In the convolutions of both derivatives too, which have a rule of their own."""
    text = program("cuda", **{"train.precision": "highest"})
    products = re.findall(PRODUCT, text)
    assert len(products) > (50 if program is training_program else 8)
    assert all(product.count("HIGHEST") == 2 for product in products)


def test_default_leaves_the_choice_to_jax():
    """Nothing is said in the program but what JAX was told for all programs."""
    plain = translation_program("tpu")
    assert "HIGHEST" not in plain and plain.count("DEFAULT") == 2 * len(re.findall(PRODUCT, plain))
    with jax.default_matmul_precision("tensorfloat32"):
        assert translation_program("tpu") == plain.replace("DEFAULT", "HIGH")


def test_metrics_are_always_float32():
    product = jax.jit(lambda x: x @ x.T)
    made = in_batches(lambda x: np.array([product.lower(x).as_text()]), 2, np.ones((2, 2)))
    assert made[0].count("HIGHEST") == 2


def test_the_run_keeps_it_and_a_former_run_has_the_default(tmp_path):
    config = small_config(**{"train.precision": "highest"})
    config_file.write_config(tmp_path, config)
    assert config_file.read_config(tmp_path)["train"]["precision"] == "highest"
    lines = config_file.check_same_network(tmp_path, small_config(), part="state")
    assert lines == ["config.train.precision was highest, is now default"]
    stored = config_file.read_config(tmp_path)
    del stored["train"]["precision"]
    (tmp_path / config_file.CONFIG_FILE).write_text(json.dumps(stored))
    assert config_file.check_same_network(tmp_path, small_config(), part="state") == []


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"train.precision": "high"}, "precision is 'high': did you mean highest"),
        (
            {"train.precision": "highest", "model.dtype": "bfloat16"},
            "highest is about float32, so set one of them to its default",
        ),
    ],
)
def test_precisions_that_there_are_not(fields, words):
    with pytest.raises(ValueError, match=words):
        config_checks.check(small_config(**fields))


def test_a_field_that_has_become_empty(tmp_path):
    config_file.write_config(tmp_path, small_config(init_from="G.pth"))
    lines = config_file.check_same_network(tmp_path, small_config(), part="state")
    assert lines == ["config.init_from was G.pth, is now empty, which only a new run reads"]
