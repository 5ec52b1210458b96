"""The packages that ONNX takes, or one sentence that says how to get them."""

try:
    import onnx
    import onnxruntime  # what is written is tried in it
except ImportError as error:
    raise ValueError(
        "ONNX takes two more packages: pip install -r requirements-export.txt"
    ) from error

__all__ = ["onnx", "onnxruntime"]
