"""The generators that the authors published for their PyTorch code, by name.

They are looked for in weights/NAME_pretrained/latest_net_G.pth below the current folder, and in
checkpoints/, where the authors' scripts put them (but for names that pix2pix and CycleGAN share);
else downloaded into weights/, once. The SHA-256 of a download is noted beside it, and it is
compared whenever the file is used or downloaded again.
"""

import difflib
import hashlib
import http.client
import os
import pathlib
import shutil
import tempfile
import urllib.request
from typing import Any, NamedTuple

from pix2pix_jax.pytorch import architectures, pth_file
from pix2pix_jax.runtime.whole_file import whole_file

HOST = "http://efrosgans.eecs.berkeley.edu"
CODE = "https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix"
FOLDER = pathlib.Path("weights")  # of ours, below the current one
THEIR_FOLDER = pathlib.Path("checkpoints")  # of the authors' scripts
CONNECTION_SECONDS = 20
SIDES = {"G_A": "AtoB", "G_B": "BtoA"}  # of CycleGAN's generators


class Published(NamedTuple):
    """A published generator; all were trained on 256x256 crops of RGB images."""

    name: str
    data_set: str  # of data/catalogue.py
    direction: str  # of the data set: AtoB or BtoA
    paired: bool  # pix2pix, else CycleGAN

    @property
    def file(self) -> str:
        """The authors' name; some generators of pix2pix and of CycleGAN share it."""
        return self.name.removeprefix("cyclegan_")

    @property
    def url(self) -> str:
        """Address of the .pth."""
        folder = "pix2pix/models-pytorch" if self.paired else "cyclegan/pretrained_models"
        return f"{HOST}/{folder}/{self.file}.pth"

    @property
    def path(self) -> pathlib.Path:
        """Where it is downloaded to."""
        return FOLDER / f"{self.name}_pretrained" / "latest_net_G.pth"

    @property
    def fields(self) -> dict[str, Any]:
        """Its network, as `architectures.describe` does it."""
        channels = {"data.input_channels": 3, "data.output_channels": 3}
        if self.paired:
            kind = {"model.generator": "unet_256", "model.norm": "batch"}
        else:
            kind = {"model.generator": "resnet_9blocks", "model.norm": "instance", "dropout": False}
        return {**kind, "model.ngf": 64, **channels}


def _generators():
    """Names as the authors' scripts give them; where two are the same, the second says cyclegan."""
    yield Published("facades_label2photo", "facades", "BtoA", True)
    yield Published("edges2shoes", "edges2shoes", "AtoB", True)
    yield Published("sat2map", "maps", "AtoB", True)
    yield Published("map2sat", "maps", "BtoA", True)
    yield Published("day2night", "night2day", "BtoA", True)
    for data_set, *names in (
        ("apple2orange", "apple2orange", "orange2apple"),
        ("summer2winter_yosemite", "summer2winter_yosemite", "winter2summer_yosemite"),
        ("horse2zebra", "horse2zebra", "zebra2horse"),
        ("monet2photo", "monet2photo", "style_monet"),
        ("cezanne2photo", "", "style_cezanne"),
        ("ukiyoe2photo", "", "style_ukiyoe"),
        ("vangogh2photo", "", "style_vangogh"),
        ("maps", "cyclegan_sat2map", "cyclegan_map2sat"),
        ("cityscapes", "cityscapes_photo2label", "cityscapes_label2photo"),
        ("facades", "facades_photo2label", "cyclegan_facades_label2photo"),
        ("iphone2dslr_flower", "iphone2dslr_flower", ""),
    ):
        for name, direction in zip(names, SIDES.values(), strict=True):
            if name:
                yield Published(name, data_set, direction, False)


GENERATORS = {generator.name: generator for generator in _generators()}
_SHARED = {g.file for g in GENERATORS.values() if g.file != g.name}


