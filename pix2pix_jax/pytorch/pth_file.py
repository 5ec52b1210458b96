"""PyTorch .pth files without PyTorch: state_dicts read from both formats, written in the newer.

Files may come from anywhere: reading runs nothing that they ask for (see `pickle_reader`) and
takes memory in proportion to their size.
"""

import io
import os
import pathlib
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from pix2pix_jax.pytorch import pickle_reader, pickle_writer
from pix2pix_jax.pytorch.pickle_reader import Refused, Tensor
from pix2pix_jax.runtime.whole_file import whole_file

Path = str | os.PathLike[str]
MAGIC = 0x1950A86A20F9469CFC6C  # the first object of the legacy format
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """The state_dict in a .pth file, zip (PyTorch >= 1.6) or legacy.

    Half and bfloat16 tensors become float32; the prefixes that DataParallel and torch.compile
    add to names are removed. The arrays are read-only and may share memory, as the tensors did.

    Raises:
        OSError: there is no such file, it cannot be read, or there is too little memory.
        ValueError: it is damaged, no state_dict, or asks for anything but tensors.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no weights file {path}")
    content = path.read_bytes()
    try:
        tree, arrays = (_read_zip if content.startswith(b"PK") else _read_legacy)(content)
        state: dict[str, np.ndarray] = {}
        for name, tensor in _tensors(tree):
            if name in state:
                raise ValueError(f"it has two arrays called {name!r}")
            state[name] = tensor.array(arrays[tensor.storage.key])
    except Refused as error:
        raise ValueError(f"{path} is refused: {error}") from error
    except MemoryError as error:  # no damage: sizes are bounded by the file's
        raise OSError(
            f"there is not enough memory to read {path} ({len(content) / 2**20:.0f} MiB): close "
            "other programs, or use a machine with more"
        ) from error
    except Exception as error:  # damage can surface anywhere in the parsers
        reason = str(error) if " " in str(error) else "damaged, or of another kind"
        raise ValueError(
            f"{path} is not an intact PyTorch state_dict ({reason}): "
            "copy or download it again, or save model.state_dict() alone"
        ) from error
    return state


def _tensors(tree) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(tree, dict):
        raise ValueError("it does not hold a dict of tensors")
    if isinstance(tree.get("netG"), dict):  # the published files of PEN-Net
        tree = tree["netG"]
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"its entry {name!r} is not a tensor")
        while name.startswith(PREFIXES):
            name = name.split(".", 1)[1]
        yield name, value


def _read_zip(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """The tree of tensors, and the elements of each storage by its key."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = [max(entry.file_size, entry.compress_size) for entry in archive.infolist()]
        if sum(sizes) > len(content):
            raise ValueError("its archive is compressed, which torch.save never does")
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if not pickles:
            raise ValueError("its archive has no data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it is big-endian")
        tree, storages = pickle_reader.read(io.BytesIO(archive.read(pickles[0])))
        return tree, {
            key: storage.array(archive.read(f"{root}data/{key}"))
            for key, storage in storages.items()
        }


def _read_legacy(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """As `_read_zip`; the format is five pickles, then the storages."""
    stream = io.BytesIO(content)
    magic, _, system = [pickle_reader.read(stream)[0] for _ in range(3)]
    if magic != MAGIC or not system.get("little_endian", True):
        raise ValueError("it is in none of torch.save's formats")
    tree, storages = pickle_reader.read(stream)
    keys, _ = pickle_reader.read(stream)
    arrays = {}
    for key in keys:
        storage = storages[key]
        (size,) = struct.unpack("<q", stream.read(8))
        if size != storage.size:
            raise ValueError(f"storage {key!r} has {size} elements, not {storage.size}")
        arrays[key] = storage.array(stream.read(storage.nbytes))
    return tree, arrays


def write_pth(path: Path, state: dict[str, np.ndarray]) -> None:
    """Writes float32 and int64 arrays as a state_dict that torch.load(weights_only=True) reads.

    The file appears under its name only when it is complete.

    Raises:
        ValueError: an array has another dtype.
        OSError: the file cannot be written.
    """
    arrays = {
        name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in state.items()
    }
    for name, array in arrays.items():
        if array.dtype.name not in pickle_writer.STORAGE_TYPES:
            raise ValueError(f"{name} is {array.dtype}: .pth files take float32 and int64 arrays")
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("archive/data.pkl", pickle_writer.write(arrays))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())
        archive.writestr("archive/version", "3\n")
