"""The StableHLO export, loaded in a process that knows JAX alone."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import torch

from benchmarks import torch_baseline
from pix2pix_jax import weights
from pix2pix_jax.export import stablehlo
from pix2pix_jax.methods.registry import METHODS
from tests import parity
from tests.conftest import small_config

SERVER = """
import sys
import numpy as np
import jax
from jax import export

model = export.deserialize(open("small_A2B.stablehlo", "rb").read())
keys = jax.random.split(jax.random.key(5), 2)
for name in ("small", "large"):
    np.save(f"{name}_out.npy", model.call(np.load(f"{name}.npy"), keys))
assert not any(name.startswith(("pix2pix_jax", "flax")) for name in sys.modules)
"""


def test_a_process_with_jax_alone_gives_our_images_at_two_sizes(tmp_path, capsys):
    """A CycleGAN generator with dropout, from a .pth."""
    torch.manual_seed(0)
    net = torch_baseline.ResnetGenerator(ngf=4, num_blocks=1, dropout=True)
    torch.save(net.state_dict(), tmp_path / "horse2zebra.pth")
    config = small_config(
        **{
            "method": "cyclegan",
            "init_from": str(tmp_path / "horse2zebra.pth"),
            "eval.direction": "A2B",
            "model.generator": "resnet_1blocks",
            "model.norm": "instance",
        }
    )
    (path,) = stablehlo.export_stablehlo(config, "none", str(tmp_path))
    assert f"wrote {path}" in capsys.readouterr().out
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["divisor"] == 4 and facts["takes_keys"] and facts["direction"] == "A2B"

    images = {"small": parity.images(2, 8, 12, 3), "large": parity.images(2, 20, 16, 3)}
    for name, array in images.items():
        np.save(tmp_path / f"{name}.npy", array)
    subprocess.run([sys.executable, "-c", SERVER], cwd=tmp_path, check=True)

    variables, _ = weights.load_generators(config, "none")
    generate = METHODS["cyclegan"].make_generate(config, *METHODS["cyclegan"].directions(config))
    ours = jax.jit(generate)
    keys = jax.random.split(jax.random.key(5), 2)
    for name, array in images.items():
        found = np.load(tmp_path / f"{name}_out.npy")
        np.testing.assert_allclose(found, ours(variables["G_A"], array, keys), atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({}, ["float32[n,32*rows,32*columns,3]", "key<fry>[n]"]),  # the U-Net, with dropout
        (
            {
                "method": "inpainting",
                "model.generator": "inpainting_unet",
                "model.norm": "none",
                "data.input_channels": 4,
                "data.crop_size": (64, 64),
            },
            ["float32[n,64*rows,64*columns,4]"],
        ),
    ],
)
def test_one_program_takes_any_number_and_size_on_every_platform(fields, arguments):
    config = small_config(**fields)
    (direction,) = METHODS[config.method].directions(config)
    zeros = lambda leaf: np.zeros(leaf.shape, leaf.dtype)
    variables = jax.tree.map(zeros, weights.abstract_variables(config, ["G"])["G"])
    program = stablehlo.make_program(config, direction, variables)
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert [str(shape) for shape in program.in_avals] == arguments
    (output,) = program.out_avals
    assert str(output) == arguments[0].replace("4]", "3]")
