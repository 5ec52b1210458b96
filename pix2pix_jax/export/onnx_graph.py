"""An ONNX graph under construction: each call adds an operator and returns its result's name."""

from typing import Any

import numpy as np

from pix2pix_jax.export.onnx_packages import onnx

OPSET, IR_VERSION = 17, 8  # they belong together
IMAGE, TRANSLATION = "image", "translation"  # names of the graph's input and output


class Graph:
    """Operators and weights; images are float32 NCHW of any number, height and width."""

    def __init__(self):
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operator with one result."""
        result = f"{operator}_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(operator, inputs, [result], result, **attributes))
        return result

    def weight(self, name: str, array: np.ndarray, dtype: Any = np.float32) -> str:
        """Adds an array under a name of its own."""
        array = np.array(array, dtype, order="C")
        self._weights[name] = onnx.numpy_helper.from_array(array, name)
        return name

    def number(self, value: float) -> str:
        """Adds a scalar, once."""
        return self.weight(f"{value:.9g}", np.float32(value))

    def channels(self, x: str, first: int, last: int) -> str:
        """Channels `first` to `last`, exclusive."""
        integer = lambda value: self.weight(f"integer_{value}", [value], np.int64)
        return self.add("Slice", x, integer(first), integer(last), integer(1))

    def model(
        self, in_channels: int, out_channels: int, metadata: dict[str, str]
    ) -> onnx.ModelProto:
        """The finished model, whose output is the result of the last operator.

        Raises:
            onnx.checker.ValidationError and others: the graph is none that ONNX knows.
        """
        self._nodes[-1].output[0] = TRANSLATION
        image, translation = (
            onnx.helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, ["batch", channels, "height", "width"]
            )
            for name, channels in ((IMAGE, in_channels), (TRANSLATION, out_channels))
        )
        graph = onnx.helper.make_graph(
            self._nodes, "generator", [image], [translation], list(self._weights.values())
        )
        model = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="pix2pix_jax",
        )
        onnx.helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
