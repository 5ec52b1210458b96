"""The loop of every export: a trained generator of each direction becomes a file, or several."""

import pathlib
from collections.abc import Callable
from typing import Any

from pix2pix_jax import weights
from pix2pix_jax.export.description import file_stem
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import storage
from pix2pix_jax.runtime.whole_file import whole_file

# (direction, variables of its generator) -> contents by ending, the model's first, and a remark
Make = Callable[[Direction, Any], tuple[dict[str, bytes], str]]


def export_each(config: Any, workdir: str, output: str, make: Make) -> list[pathlib.Path]:
    """Writes what `make` gives for each direction of `config.eval.direction` into `output`.

    `output` is a folder, or its address in object storage.

    Returns:
        the models' files.

    Raises:
        ValueError, OSError: as `weights.load_generators` and `make`.
    """
    storage.check_writable(output)
    variables, origin = weights.load_generators(config, workdir)
    paths = []
    with storage.output_folder(output) as folder:
        for direction in METHODS[config.method].directions(config):
            contents, remark = make(direction, variables[direction.generator])
            stem = file_stem(config, direction)
            for ending, content in contents.items():
                with whole_file(folder / f"{stem}{ending}") as temporary:
                    temporary.write_bytes(content)
            ending, model = next(iter(contents.items()))
            paths.append(folder / f"{stem}{ending}")
            size = len(model) / 1e6
            print(
                f"wrote {storage.shown(paths[-1])} ({size:.1f} MB) with {origin}{remark}",
                flush=True,
            )
    return paths
