"""The layers of `models/layers.py` as ONNX operators, with their trained weights."""

from typing import Any

import numpy as np
from flax import traverse_util

from pix2pix_jax.export.onnx_graph import Graph
from pix2pix_jax.models.blur import DOWN
from pix2pix_jax.models.resnet import PAD_MODES


class Layers:
    """Adds layers of one network to a graph, by the names that they have in the module.

    Paddings are written out and none is left to the runtime (auto_pad), for some get those wrong.
    """

    def __init__(self, graph: Graph, variables: dict[str, Any], model: Any, running: bool):
        """Takes the network's variables and the `model` section of the config.

        `running` normalises with the running statistics, else with those of each image.
        """
        self.graph = graph
        self._variables = {
            collection: traverse_util.flatten_dict(tree, sep="/")
            for collection, tree in variables.items()
        }
        self._unused = set(self._variables["params"])
        self._eps = model.norm_eps
        self._has_norm = model.norm != "none"
        self._folds = model.norm == "batch" and running

    def conv(
        self, x: str, name: str, stride: int = 2, padding: int = 1, norm: str | None = None
    ) -> str:
        """A convolution, and the normalisation after it."""
        return self._convolve("Conv", x, name, norm, 3, stride, [padding] * 4)

    def conv_transpose(
        self,
        x: str,
        name: str,
        stride: int = 2,
        padding: int = 1,
        output_padding: int = 0,
        norm: str | None = None,
    ) -> str:
        """A transposed convolution, and the normalisation after it.

        Less padding at the end is the same as ONNX's output_padding, which runtimes got wrong.
        """
        pads = [padding] * 2 + [padding - output_padding] * 2  # top, left, bottom, right
        return self._convolve("ConvTranspose", x, name, norm, 2, stride, pads)

    def relu(self, x: str) -> str:
        """max(x, 0)."""
        return self.graph.add("Relu", x)

    def leaky_relu(self, x: str, slope: float) -> str:
        """ReLU with a slope below zero."""
        return self.graph.add("LeakyRelu", x, alpha=slope)

    def tanh(self, x: str) -> str:
        """To [-1, 1]."""
        return self.graph.add("Tanh", x)

    def add(self, x: str, y: str) -> str:
        """The sum."""
        return self.graph.add("Add", x, y)

    def concat(self, *parts: str) -> str:
        """Side by side as channels."""
        return self.graph.add("Concat", *parts, axis=1)

    def pad(self, x: str, width: int, kind: str) -> str:
        """A border on all sides: reflect, replicate or zero."""
        pads = self.graph.weight(f"border_{width}", [0, 0, width, width] * 2, np.int64)
        return self.graph.add("Pad", x, pads, mode=PAD_MODES[kind])

    def max_pool(self, x: str) -> str:
        """The largest of each 2x2 pixels."""
        return self.graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def mean_pool(self, x: str) -> str:
        """See `models.layers.mean_pool`."""
        settings = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        return self.graph.add("AveragePool", x, count_include_pad=0, **settings)

    def double_nearest(self, x: str) -> str:
        """Every pixel as 2x2."""
        return self._double(
            x,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def double_bilinear(self, x: str) -> str:
        """Twice the size, corners on corners."""
        return self._double(x, mode="linear", coordinate_transformation_mode="align_corners")

    def blur_down(self, x: str, channels: int) -> str:
        """See `models.blur.blur_down`; as a convolution of each channel."""
        row = np.array(DOWN)
        kernel = np.tile(np.outer(row, row), (channels, 1, 1, 1))
        weight = self.graph.weight(f"blur_{channels}", kernel)
        settings = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0] * 4}
        return self.graph.add("Conv", self.pad(x, 1, "reflect"), weight, group=channels, **settings)

    def blur_up(self, x: str) -> str:
        """See `models.blur.blur_up`."""
        return self._double(x, mode="linear", coordinate_transformation_mode="half_pixel")

    def check_all_used(self) -> None:
        """Raises ValueError if the module has parameters that were never asked for."""
        if self._unused:
            raise ValueError(
                f"the ONNX export leaves out {', '.join(sorted(self._unused))}: it does not know "
                "this variant of the network"
            )

    def _double(self, x, **how):
        scales = self.graph.weight("scales", [1, 1, 2, 2])
        return self.graph.add("Resize", x, "", scales, **how)

    def _convolve(self, operator, x, name, norm, axis, stride, pads):
        """A layer with the kernel [K, K, ...], whose output channels lie along `axis`."""
        norm = norm if self._has_norm else None
        kernel, bias = self._take(name, "kernel"), self._take(name, "bias")
        if norm and self._folds:
            factor, offset = self._running(norm)
            bias = offset if bias is None else offset + factor * bias
            kernel = kernel * np.expand_dims(factor, [i for i in range(4) if i != axis])
        weights = [self.graph.weight(f"{name}/kernel", kernel.transpose(3, 2, 0, 1))]
        if bias is not None:
            weights.append(self.graph.weight(f"{name}/bias", bias))
        size = list(kernel.shape[:2])
        settings = {"kernel_shape": size, "strides": [stride] * 2, "pads": pads}
        x = self.graph.add(operator, x, *weights, **settings)
        if norm and not self._folds:
            x = self._normalize(x, norm, kernel.shape[axis])
        return x

    def _running(self, name):
        """Factor and offset of a batch norm with its running statistics."""
        stats = self._variables["batch_stats"]
        mean, var = (np.float64(stats[f"{name}/{leaf}"]) for leaf in ("mean", "var"))
        factor = self._take(name, "scale") / np.sqrt(var + self._eps)
        return factor, self._take(name, "bias") - mean * factor

    def _normalize(self, x, name, channels):
        """Each image by its own statistics; for one image batch norm does the same."""
        scale, bias = self._take(name, "scale"), self._take(name, "bias")
        scale = np.ones(channels) if scale is None else scale
        bias = np.zeros(channels) if bias is None else bias
        scale = self.graph.weight(f"{name}/scale", scale)
        bias = self.graph.weight(f"{name}/bias", bias)
        return self.graph.add("InstanceNormalization", x, scale, bias, epsilon=self._eps)

    def _take(self, name, leaf):
        """A parameter in float64; None if the layer has none of that name."""
        path = f"{name}/{leaf}"
        self._unused.discard(path)
        array = self._variables["params"].get(path)
        return None if array is None else np.float64(array)
