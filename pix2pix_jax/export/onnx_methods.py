"""What methods do around their generator (`make_generate`) as ONNX operators.

Every graph takes images in [-1, 1] and gives images in [-1, 1]; its last operator makes these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pix2pix_jax.export.onnx_graph import Graph
from pix2pix_jax.images import colors

Network = Callable[[str], str]  # adds the generator to the graph


def translate(config: Any, graph: Graph, network: Network, image: str) -> str:
    """See `methods.pix2pix`."""
    del config, graph
    return network(image)


def inpaint(config: Any, graph: Graph, network: Network, image: str) -> str:
    """See `methods.inpainting`: the last channel is above 0 in the hole, which is painted white."""
    channels = config.data.output_channels
    picture = graph.channels(image, 0, channels)
    hole = graph.add("Greater", graph.channels(image, channels, channels + 1), graph.number(0))
    known = graph.add("Where", hole, graph.number(1), picture)
    mask = graph.add("Where", hole, graph.number(1), graph.number(0))
    output = network(graph.add("Concat", known, mask, axis=1))
    return graph.add("Where", hole, output, picture) if config.eval.composite else output


def colorize(config: Any, graph: Graph, network: Network, image: str) -> str:
    """See `methods.colorization`: L / 50 - 1 of the photograph to ab / 110."""
    del config
    half = graph.number(0.5)
    rgb = graph.add("Add", graph.add("Mul", image, half), half)
    lightness = _lightness(graph, rgb)
    one = graph.number(1)
    color = network(graph.add("Sub", graph.add("Div", lightness, graph.number(50)), one))
    lab = graph.add("Concat", lightness, graph.add("Mul", color, graph.number(110)), axis=1)
    rgb = _lab_to_rgb(graph, lab)
    return graph.add("Sub", graph.add("Mul", rgb, graph.number(2)), one)


def _lightness(graph, rgb):
    """L of `colors.rgb_to_lab`, [N, 1, H, W]."""
    curve = _affine(graph, rgb, 1 / 1.055, 0.055 / 1.055)
    linear = _where_above(
        graph, rgb, 0.04045, _power(graph, curve, 2.4), _affine(graph, rgb, 1 / 12.92)
    )
    y = _mix(graph, "luminance", linear, colors.XYZ_FROM_RGB[1:2] / colors.WHITE[1])
    root = _power(graph, graph.add("Max", y, graph.number(colors.EPSILON)), 1 / 3)
    line = _affine(graph, y, colors.SLOPE, 16 / 116)
    return _affine(graph, _where_above(graph, y, colors.EPSILON, root, line), 116, -16)


def _lab_to_rgb(graph, lab):
    """As `colors.lab_to_rgb`."""
    rows = np.array([[1 / 116, 1 / 500, 0], [1 / 116, 0, 0], [1 / 116, 0, -1 / 200]])
    f = _mix(graph, "from_lab", lab, rows, np.full(3, 16 / 116))
    least = graph.weight("least", np.reshape([-1, -1, 0], (1, 3, 1, 1)))  # bounds z alone
    f = graph.add("Max", f, least)
    cube = graph.add("Mul", graph.add("Mul", f, f), f)
    line = _affine(graph, f, 1 / colors.SLOPE, -16 / 116 / colors.SLOPE)
    xyz = _where_above(graph, f, 0.2068966, cube, line)
    linear = _mix(graph, "from_xyz", xyz, np.linalg.inv(colors.XYZ_FROM_RGB) * colors.WHITE)
    positive = graph.add("Max", linear, graph.number(0.0031308))
    curve = _affine(graph, _power(graph, positive, 1 / 2.4), 1.055, -0.055)
    rgb = _where_above(graph, linear, 0.0031308, curve, _affine(graph, linear, 12.92))
    return graph.add("Clip", rgb, graph.number(0), graph.number(1))


def _affine(graph, x, factor, offset=0.0):
    x = graph.add("Mul", x, graph.number(factor))
    return graph.add("Add", x, graph.number(offset)) if offset else x


def _power(graph, x, exponent):
    return graph.add("Pow", x, graph.number(exponent))


def _where_above(graph, x, threshold, above, below):
    return graph.add("Where", graph.add("Greater", x, graph.number(threshold)), above, below)


def _mix(graph, name, x, matrix, bias=None):
    """A matrix product over the channels."""
    weights = [graph.weight(name, matrix[..., None, None])]
    if bias is not None:
        weights.append(graph.weight(f"{name}_bias", bias))
    return graph.add("Conv", x, *weights, kernel_shape=[1, 1])


METHODS = {"inpainting": inpaint, "colorization": colorize}  # the others add nothing
