"""Image-to-image translation in JAX: pix2pix and its relatives, exact to their references.

import pix2pix_jax
model = pix2pix_jax.load("runs/facades")
photo = model(label)
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pix2pix_jax.loaded_model import LoadedModel


def load(
    path: str | os.PathLike[str], direction: str = "", fields: dict[str, Any] | None = None
) -> "LoadedModel":
    """A trained generator, ready to be called with images.

    Args:
        path: the workdir of a run, which may be an address in object storage, PyTorch's .pth, or
            the name of a published generator, such as horse2zebra (see `pytorch.published`).
        direction: of a CycleGAN, which has two: A2B or B2A.
        fields: fields of the run's config to be changed, such as {"eval.dropout": False}; all are
            in pix2pix_jax/settings/defaults.py.

    Raises:
        ValueError, OSError: there is no such model or direction, or it is damaged; one sentence.
    """
    from pix2pix_jax import loaded_model  # now, for JAX takes a second to import

    return loaded_model.load(path, direction, fields or {})
