"""PyTorch's side of the input benchmark: pairs A|B as the public PyTorch code loads them.

A file of its own that imports little: each worker of the DataLoader imports it.
"""

import pathlib
import random

import numpy as np
import torch
from PIL import Image


class AlignedPairs(torch.utils.data.Dataset):
    """Resized to 286x286 (bicubic), one crop of 256x256 and one mirroring for both, in [-1, 1]."""

    def __init__(self, folder: pathlib.Path, count: int, load: int = 286, crop: int = 256):
        self.paths = sorted(folder.glob("*.jpg"))[:count]
        self._load, self._crop = load, crop

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        pair = Image.open(self.paths[index]).convert("RGB")
        width, height = pair.size
        left, top = (random.randint(0, self._load - self._crop) for _ in range(2))
        mirrored = random.random() > 0.5
        halves = {"A": (0, 0, width // 2, height), "B": (width // 2, 0, width, height)}
        example = {}
        for name, box in halves.items():
            image = pair.crop(box).resize((self._load, self._load), Image.Resampling.BICUBIC)
            image = image.crop((left, top, left + self._crop, top + self._crop))
            if mirrored:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            example[name] = normalized(to_tensor(image))
        return example


def to_tensor(image):
    """torchvision's ToTensor."""
    levels = torch.from_numpy(np.array(image, np.uint8, copy=True))
    return levels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def normalized(tensor):
    """torchvision's Normalize with mean and deviation 0.5."""
    half = torch.full((3, 1, 1), 0.5)
    return tensor.clone().sub_(half).div_(half)


def loader(
    folder: pathlib.Path, count: int, batch: int, workers: int
) -> torch.utils.data.DataLoader:
    """Shuffled batches of `count` pairs; its processes stay from one epoch to the next."""
    return torch.utils.data.DataLoader(
        AlignedPairs(folder, count),
        batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="forkserver",  # without JAX's threads
    )
