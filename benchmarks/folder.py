"""Times a folder of images, translated by --mode=translate and as PyTorch's test.py does, in turns.

    python -m benchmarks.folder
    python -m benchmarks.folder --network=resnet_9blocks --images=64

Both take the same PNG files of the network's size and the same random weights (a .pth file), and
write PNG files; test.py of the public code reads, translates and writes one by one. Each run is a
whole process; a run of a few images is subtracted, and with it what starting and compiling takes.
Medians over rounds. Dropout is off, so that results can be compared.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from benchmarks import torch_baseline, torch_input

ROOT = pathlib.Path(__file__).parents[1]
FEW = 16
NETWORKS = {
    "unet_256": lambda ngf: torch_baseline.UnetGenerator(ngf=ngf, dropout=False),
    "unet_128": lambda ngf: torch_baseline.UnetGenerator(ngf=ngf, dropout=False, num_downs=7),
    "resnet_9blocks": lambda ngf: torch_baseline.ResnetGenerator(ngf=ngf),
}
CONFIGS = {"resnet_9blocks": "cyclegan.py:facades"}


def theirs(network: str, ngf: int, folder: pathlib.Path, source: str) -> None:
    """Translates folder/source into folder/theirs, as test.py does."""
    net = NETWORKS[network](ngf)
    net.load_state_dict(torch.load(folder / "latest_net_G.pth"))
    (folder / "theirs").mkdir(exist_ok=True)
    for path in sorted((folder / source).iterdir()):
        levels = torch_input.to_tensor(Image.open(path).convert("RGB"))
        with torch.no_grad():
            output = net(torch_input.normalized(levels)[None])[0]
        output = (output.float().numpy().transpose(1, 2, 0) + 1) / 2 * 255
        Image.fromarray(output.astype(np.uint8)).save(folder / "theirs" / path.name)


def seconds(command: list[str]) -> float:
    """Of a whole process."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def prepare(folder: pathlib.Path, network: str, ngf: int, images: int, size: int) -> None:
    """Writes two folders of images, the smaller one the beginning of the other, and the weights."""
    random = np.random.default_rng(0)
    for i in range(images):
        blocks = Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8))
        image = blocks.resize((size, size), Image.Resampling.BICUBIC)
        for name in ["many"] + ["few"] * (i < FEW):
            (folder / name).mkdir(exist_ok=True)
            image.save(folder / name / f"{i:05}.png")
    net = torch_baseline.init_weights(NETWORKS[network](ngf), 0)
    torch.save(net.state_dict(), folder / "latest_net_G.pth")


def commands(options: argparse.Namespace, folder: pathlib.Path, size: int) -> list[Callable]:
    """Of ours and theirs, for one of the two folders."""
    network, ngf = options.network, options.ngf
    flags = [f"--config=configs/{CONFIGS.get(network, 'facades.py')}", "--mode=translate"]
    flags += [f"--config.model.generator={network}", f"--config.model.ngf={ngf}"]
    flags += [f"--config.data.crop_size={size}", f"--config.init_from={folder}/latest_net_G.pth"]
    flags += ["--config.eval.dropout=False", f"--output={folder}/ours"]
    flags += ["--config.eval.direction=A2B"] * (network in CONFIGS)
    flags += [f"--compilation_cache={folder}/cache"]
    module = ["-m", "benchmarks.folder", f"--network={network}", f"--ngf={ngf}"]
    return [
        lambda source: [sys.executable, "launch.py", *flags, f"--input={folder}/{source}"],
        lambda source: [sys.executable, *module, "--theirs", str(folder), source],
    ]


def apart(folder: pathlib.Path) -> int:
    """Levels by which results differ at most."""
    files = [sorted((folder / side).iterdir()) for side in ("ours", "theirs")]
    pairs = [[np.array(Image.open(path), int) for path in two] for two in zip(*files, strict=True)]
    return max(np.abs(a - b).max() for a, b in pairs)


def main() -> None:
    """Prints a Markdown row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=NETWORKS, default="unet_256")
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--theirs", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.theirs:
        folder, source = options.theirs
        return theirs(options.network, options.ngf, pathlib.Path(folder), source)
    if options.images <= FEW:
        parser.error(f"--images must be more than {FEW}, whose time is subtracted")
    size = 128 if options.network == "unet_128" else 256
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder, options.network, options.ngf, options.images, size)
        sides = commands(options, folder, size)
        found = [[], []]
        seconds(sides[0]("few"))  # compiles
        for _ in range(options.rounds):
            for command, times in zip(sides, found, strict=True):
                few = seconds(command("few"))
                times.append((seconds(command("many")) - few) / (options.images - FEW))
        levels = apart(folder)
    ours, other = (1000 * statistics.median(times) for times in found)
    print("| network | size | ours, ms an image | PyTorch, ms an image | ratio | levels apart |")
    print("|---|---|---|---|---|---|")
    line = f"{options.network}, ngf {options.ngf} | {size} | {ours:.1f} | {other:.1f}"
    print(f"| {line} | {ours / other:.2f} | {levels} |")
    return None


if __name__ == "__main__":
    main()
