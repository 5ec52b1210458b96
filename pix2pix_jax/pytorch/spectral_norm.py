"""Spectral normalization in state_dicts, where more arrays stand for the weight of a layer.

torch.nn.utils.spectral_norm keeps weight_orig, which is trained, and the vectors weight_u and
weight_v; its successor among the parametrizations has the same by other names.
"""

import numpy as np

State = dict[str, np.ndarray]
NAMES = {  # of PyTorch: as if the layer had its weight, and weight_u beside it
    "weight_orig": "weight",
    "parametrizations.weight.original": "weight",
    "parametrizations.weight.0._u": "weight_u",
}
FOLLOWS = ("weight_v", "parametrizations.weight.0._v")  # from the others, at the next iteration


def is_normalized(state: State) -> bool:
    """Whether a state_dict has such a layer."""
    return any(name.endswith(tuple(NAMES)) for name in state)


def plain(state: State) -> State:
    """The state_dict with "weight" and "weight_u" for each such layer, and else as it is."""
    found = {}
    for name, array in state.items():
        ending = next((ending for ending in NAMES if name.endswith(f".{ending}")), "")
        if not name.endswith(FOLLOWS):
            found[name.removesuffix(ending) + NAMES.get(ending, "")] = array
    return found


def rename(state: State) -> State:
    """The inverse of `plain`, as torch.nn.utils.spectral_norm names its arrays."""
    found = {}
    for name, array in state.items():
        u = state.get(f"{name}_u")
        found[name if u is None else f"{name}_orig"] = array
        if u is not None:
            v = u @ array.reshape(len(u), -1)
            found[f"{name}_v"] = v / max(np.linalg.norm(v), 1e-12)
    return found
