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
    path = pathlib.Path(weights)
    if not weights or path.is_dir():
        path = path / published.name
    if not weights or not path.is_file():
        where = "is needed, and no folder is named"
        if weights:  # which may be no folder, or no file
            folder = pathlib.Path(weights).is_dir()
            missing = f"is missing: there is no file or folder {weights}"
            where = f"is not in {weights}" if folder else missing
        raise FileNotFoundError(
            f"the weights file {published.name} {where}: get it from {published.source}, and give "
            f"its folder ({flags})"
        )
    _check_hash(path, published)
    return read_pth(path)


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
