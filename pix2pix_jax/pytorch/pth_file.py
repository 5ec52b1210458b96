"""PyTorch .pth files without PyTorch: state_dicts read from both formats, written in the newer.

Reading never runs what a file asks for: the unpickler knows the few names that a state_dict
needs and refuses every other.
"""

import collections
import io
import os
import pathlib
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

from pix2pix_jax.runtime.whole_file import whole_file

Path = str | os.PathLike[str]
MAGIC = 0x1950A86A20F9469CFC6C  # opens the legacy format
STORAGE_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
WRITTEN = {"float32": "FloatStorage", "int64": "LongStorage"}


class _Module(collections.OrderedDict):
    """A state_dict: an ordered dict that the file may give attributes (`_metadata`)."""


class _StorageType:
    """Stands for torch.FloatStorage and its kin."""

    def __init__(self, name: str):
        self.dtype = STORAGE_TYPES[name]


class _Tensor:
    """A view of a storage whose bytes may come later in the file."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        flat = self.storage["array"][self.offset :]
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape:
            return np.zeros(self.shape, flat.dtype)
        if min(self.strides, default=0) < 0 or last >= flat.size:
            raise ValueError("a tensor reaches beyond its storage")
        strides = [s * flat.itemsize for s in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, strides).copy()


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    return tensor


ALLOWED = {
    ("collections", "OrderedDict"): _Module,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}


class _Unpickler(pickle.Unpickler):
    """Builds dicts of `_Tensor`; `storages` gathers what the file refers to, by key."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, dict[str, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module in ("torch", "torch.storage") and name in STORAGE_TYPES:
            return _StorageType(name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no state_dict needs")

    def persistent_load(self, reference: Any) -> dict[str, Any]:
        kind, storage_type, key, _, size, *view = reference
        if kind != "storage" or any(view):
            raise pickle.UnpicklingError("it refers to something other than a storage")
        return self.storages.setdefault(str(key), {"dtype": storage_type.dtype, "size": size})


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """The state_dict in a .pth file, zip (PyTorch >= 1.6) or legacy.

    Half and bfloat16 tensors come as float32; the prefixes that DataParallel and torch.compile
    add to names are taken off.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no state_dict, or asks for anything but tensors.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no weights file {path}")
    try:
        with path.open("rb") as file:
            tree = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        state = {name: tensor.array() for name, tensor in _tensors(tree)}
    except pickle.UnpicklingError as error:
        raise ValueError(f"refused to load {path}: {error}") from error
    except (
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        ValueError,
        OSError,
        ImportError,
        MemoryError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{path} is no whole PyTorch state_dict ({error or type(error).__name__}): "
            "copy or download it again"
        ) from error
    return state


def _tensors(tree):
    if not isinstance(tree, dict):
        raise ValueError("it does not hold a dict of tensors")
    if isinstance(tree.get("netG"), dict):  # PEN-Net's files hold the generator so
        tree = tree["netG"]
    for name, value in tree.items():
        if not isinstance(value, _Tensor):
            raise ValueError(f"its entry {name!r} is no tensor")
        while name.startswith(("module.", "_orig_mod.")):
            name = name.split(".", 1)[1]
        yield name, value


def _read_zip(file):
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        root = next(n for n in [*names, ""] if n == "" or n.endswith("/data.pkl"))
        if not root:
            raise ValueError("the archive has no data.pkl")
        root = root.removesuffix("data.pkl")
        if archive.testzip():
            raise ValueError(f"{archive.testzip()} is damaged")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it is big-endian")
        unpickler = _Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")))
        tree = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage["array"] = _array(archive.read(f"{root}data/{key}"), storage["dtype"])
    return tree


def _read_legacy(file):
    file.seek(0)
    header = [_Unpickler(file).load() for _ in range(3)]  # magic, protocol, system
    if header[0] != MAGIC or not header[2].get("little_endian", True):
        raise ValueError("not a .pth file")
    unpickler = _Unpickler(file)
    tree = unpickler.load()
    keys = _Unpickler(file).load()
    for key in keys:
        storage = unpickler.storages[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage["size"]:
            raise ValueError(f"storage {key} has {count} elements, not {storage['size']}")
        size = 2 if storage["dtype"] == "bfloat16" else np.dtype(storage["dtype"]).itemsize
        content = file.read(count * size)
        if len(content) != count * size:
            raise EOFError("the file ends early")
        storage["array"] = _array(content, storage["dtype"])
    return tree


def _array(content: bytes, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    array = np.frombuffer(content, dtype)
    return array.astype("<f4") if dtype == "<f2" else array


def write_pth(path: Path, state: dict[str, np.ndarray]) -> None:
    """Writes float32 and int64 arrays as a state_dict that torch.load(weights_only=True) reads.

    The file appears under its name only when it is whole.

    Raises:
        ValueError: an array has another dtype.
    """
    arrays = {
        name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in state.items()
    }
    for name, array in arrays.items():
        if array.dtype.name not in WRITTEN:
            raise ValueError(
                f"{name} is {array.dtype}; a .pth file is written of float32 and int64"
            )
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(arrays))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def _pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """The pickle of an OrderedDict of torch tensors, in pickle protocol 2, opcode by opcode."""

    def text(value):
        value = value.encode()
        return b"X" + struct.pack("<I", len(value)) + value

    def number(value):
        if value < 2**31:
            return b"J" + struct.pack("<i", value)
        content = value.to_bytes(8, "little", signed=True)
        return b"\x8a" + bytes([len(content)]) + content

    def name(module, attribute):
        return f"c{module}\n{attribute}\n".encode()

    def numbers(values):
        return b"(" + b"".join(number(v) for v in values) + b"t"

    out = [b"\x80\x02", name("collections", "OrderedDict"), b")R("]
    for i, (key, array) in enumerate(arrays.items()):
        strides = [s // array.itemsize for s in array.strides]
        storage = name("torch", WRITTEN[array.dtype.name])
        out += [
            text(key),
            name("torch._utils", "_rebuild_tensor_v2"),
            b"((" + text("storage") + storage + text(str(i)) + text("cpu") + number(array.size),
            b"tQ" + number(0) + numbers(array.shape) + numbers(strides) + b"\x89",
            name("collections", "OrderedDict") + b")RtR",
        ]
    return b"".join([*out, b"u."])
