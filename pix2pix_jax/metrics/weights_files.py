"""Published weights that metrics and losses take: names, where they are, how they are recognised.

Nothing is downloaded: the user names a file, or a folder that has it under its published name.
"""

import hashlib
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from pix2pix_jax.pytorch.pth_file import read_pth

FOLDER_FLAGS = "--config.eval.weights_dir=FOLDER, or --weights=FOLDER"  # of metrics
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth")  # torch.hub's: how the file's SHA-256 begins


class Published(NamedTuple):
    """A file of weights."""

    name: str
    source: str  # where to get it
    sha256: str = ""  # how it begins; empty: not known


TORCHVISION = "download.pytorch.org/models/"  # what torchvision downloads
INCEPTION = Published(
    "pt_inception-2015-12-05-6726825d.pth",
    "the release fid_weights of github.com/mseitzer/pytorch-fid",
    "6726825d",
)
BACKBONES = {
    "alex": Published(
        "alexnet-owt-7be5be79.pth", f"{TORCHVISION}alexnet-owt-7be5be79.pth", "7be5be79"
    ),
    "vgg": Published("vgg16-397923af.pth", f"{TORCHVISION}vgg16-397923af.pth", "397923af"),
}
VGG19 = Published("vgg19-dcbb9e9d.pth", f"{TORCHVISION}vgg19-dcbb9e9d.pth", "dcbb9e9d")
LPIPS_HEADS = {
    "alex": Published("alex.pth", "lpips/weights/v0.1 of the PyPI package lpips", "df73285e"),
    "vgg": Published("vgg.pth", "lpips/weights/v0.1 of the PyPI package lpips", "a78928a0"),
}
DRN = Published(
    "drn-d-105_ms_cityscapes.pth",
    "the page go.yf.io/drn-cityscapes-models that github.com/fyu/drn names",
)


def check_there(
    weights: str | os.PathLike[str], *wanted: Published, flags: str = FOLDER_FLAGS
) -> None:
    """Raises FileNotFoundError that names all files which are missing.

    Args:
        weights: the file, or the folder that has them under their published names.
        wanted: which.
        flags: those that name the folder.
    """
    missing = [one for one in wanted if not _path(weights, one)]
    if not missing:
        return
    where = "needed, and no folder is named"
    if weights:  # which may be no folder, or no file
        absent = f"missing: there is no file or folder {weights}"
        where = f"not in {weights}" if pathlib.Path(weights).is_dir() else absent
    names = " and ".join(one.name for one in missing)
    are = "weights file {} is" if len(missing) == 1 else "weights files {} are"
    sources = "it from " + missing[0].source
    if len(missing) > 1:
        sources = "; ".join(f"{one.name} from {one.source}" for one in missing)
    raise FileNotFoundError(
        f"the {are.format(names)} {where}: get {sources}, and give the folder ({flags})"
    )


def read(
    weights: str | os.PathLike[str], published: Published, flags: str = FOLDER_FLAGS
) -> dict[str, np.ndarray]:
    """The arrays of a published file.

    Args:
        weights: the file, or the folder that has it under its published name.
        published: which.
        flags: those that name the folder.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or not the published one.
        OSError: it cannot be read.
    """
    check_there(weights, published, flags=flags)
    path = _path(weights, published)
    _check_hash(path, published)
    return read_pth(path)


def _path(weights, published) -> pathlib.Path | None:
    """Where a file is; None if it is missing."""
    path = pathlib.Path(weights)
    path = path if path.is_file() else path / published.name
    return path if weights and path.is_file() else None


def folder_of(weights: str | os.PathLike[str]) -> pathlib.Path | str:
    """Where the files beside `weights`, a file or a folder, are; "" if nothing is named."""
    path = pathlib.Path(weights)
    return path.parent if weights and path.is_file() else weights


def _check_hash(path, published):
    """A file is the published one, or the one that its own name says."""
    in_name = HASH_IN_NAME.search(path.name)
    wanted = in_name[1] if in_name else published.sha256
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise ValueError(
            f"{path} is damaged, or not the published {published.name}: its SHA-256 begins with "
            f"{found[:8]}, not {wanted}; get it from {published.source}"
        )
    if published.sha256 and wanted != published.sha256:
        print(
            f"{path} is not the published {published.name}: what it measures compares only with "
            "its own figures",
            flush=True,
        )
