"""Statistics of a set of images in an .npz: what FID and KID need of a reference set.

"mu" and "sigma", as pytorch-fid and clean-fid write and read them, and "features", which KID takes.
"""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from pix2pix_jax.metrics.distances import Gaussian
from pix2pix_jax.runtime.whole_file import whole_file


class SetStatistics(NamedTuple):
    """Of the features of a set."""

    gaussian: Gaussian
    features: np.ndarray | None  # [N, D]; None: the file has none


def of_features(features: np.ndarray) -> SetStatistics:
    """Raises ValueError for fewer than 2 images."""
    return SetStatistics(Gaussian.of(features), features)


def save(path: str | os.PathLike[str], statistics: SetStatistics, mode: str) -> None:
    """Writes the statistics of features that were made in `mode` ("clean", "pytorch_fid")."""
    path, features = pathlib.Path(path), {}
    if statistics.features is not None:
        features["features"] = statistics.features
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            mu=statistics.gaussian.mean,
            sigma=statistics.gaussian.covariance,
            mode=np.array(mode),
            **features,
        )


def load(path: str | os.PathLike[str], mode: str) -> SetStatistics:
    """Statistics from a file of ours, of pytorch-fid or of clean-fid.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no such statistics, or they were made in another mode.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        mean, covariance = found["mu"], found["sigma"]
        if mean.ndim != 1 or covariance.shape != (*mean.shape, *mean.shape):
            raise ValueError(f"mu has shape {mean.shape} and sigma {covariance.shape}")
        features = found.get("features")
        if features is not None and features.shape[1:] != mean.shape:
            raise ValueError(f"mu has shape {mean.shape} and features {features.shape}")
        for name in found.keys() & {"mu", "sigma", "features"}:
            if found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
                raise ValueError(f"{name} has values that are no finite numbers")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no file {path}: make it with --save-statistics"
        ) from error
    except OSError:
        raise
    except Exception as error:  # damage makes numpy and zipfile raise nearly anything
        raise ValueError(
            f"{path} holds no statistics of a set ({error}): make it with --save-statistics"
        ) from error
    made_in = str(found.get("mode", mode))  # others' files do not say
    if made_in != mode:
        raise ValueError(
            f"the statistics {path} were made in the mode {made_in}, not {mode}: choose that mode, "
            "or make them anew"
        )
    if features is not None:
        return of_features(features)
    return SetStatistics(Gaussian.from_covariance(mean, covariance), None)
