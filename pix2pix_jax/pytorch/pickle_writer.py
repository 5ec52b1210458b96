"""The pickle of a state_dict, written opcode by opcode without torch."""

import struct

import numpy as np

STORAGE_TYPES = {"float32": "FloatStorage", "int64": "LongStorage"}


def write(arrays: dict[str, np.ndarray]) -> bytes:
    """The pickle (protocol 2) of an OrderedDict of torch tensors; array i is storage "i".

    Arrays are contiguous, float32 or int64.
    """
    out = [b"\x80\x02", _global("collections", "OrderedDict"), b")R("]
    for i, (key, array) in enumerate(arrays.items()):
        strides = [s // array.itemsize for s in array.strides]
        storage = _global("torch", STORAGE_TYPES[array.dtype.name])
        out += [
            _text(key),
            _global("torch._utils", "_rebuild_tensor_v2"),
            b"((" + _text("storage") + storage + _text(str(i)) + _text("cpu"),
            _number(array.size) + b"tQ" + _number(0) + _numbers(array.shape) + _numbers(strides),
            b"\x89" + _global("collections", "OrderedDict") + b")RtR",
        ]
    return b"".join([*out, b"u."])


def _text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _number(value):
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def _numbers(values):
    return b"(" + b"".join(map(_number, values)) + b"t"


def _global(module, name):
    return f"c{module}\n{name}\n".encode()