def is_name(init_from: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a published generator, and of no file or folder."""
    return str(init_from) in GENERATORS and not pathlib.Path(init_from).exists()


def hint(path: str | os.PathLike[str]) -> str:
    """What the names are, as the end of a sentence on a path that is missing and may mean one."""
    path = pathlib.Path(path)
    if len(path.parts) > 1 or path.suffix:
        return ""
    close = difflib.get_close_matches(str(path), GENERATORS, 1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f", and no published generator of that name{meant}. There are {', '.join(GENERATORS)}"


def for_networks(config: Any, names: list[str]) -> dict[str, pathlib.Path]:
    """The .pth of each generator in `names`: of config.init_from, or for CycleGAN also its reverse.

    Raises:
        ValueError: it is of another network or direction than the config, or has no reverse.
        ValueError, OSError: as `fetch`.
    """
    found = {name: _for_network(config, GENERATORS[config.init_from], name) for name in names}
    for generator in found.values():
        try:
            architectures.check_fields(generator.fields, config)
        except ValueError as error:
            raise ValueError(f"the published {generator.name}: {error}") from error
    return {name: fetch(generator) for name, generator in found.items()}


def _for_network(config, generator, name):
    """`generator` or its reverse, whichever network `name` of the config is."""
    data, direction = config.data, generator.direction
    if name in SIDES:
        direction = SIDES[name] if data.direction == "AtoB" else _reversed(SIDES[name])
    elif data.name == generator.data_set:
        direction = data.direction
    if direction == generator.direction:
        return generator
    wanted = generator._replace(name="", direction=direction)
    for other in GENERATORS.values():
        if name in SIDES and other._replace(name="") == wanted:
            return other
    remedy = f"set config.data.direction={generator.direction}"
    if name in SIDES:
        used = "A2B" if name == "G_B" else "B2A"
        remedy = (
            f"no generator of the reverse was published. Set config.eval.direction={used} to "
            "translate with it; training a CycleGAN starts from both"
        )
    a, _, b = generator.direction.partition("to")
    raise ValueError(
        f"the published {generator.name} translates {a} of {generator.data_set} to {b}: {remedy}"
    )


def _reversed(direction):
    return {"AtoB": "BtoA", "BtoA": "AtoB"}[direction]


def fetch(generator: Published) -> pathlib.Path:
    """The .pth on this machine, downloaded if need be; prints a line on source and licence.

    Raises:
        OSError: it cannot be downloaded.
        ValueError: it has changed since it was first downloaded, or is no .pth.
    """
    theirs = THEIR_FOLDER / f"{generator.file}_pretrained" / generator.path.name
    if not generator.path.is_file():
        # Their folder does not tell which of two generators of one name it holds.
        if theirs.is_file() and generator.file not in _SHARED:
            return _said(generator, theirs)
        _download(generator)
    noted = _noted(generator.path)
    if noted and _digest(generator.path) != noted:
        raise ValueError(
            f"{generator.path} is not what was downloaded from {generator.url}, by the SHA-256 in "
            f"{_note(generator.path).name}: delete it, and it is downloaded again"
        )
    return _said(generator, generator.path)


def _said(generator, path):
    paper = "pix2pix" if generator.paired else "CycleGAN"
    print(
        f"{generator.name}: {path}, published by the authors of {paper} at {generator.url} with "
        f"{CODE} (BSD licence)",
        flush=True,
    )
    return path


def _download(generator):
    path, url = generator.path, generator.url
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # of this process alone
        temporary = pathlib.Path(scratch) / "download"
        try:
            _copy(url, temporary)
        except (OSError, http.client.HTTPException) as error:
            raise OSError(
                f"{url} could not be downloaded ({error}): try again, or put the file at {path}"
            ) from error
        try:
            architectures.describe(pth_file.read_pth(temporary))
        except ValueError as error:
            raise ValueError(
                f"what {url} gives is no generator: {error}".replace(str(temporary), "it")
            ) from error
        digest, noted = _digest(temporary), _noted(path)
        if noted and digest != noted:
            raise ValueError(
                f"{url} gives another file than at first, by the SHA-256 in {_note(path)}: delete "
                "that if the authors have replaced theirs"
            )
        with whole_file(_note(path)) as note:
            note.write_text(f"{digest}  {path.name}\n")  # as sha256sum --check takes it
        temporary.replace(path)


def _copy(url, target):
    """Downloads a file, all of it."""
    with urllib.request.urlopen(url, timeout=CONNECTION_SECONDS) as response:
        size = response.headers["Content-Length"]
        shown = f" ({int(size) / 2**20:.0f} MiB)" if size else ""
        print(f"downloading {url}{shown}", flush=True)
        with target.open("wb") as file:
            shutil.copyfileobj(response, file)
    if size and target.stat().st_size != int(size):
        raise OSError(f"the connection ended after {target.stat().st_size} of {size} bytes")


def _note(path):
    return path.with_name(f"{path.name}.sha256")


def _noted(path):
    """The SHA-256 of the first download; empty if the file came otherwise."""
    note = _note(path)
    return note.read_text().split()[0] if note.is_file() else ""


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
