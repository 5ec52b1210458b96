"""PyTorch's .pth files of a model's networks: which file has which, and its variables.

Its code saves every network in a file of its own: latest_net_G_A.pth, latest_net_D_A.pth.
"""

import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from flax import traverse_util

from pix2pix_jax.methods.contract import GENERATOR, OTHER
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.pytorch import architectures, layer_names, pth_file, published, state_dicts
from pix2pix_jax.runtime import storage

PTH_NAME = re.compile(r"(.*_net_)G(_[AB])?(.*)\.pth")  # latest_net_G_A.pth


def torch_keys(config: Any, name: str) -> layer_names.Keys:
    """PyTorch's names of the layers of network `name`."""
    role = METHODS[config.method].networks(config, 1)[name].role
    if role == OTHER:
        return layer_names.projection_keys(len(config.loss.nce_layers))
    if role == GENERATOR:
        return layer_names.generator_keys(config.model)
    if config.model.num_d > 1 or config.method == "pix2pixhd":
        return layer_names.multiscale_keys(config.model, bool(config.loss.lambda_feat))
    return layer_names.discriminator_keys(config.model)


def files_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The generators' files in a folder, by the names that PyTorch's code gives them."""
    return sorted(path for path in folder.glob("*.pth") if PTH_NAME.fullmatch(path.name))


def local_path(init_from: str, names: Iterable[str]) -> pathlib.Path:
    """The path of a .pth on this machine, beside which are those of the networks `names`.

    Raises:
        FileNotFoundError, OSError: as `storage.local_copy` does, for one in object storage.
    """
    if not storage.is_remote(init_from):
        return pathlib.Path(init_from)
    folder, _, name = init_from.rpartition("/")
    path = pathlib.PurePath(name)
    # Of the same epoch: a folder of PyTorch's code can have files of many.
    wanted = {path, *(neighbour(path, network) for network in names)}
    return storage.local_copy(folder, wanted.__contains__) / name


def files_of(path: pathlib.Path, names: Iterable[str]) -> dict[str, pathlib.Path]:
    """The .pth files of those networks that have one: `path` and its neighbours, by their names.

    Raises:
        FileNotFoundError: `path` does not exist.
    """
    if not path.is_file():
        kind = "weights file" if path.suffix == ".pth" else "run or weights file (.pth)"
        raise FileNotFoundError(f"there is no {kind} {path}{published.hint(path)}")
    # Whatever the file of a lone generator is called, be it a CycleGAN's G_A.
    files = {name: path if name == "G" else neighbour(path, name) for name in names}
    return {name: file for name, file in files.items() if file and file.is_file()}


def neighbour(path: pathlib.Path, name: str) -> pathlib.Path | None:
    """Where PyTorch's code saves network `name` beside `path`; None if `path` does not say."""
    match = PTH_NAME.fullmatch(path.name)
    if not match or ("_" in name and not match[2]):
        return None
    return path.with_name(f"{match[1]}{name}{match[3]}.pth")


def names_a_side(path: pathlib.Path) -> bool:
    """Whether a file's name says which of CycleGAN's generators it is."""
    return neighbour(path, "G_A") is not None


def remedy(path: pathlib.Path, missing: Sequence[str]) -> str:
    """What to do about generators of CycleGAN that are missing beside `path`."""
    if len(missing) == 1:
        return f"put {neighbour(path, missing[0]).name} beside it"
    return "give latest_net_G_A.pth as config.init_from, with latest_net_G_B.pth beside it"


def read_networks(
    config: Any, files: dict[str, pathlib.Path], target: dict[str, Any]
) -> dict[str, Any]:
    """Variables of the networks in `files`, by name.

    Raises:
        ValueError: a file is damaged, or its arrays are not those of `target`, which has the
            shapes of each network's variables.
    """
    # Generators first: what is wrong with them is wrong with all.
    names = sorted(files, key=lambda name: (not name.startswith("G"), name))
    return {name: _read_network(config, files[name], name, target[name]) for name in names}


def _read_network(config, path, name, target):
    state = pth_file.read_pth(path)
    try:
        fields = architectures.describe(state)
        if name.startswith("G") and "model.discriminator" in fields:
            raise ValueError("it holds a discriminator: give the .pth of the generator")
        architectures.check_fields(fields, config)
        state = state_dicts.in_order(state, config.model)
        variables = state_dicts.to_flax(state, torch_keys(config, name))
        variables = _without_needless_biases(variables, target)
        _check_tree(variables, target)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return variables


def _without_needless_biases(variables, target):
    """Without the biases that the network does not have, where they are zero."""
    wanted = traverse_util.flatten_dict(target)
    flat = {
        path: leaf
        for path, leaf in traverse_util.flatten_dict(variables, keep_empty_nodes=True).items()
        if path[-1] != "bias" or path in wanted or leaf.any()
    }
    return traverse_util.unflatten_dict(flat)


def _check_tree(variables, target):
    """Raises ValueError unless both trees have the same leaves with the same shapes."""
    found, wanted = (
        {name: leaf.shape for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (variables, target)
    )
    wrong = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{len(wrong)} of its arrays do not fit the network of the config; {name} has shape "
            f"{found.get(name)} in the file and {wanted.get(name)} in the network"
        )
