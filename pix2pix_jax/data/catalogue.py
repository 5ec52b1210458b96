"""The published data sets: where they are, their splits, and what their two domains show.

This module imports nothing heavy, so that a config may read the table too. Numbers of training
images are those of the papers and of the archives.
"""

import dataclasses
from typing import Any

PIX2PIX_URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
CYCLEGAN_URL = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/{name}.zip"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A published data set, paired (pix2pix) or of two unpaired domains A and B (CycleGAN)."""

    name: str  # of data.name; a paired and an unpaired data set may share it
    splits: tuple[str, ...]  # unpaired: each split is two folders, split + "A" and split + "B"
    train_images: tuple[int, int]  # of domain A and of domain B
    paired: bool
    label_side: str | None = None  # the domain drawn as a label map: "A", "B" or none
    palette: str | None = None  # the colours of the label map: a key of `palettes.PALETTES`
    aligned_test: bool = False  # unpaired, but testA and testB correspond one to one

    @property
    def url(self) -> str:
        """Address of the archive."""
        return (PIX2PIX_URL if self.paired else CYCLEGAN_URL).format(name=self.name)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of images in the archive."""
        if self.paired:
            return self.splits
        return tuple(f"{split}{domain}" for split in self.splits for domain in "AB")


def _paired(name, splits, pairs, label_side=None, palette=None):
    return DataSet(name, splits, (pairs, pairs), True, label_side, palette)


def _unpaired(name, images_a, images_b, label_side=None, palette=None, aligned_test=False):
    splits = ("train", "test")
    return DataSet(
        name, splits, (images_a, images_b), False, label_side, palette, aligned_test=aligned_test
    )


_TWO, _THREE = ("train", "val"), ("train", "val", "test")
DATA_SETS = (
    _paired("facades", _THREE, 400, "B", "facades"),
    _paired("cityscapes", _TWO, 2975, "B", "cityscapes"),
    _paired("maps", _TWO, 1096),
    _paired("edges2shoes", _TWO, 49825, "A", "edges"),
    _paired("edges2handbags", _TWO, 138567, "A", "edges"),
    _paired("night2day", _THREE, 17823),
    _unpaired("horse2zebra", 1067, 1334),
    _unpaired("apple2orange", 995, 1019),
    _unpaired("summer2winter_yosemite", 1231, 962),
    _unpaired("monet2photo", 1072, 6287),
    _unpaired("cezanne2photo", 525, 6287),
    _unpaired("ukiyoe2photo", 562, 6287),
    _unpaired("vangogh2photo", 400, 6287),
    _unpaired("maps", 1096, 1096, aligned_test=True),
    _unpaired("cityscapes", 2975, 2975, "B", "cityscapes", aligned_test=True),
    _unpaired("facades", 400, 400, "B", "facades", aligned_test=True),
    _unpaired("iphone2dslr_flower", 1812, 3325),
)
PAIRED = {data_set.name: data_set for data_set in DATA_SETS if data_set.paired}
UNPAIRED = {data_set.name: data_set for data_set in DATA_SETS if not data_set.paired}


def label_palette(name: str, side: str) -> str | None:
    """The palette that side "A" or "B" of a data set is drawn in; None if it is no label map.

    Paired and unpaired data sets of one name are drawn alike. The synthetic facades have the
    colours of the published ones.
    """
    if name == "synthetic":
        name = "facades"
    data_set = PAIRED.get(name) or UNPAIRED.get(name)
    return data_set.palette if data_set and data_set.label_side == side else None


def palette_name(data: Any, images: str) -> str | None:
    """The palette of the images that an example has under a name (input, target, A, B).

    Args:
        data: the `data` section of a config.
        images: their name in an example.

    Returns:
        a key of `palettes.PALETTES`; None if they are no label maps.
    """
    if images not in ("input", "target", "A", "B"):
        return None
    if data.name == "synthetic" and data.synthetic_kind != "labels":
        return None
    first = images in ("input", "A")
    return label_palette(data.name, "A" if first == (data.direction == "AtoB") else "B")
