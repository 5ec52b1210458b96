"""What methods do around their generator (`make_generate`) as ONNX operators.

Every graph takes images in [-1, 1] and gives images in [-1, 1]; its last operator makes these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pix2pix_jax.export.onnx_graph import Graph
from pix2pix_jax.export.onnx_packages import onnx
from pix2pix_jax.images import classes, colors
from pix2pix_jax.images.palettes import PALETTES

FLOAT = onnx.TensorProto.FLOAT
LAST = np.iinfo(np.int64).max  # end of a slice that goes up to the end
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


def paint(config: Any, graph: Graph, network: Network, image: str) -> str:
    """See `images.classes.encode`: a label map becomes a channel for each class, and edges."""
    data, count = config.data, classes.num_classes(config.data)
    if not count:
        return network(image)
    levels = graph.add("Round", _affine(graph, image, 127.5, 127.5))
    if data.labels == "ids":
        ids = graph.channels(levels, 0, 1)
    else:  # of |x - c|^2 the part that differs from colour to colour
        colours = np.array(list(PALETTES[data.labels].values()), float)
        distance = _mix(graph, "colours", levels, -2 * colours, np.square(colours).sum(1))
        ids = graph.add("Cast", graph.add("ArgMin", distance, axis=1), to=FLOAT)
    numbers = graph.weight("classes", np.arange(count).reshape(1, count, 1, 1))
    found = graph.add("Cast", graph.add("Equal", ids, numbers), to=FLOAT)
    if not classes.has_instances(data):
        return network(found)
    high, low = graph.channels(levels, 1, 2), graph.channels(levels, 2, 3)
    instances = graph.add("Add", _affine(graph, high, 256), low)
    return network(graph.add("Concat", found, _edges(graph, instances), axis=1))


def _edges(graph, instances):
    """1 where one of four neighbours has another number; borders have themselves outside."""
    border = graph.weight("neighbours", [0, 0, 1, 1] * 2, np.int64)
    padded = graph.add("Pad", instances, border, mode="edge")
    integers = lambda name, *values: graph.weight(name, values, np.int64)
    axes, found = integers("rows_and_columns", 2, 3), []
    # Of the padded rows and columns, counted from both ends.
    places = ((0, 1, -2, -1), (2, 1, LAST, -1), (1, 0, -1, -2), (1, 2, -1, LAST))
    for i, (top, left, bottom, right) in enumerate(places):
        bounds = integers(f"first_{i}", top, left), integers(f"last_{i}", bottom, right)
        neighbour = graph.add("Slice", padded, *bounds, axes)
        same = graph.add("Equal", neighbour, instances)
        found.append(graph.add("Cast", graph.add("Not", same), to=FLOAT))
    return graph.add("Max", *found)


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


# The others add nothing.
METHODS = {"inpainting": inpaint, "colorization": colorize, "pix2pixhd": paint}
