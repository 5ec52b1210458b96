"""Names and shapes of the PyTorch baselines' state_dicts, and their way to Flax and back."""

import re
from typing import Any

import numpy as np

State = dict[str, np.ndarray]
Keys = dict[str, tuple[str, ...]]  # torch prefix -> path of the Flax layer
STALE = ("running_mean", "running_var", "num_batches_tracked")  # of an InstanceNorm, before 0.4


def unet_keys(num_downs: int) -> Keys:
    """Layers of a U-Net; level k of the nest holds down_k, up_k and their norms."""
    keys = {"model.model.0": ("down_1",), "model.model.3": ("up_1",)}
    for k in range(2, num_downs + 1):
        level = "model.model.1" + ".model.3" * (k - 2) + ".model."
        keys[level + "1"] = (f"down_{k}",)
        if k < num_downs:
            keys[level + "2"] = (f"down_norm_{k}",)
        keys[level + ("5" if k < num_downs else "3")] = (f"up_{k}",)
        keys[level + ("6" if k < num_downs else "4")] = (f"up_norm_{k}",)
    return keys


def resnet_keys(num_blocks: int, dropout: bool, padding: str = "reflect") -> Keys:
    """Layers of a ResNet generator; dropout and zero padding shift the numbers in its blocks."""
    keys = {"model.1": ("conv_in",), "model.2": ("norm_in",)}
    for i in (1, 2):
        keys[f"model.{1 + 3 * i}"] = (f"down_{i}",)
        keys[f"model.{2 + 3 * i}"] = (f"down_norm_{i}",)
    pad = 0 if padding == "zero" else 1
    first = pad
    second = first + 3 + (1 if dropout else 0) + pad
    for i in range(1, num_blocks + 1):
        prefix, block = f"model.{9 + i}.conv_block.", f"block_{i}"
        keys[f"{prefix}{first}"] = (block, "conv_1")
        keys[f"{prefix}{first + 1}"] = (block, "norm_1")
        keys[f"{prefix}{second}"] = (block, "conv_2")
        keys[f"{prefix}{second + 1}"] = (block, "norm_2")
    for i in (1, 2):
        keys[f"model.{7 + num_blocks + 3 * i}"] = (f"up_{i}",)
        keys[f"model.{8 + num_blocks + 3 * i}"] = (f"up_norm_{i}",)
    keys[f"model.{17 + num_blocks}"] = ("conv_out",)
    return keys


def patchgan_keys(n_layers: int) -> Keys:
    """Layers of a PatchGAN."""
    keys = {"model.0": ("conv_0",)}
    for i in range(1, n_layers + 1):
        keys[f"model.{3 * i - 1}"] = (f"conv_{i}",)
        keys[f"model.{3 * i}"] = (f"norm_{i}",)
    keys[f"model.{3 * n_layers + 2}"] = (f"conv_{n_layers + 1}",)
    return keys


def pixel_keys() -> Keys:
    """Layers of the pixel discriminator."""
    layers = ("net.0", "conv_0"), ("net.2", "conv_1"), ("net.3", "norm_1"), ("net.5", "conv_2")
    return {prefix: (name,) for prefix, name in layers}


def inpainting_keys() -> Keys:
    """Layers of PEN-Net's encoder and decoder without attention."""
    keys = {f"dw_conv0{k}.0": (f"down_{k}",) for k in range(1, 7)}
    keys |= {f"up_conv0{k}.0": (f"up_{k}",) for k in range(1, 6)}
    return keys | {"decoder.0": ("out_1",), "decoder.2": ("out_2",)}


def generator_keys(model: Any) -> Keys:
    """Layers of the generator that a config's `model` section describes.

    Raises:
        ValueError: the baseline has no such network.
    """
    if model.upsample != "transposed" or model.norm_innermost:
        raise ValueError(
            "PyTorch weights go with model.upsample=transposed and model.norm_innermost=False only"
        )
    if model.generator == "inpainting_unet":
        return inpainting_keys()
    match = re.fullmatch(r"(unet|resnet)_(\d+)(?:blocks)?", model.generator)
    if not match:
        raise ValueError(
            f"there is no PyTorch network of one known form for model.generator={model.generator}, "
            "so its weights can be neither read from a .pth nor written to one"
        )
    if match[1] == "unet":
        return unet_keys(int(match[2]).bit_length() - 1)
    return resnet_keys(int(match[2]), model.dropout > 0, model.padding)


def discriminator_keys(model: Any) -> Keys:
    """Layers of the discriminator that a config's `model` section describes."""
    return pixel_keys() if model.discriminator == "pixel" else patchgan_keys(model.n_layers)


def to_flax(state: State, keys: Keys) -> dict[str, Any]:
    """{"params", "batch_stats"} of a state_dict; stale InstanceNorm statistics are dropped.

    Raises:
        ValueError: the state_dict has a layer that `keys` does not name.
    """
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    leaves = {"running_mean": "mean", "running_var": "var", "bias": "bias"}
    for name, array in state.items():
        prefix, leaf = name.rsplit(".", 1)
        if prefix not in keys:
            raise ValueError(f"there is no place for {name} {array.shape}")
        has_norm = f"{prefix}.weight" in state and state[f"{prefix}.weight"].ndim == 1
        if leaf == "num_batches_tracked" or (leaf in STALE and not has_norm):
            continue
        if leaf == "weight":
            leaf = "kernel" if array.ndim == 4 else "scale"
            # Conv2d [O, I, K, K] and ConvTranspose2d [I, O, K, K] turn into HWIO alike.
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        collection = "batch_stats" if leaf.startswith("running_") else "params"
        place = variables[collection]
        for part in keys[prefix]:
            place = place.setdefault(part, {})
        place[leaves.get(leaf, leaf)] = np.ascontiguousarray(array, np.float32)
    return variables


