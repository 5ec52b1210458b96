"""--mode=export --format=onnx: trained generators as .onnx files, tried in onnxruntime."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from pix2pix_jax.export import onnx_methods
from pix2pix_jax.export.description import describe, is_random, least_multiple
from pix2pix_jax.export.files import export_each
from pix2pix_jax.export.onnx_graph import IMAGE, TRANSLATION, Graph
from pix2pix_jax.export.onnx_layers import Layers
from pix2pix_jax.export.onnx_networks import NETWORKS
from pix2pix_jax.export.onnx_packages import onnx, onnxruntime
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import make_generate
from pix2pix_jax.models import build
from pix2pix_jax.settings import config_checks

TRIED_AT = 64  # pixels a side, at least, of the image that a new file is tried on
TOLERANCE = 1 / 255  # of its output on [-1, 1], half a level; rounding is far below


def export_onnx(config: Any, workdir: str, output: str) -> list[pathlib.Path]:
    """Writes the generators of `config.eval.direction` into the folder `output`.

    They take and give images [N, C, H, W] in [-1, 1], of any number, height and width (multiples
    of the divisor in their metadata), in float32. With eval.norm_mode "batch" every image is
    normalised by itself. Dropout is left out.

    Returns:
        the files, one for each direction.

    Raises:
        ValueError, OSError: as `weights.load_generators`; or a file that does not do in
            onnxruntime what the network does in JAX.
    """
    config_checks.check(config)
    config = without_dropout(config)

    def make(direction, variables):
        content = make_model(config, direction, variables).SerializeToString()
        error = try_model(content, config, direction, variables)
        return {
            ".onnx": content
        }, f"; onnxruntime differs from JAX by at most {error:.0e} on [-1, 1]"

    return export_each(config, workdir, output, make)


def without_dropout(config: Any) -> Any:
    """A copy of `config` whose generators have no noise and compute in all of float32; says so."""
    if is_random(config):
        print("dropout is left out: an image has one translation", flush=True)
    config = config.copy_and_resolve_references()
    config.eval.dropout, config.model.dtype = False, "float32"
    config.train.precision = "highest"  # as onnxruntime, on a GPU too
    return config


def make_model(config: Any, direction: Direction, variables: Any) -> onnx.ModelProto:
    """One direction with its weights as an ONNX model, with `describe`'s facts as metadata.

    Raises:
        ValueError: it is a variant of the network that the export does not know.
    """
    graph = Graph()
    running = config.eval.norm_mode == "running"
    layers = Layers(graph, jax.device_get(variables), config.model, running)
    module = build.generator(config.model, config.data.output_channels)
    method = onnx_methods.METHODS.get(config.method, onnx_methods.translate)
    network = lambda x: NETWORKS[type(module)](module, layers, x)
    method(config, graph, network, IMAGE)
    layers.check_all_used()
    facts = describe(config, direction)
    as_text = lambda fact: fact if isinstance(fact, str) else json.dumps(fact)
    metadata = {name: as_text(fact) for name, fact in facts.items()}
    return graph.model(facts["in_channels"], facts["out_channels"], metadata)


def try_model(content: bytes, config: Any, direction: Direction, variables: Any) -> float:
    """The largest difference between the model in onnxruntime and our own, on a random image.

    Raises:
        ValueError: it is larger than rounding explains.
    """
    facts = describe(config, direction)
    divisor = facts["divisor"]
    height = divisor * least_multiple(config, direction, TRIED_AT)
    shape = (1, height, height + divisor, facts["in_channels"])
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    generate = make_generate(config, direction)
    ours = jax.jit(generate)(variables, images, jax.random.split(jax.random.key(0), 1))
    error = float(np.abs(run(content, images) - np.asarray(ours)).max())
    if not error <= TOLERANCE:
        raise ValueError(
            f"{facts['name']}.onnx would differ from the network by {error:.2g} on [-1, 1]: "
            f"the export does not know this variant of {config.model.generator}"
        )
    return error


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    """What a model in onnxruntime makes of images [N, H, W, C]: [N, H, W, O]."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (outputs,) = session.run([TRANSLATION], {IMAGE: images.transpose(0, 3, 1, 2)})
    return outputs.transpose(0, 2, 3, 1)
