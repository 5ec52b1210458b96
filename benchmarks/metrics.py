"""Times the features of FID over a folder of PNG files, ours and pytorch-fid's, in turns.

    python -m benchmarks.metrics --theirs=PYTHON

PYTHON is an interpreter that has pytorch-fid (its torchvision wants another PyTorch than the one of
requirements-dev.txt); without it, the same network in PyTorch of tests/ takes its place. Weights
are random. Reading the files counts, compilation does not; batches are each program's own (50
there). Medians over rounds.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import torch
from PIL import Image

from pix2pix_jax.metrics import folders, inception_features
from pix2pix_jax.pytorch.pth_file import read_pth, write_pth
from tests import torch_measuring

BATCH = 32  # of ours
THEIRS_BATCH = 50  # pytorch-fid's default

# Runs where our modules may not be importable: prints the seconds of each round.
THEIRS = """
import pathlib, sys, time
import torch
import pytorch_fid.inception as inception
from pytorch_fid.fid_score import get_activations

folder, batch = pathlib.Path(sys.argv[1]), int(sys.argv[2])
inception.load_state_dict_from_url = lambda *a, **k: torch.load(folder / "weights.pth")
model = inception.InceptionV3([3])
files = sorted(map(str, folder.glob("*.png")))
get_activations(files[:4], model, 4, num_workers=0)
print("version", torch.__version__, flush=True)
for _ in sys.stdin:
    began = time.perf_counter()
    get_activations(files, model, batch, num_workers=2)
    print("seconds", time.perf_counter() - began, flush=True)
"""


def serve(side: str, folder: pathlib.Path) -> None:
    """Describes the folder once for every line of the input, and prints the seconds."""
    state = read_pth(folder / "weights.pth")
    if side == "ours":
        variables = inception_features.variables_of(state)
        features = inception_features.describer(variables, "pytorch_fid", BATCH)
        files = folders.find(str(folder))
        run = lambda: folders.describe(files, features, BATCH, str(folder))
        run()
        print("version", jax.__version__, flush=True)
    else:
        net = torch_measuring.Inception()
        arrays = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
        net.load_state_dict(arrays, strict=False)
        files = [(path,) for path in folders.find(str(folder))]
        run = lambda: [
            _forward(net.eval(), x) for (x,) in folders.batches(files, (3,), THEIRS_BATCH, "")
        ]
        print("version", torch.__version__, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print("seconds", time.perf_counter() - began, flush=True)


def _forward(net, images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return net(torch.nn.functional.interpolate(x, (299, 299), mode="bilinear"))


class Contestant:
    """One side in a process of its own."""

    def __init__(self, command: list[str]):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.version = self._answer("version")

    def seconds(self) -> float:
        """Of one round."""
        print(file=self._process.stdin, flush=True)
        return float(self._answer("seconds"))

    def _answer(self, word):
        for line in self._process.stdout:
            if line.startswith(word):  # and is no progress line
                return line.split()[1]
        raise RuntimeError(f"the other process has ended without telling its {word}")


def main() -> None:
    """Prints one Markdown row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theirs", help="a Python interpreter with pytorch-fid")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve[0], pathlib.Path(options.serve[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random = np.random.default_rng(0)
        for i in range(options.images):
            small = random.integers(0, 256, (8, 8, 3), np.uint8)
            image = Image.fromarray(small).resize((options.size,) * 2, Image.Resampling.BICUBIC)
            image.save(folder / f"{i:05}.png")
        net = torch_measuring.randomize(torch_measuring.Inception(), torch.randn(4, 3, 75, 75))
        state = {n: a.numpy() for n, a in net.state_dict().items() if "num_batches" not in n}
        write_pth(folder / "weights.pth", state)
        command = [sys.executable, "-m", "benchmarks.metrics", "--serve"]
        theirs = [*command, "theirs", name]
        if options.theirs:
            theirs = [options.theirs, "-c", THEIRS, name, str(THEIRS_BATCH)]
        sides = {"ours": Contestant([*command, "ours", name]), "theirs": Contestant(theirs)}
        found = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side, contestant in sides.items():
                found[side].append(contestant.seconds())
    rates = {side: options.images / statistics.median(times) for side, times in found.items()}
    print(f"jax {sides['ours'].version}, torch {sides['theirs'].version}")
    print("| images | ours, images/s | pytorch-fid, images/s | ratio of the times |")
    print("|---|---|---|---|")
    ratio = rates["theirs"] / rates["ours"]
    line = f"{options.size}x{options.size} | {rates['ours']:.1f} | {rates['theirs']:.1f}"
    print(f"| {line} | {ratio:.2f} |")
    return None


if __name__ == "__main__":
    main()