def to_torch(variables: dict[str, Any], keys: Keys, num_batches: int = 0) -> State:
    """The state_dict of a Flax network; `num_batches` goes into num_batches_tracked."""
    state: State = {}
    for prefix, path in sorted(keys.items(), key=lambda item: _natural(item[0])):
        params, stats = variables["params"], variables.get("batch_stats", {})
        for part in path:
            params, stats = params.get(part, {}), stats.get(part, {})
        if "kernel" in params:
            kernel = np.asarray(params["kernel"])
            state[f"{prefix}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        if "scale" in params:
            state[f"{prefix}.weight"] = np.asarray(params["scale"])
        if "bias" in params:
            state[f"{prefix}.bias"] = np.asarray(params["bias"])
        if stats:
            state[f"{prefix}.running_mean"] = np.asarray(stats["mean"])
            state[f"{prefix}.running_var"] = np.asarray(stats["var"])
            state[f"{prefix}.num_batches_tracked"] = np.array(num_batches, np.int64)
    return state


def describe(state: State) -> dict[str, Any]:
    """The network that a state_dict belongs to, as the config fields that would build it.

    Returns:
        "model.generator" or "model.discriminator" with the fields that go with it, and the
        channels as "data.input_channels" and "data.output_channels" (a discriminator's: both
        together, as "channels").

    Raises:
        ValueError: it belongs to no network that we know.
    """
    try:
        if "net.0.weight" in state:
            ndf, channels = state["net.0.weight"].shape[:2]
            fields = {"model.discriminator": "pixel", "model.ndf": ndf, "channels": channels}
        elif "model.model.0.weight" in state:
            fields = _describe_unet(state)
        elif any(".conv_block." in name for name in state):
            fields = _describe_resnet(state)
        elif "dw_conv01.0.weight" in state:
            ngf, channels = state["dw_conv01.0.weight"].shape[:2]
            return {
                "model.generator": "inpainting_unet",
                "model.ngf": ngf,
                "data.input_channels": channels,
                "data.output_channels": state["decoder.2.weight"].shape[0],
            }
        elif state["model.0.weight"].shape[2:] == (4, 4):
            last = max(int(name.split(".")[1]) for name in state)
            ndf, channels = state["model.0.weight"].shape[:2]
            fields = {
                "model.discriminator": "patchgan",
                "model.n_layers": (last - 2) // 3,
                "model.ndf": ndf,
                "channels": channels,
            }
        else:
            raise KeyError
    except (KeyError, ValueError) as error:
        raise ValueError(
            "its layers are those of no U-Net, ResNet, inpainting U-Net, PatchGAN or pixel "
            "discriminator; the first are " + ", ".join(list(state)[:3])
        ) from error
    return {**fields, "model.norm": _describe_norm(state)}


def _describe_unet(state):
    downs = max(name.count(".model.") for name in state)  # one level of the nest each
    ngf, channels = state["model.model.0.weight"].shape[:2]
    return {
        "model.generator": f"unet_{2**downs}",
        "model.ngf": ngf,
        "data.input_channels": channels,
        "data.output_channels": state["model.model.3.weight"].shape[1],
    }


def _describe_resnet(state):
    blocks = {name.split(".")[1] for name in state if ".conv_block." in name}
    convs = sorted(
        int(name.split(".")[3])
        for name, array in state.items()
        if name.startswith("model.10.conv_block.") and array.ndim == 4
    )
    ngf, channels = state["model.1.weight"].shape[:2]
    zero = convs[0] == 0
    return {
        "model.generator": f"resnet_{len(blocks)}blocks",
        "model.ngf": ngf,
        "dropout": convs[1] - convs[0] == (4 if zero else 5),
        "zero_padding": zero,
        "data.input_channels": channels,
        "data.output_channels": state[f"model.{17 + len(blocks)}.weight"].shape[0],
    }


def _describe_norm(state):
    if any(array.ndim == 1 and name.endswith(".weight") for name, array in state.items()):
        return "batch"
    # Convolutions before an instance norm have a bias; without a norm only the last one has.
    biases = sum(name.endswith(".bias") for name in state)
    return "instance" if biases > 2 else "none"


def check_fields(fields: dict[str, Any], config: Any) -> None:
    """Compares what `describe` found with a config.

    Raises:
        ValueError: they are different networks; says which fields to set.
    """
    data = config.data
    expected = {"channels": data.input_channels + data.output_channels}
    if config.method != "cyclegan" and not config.loss.conditional:
        expected["channels"] = data.output_channels
    expected["dropout"] = config.model.dropout > 0
    expected["zero_padding"] = config.model.padding == "zero"
    mends = {
        "dropout": "--config.model.dropout={}",
        "zero_padding": "--config.model.padding={}",
        "channels": "--config.data.input_channels and output_channels to a sum of {}",
    }
    values = {
        "dropout": 0.5 if fields.get("dropout") else 0.0,
        "zero_padding": "zero" if fields.get("zero_padding") else "reflect",
    }
    wrong = []
    if config.method == "cyclegan":  # both directions and domains: the shapes are compared later
        fields = {name: value for name, value in fields.items() if "channels" not in name}
    for name, found in fields.items():
        section, _, field = name.partition(".")
        wanted = expected[name] if name in expected else config[section][field]
        if found != wanted:
            wrong.append(mends.get(name, f"--config.{name}={{}}").format(values.get(name, found)))
    if wrong:
        network = fields.get("model.generator") or fields["model.discriminator"]
        raise ValueError(
            f"it holds a {network} with norm {fields.get('model.norm', 'none')}, which is not the "
            f"network of the config: set {' '.join(wrong)}"
        )


def _natural(name):
    return [int(part) if part.isdigit() else part for part in name.split(".")]
