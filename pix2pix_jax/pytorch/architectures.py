"""Which network a PyTorch state_dict belongs to, and whether it is that of a config."""

import re
from typing import Any

from pix2pix_jax.images import classes
from pix2pix_jax.pytorch import spectral_norm
from pix2pix_jax.pytorch.state_dicts import State

ENHANCER = re.compile(r"model(\d+)_1\.")  # how names of an enhancer's layers begin


def describe(state: State) -> dict[str, Any]:
    """The network that a state_dict belongs to, as the config fields that would build it.

    Returns:
        "model.generator" or "model.discriminator" with its other fields, and the channels as
        "data.input_channels" and "data.output_channels" (a discriminator's as "channels", their
        sum). Of CUT's projection head, "model.projection_width" alone.

    Raises:
        ValueError: it belongs to no network known here.
    """
    is_normalized, state = spectral_norm.is_normalized(state), spectral_norm.plain(state)
    try:
        if "net.0.weight" in state:
            ndf, channels = state["net.0.weight"].shape[:2]
            fields = {"model.discriminator": "pixel", "model.ndf": ndf, "channels": channels}
        elif "model.model.0.weight" in state:
            fields = _describe_unet(state)
        elif "model1_1.1.weight" in state:
            fields = _describe_enhancer(state)
        elif any(".conv_block." in name for name in state):
            fields = _describe_resnet(state)
        elif "scale0_layer0.0.weight" in state or "layer0.0.weight" in state:
            fields = _describe_multiscale(state)
        elif "mlp_0.0.weight" in state:
            return {"model.projection_width": state["mlp_0.0.weight"].shape[0]}
        elif "dw_conv01.0.weight" in state:
            ngf, channels = state["dw_conv01.0.weight"].shape[:2]
            return {
                "model.generator": "inpainting_unet",
                "model.ngf": ngf,
                "data.input_channels": channels,
                "data.output_channels": state["decoder.2.weight"].shape[0],
            }
        elif state["model.0.weight"].shape[2:] == (4, 4):
            convs = sum(array.shape[2:] == (4, 4) for array in state.values())
            ndf, channels = state["model.0.weight"].shape[:2]
            fields = {
                "model.discriminator": "patchgan",
                "model.num_d": 1,
                "model.n_layers": convs - 2,
                "model.antialias": "model.2.filt" in state,
                "model.ndf": ndf,
                "channels": channels,
            }
        else:
            raise KeyError
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            "its layers are those of no U-Net, ResNet, local enhancer, inpainting U-Net, PatchGAN, "
            "pixel discriminator or projection head; the first are "
            + ", ".join(map(repr, list(state)[:3]))
        ) from error
    if "model.discriminator" in fields:
        fields["model.spectral_norm"] = is_normalized
    return {**fields, **_describe_norm(state, fields.get("model.num_d", 1))}


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
    blocks = sorted({int(name.split(".")[1]) for name in state if ".conv_block." in name})
    convs = sorted(
        int(name.split(".")[3])
        for name, array in state.items()
        if name.startswith(f"model.{blocks[0]}.conv_block.") and array.ndim == 4
    )
    last = max(int(name.split(".")[1]) for name in state)
    ngf, channels = state["model.1.weight"].shape[:2]
    zero = convs[0] == 0
    return {
        "model.generator": f"resnet_{len(blocks)}blocks",
        "model.ngf": ngf,
        "model.num_downs": (blocks[0] - 4) // (3 + ("model.7.filt" in state)),
        "model.antialias": "model.7.filt" in state,
        "model.antialias_up": f"model.{blocks[-1] + 1}.filt" in state,
        "dropout": convs[1] - convs[0] == (4 if zero else 5),
        "zero_padding": zero,
        "data.input_channels": channels,
        "data.output_channels": state[f"model.{last}.weight"].shape[0],
    }


def _describe_enhancer(state):
    fields = _describe_resnet({k: array for k, array in state.items() if k.startswith("model.")})
    enhancers = max(int(found[1]) for found in map(ENHANCER.match, state) if found)
    last = f"model{enhancers}_2."
    numbers = {int(name.split(".")[1]) for name in state if name.startswith(last)}
    blocks = {int(n.split(".")[1]) for n in state if n.startswith(last) and ".conv_block." in n}
    return {
        "model.generator": fields["model.generator"].replace("resnet", "enhancer"),
        "model.num_downs": fields["model.num_downs"],
        "model.ngf": state[f"model{enhancers}_1.1.weight"].shape[0],
        "model.local_enhancers": enhancers,
        "model.local_blocks": len(blocks),
        "dropout": False,
        "zero_padding": fields["zero_padding"],
        "data.input_channels": fields["data.input_channels"],
        "data.output_channels": state[f"{last}{max(numbers)}.weight"].shape[0],
    }


def _describe_multiscale(state):
    with_features = "scale0_layer0.0.weight" in state
    first = "scale0_layer0.0.weight" if with_features else "layer0.0.weight"
    prefix = "scale0_" if with_features else "layer0."
    convs = sum(a.ndim == 4 for name, a in state.items() if name.startswith(prefix))
    ndf, channels = state[first].shape[:2]
    return {
        "model.discriminator": "patchgan",
        "model.num_d": len({name.split("_")[0].split(".")[0] for name in state}),
        "model.n_layers": convs - 2,
        "model.ndf": ndf,
        "channels": channels,
    }


def _describe_norm(state, num_d):
    scales = [name for name, array in state.items() if array.ndim == 1 and name.endswith(".weight")]
    if scales and scales[0].replace(".weight", ".running_mean") in state:
        return {"model.norm": "batch"}
    if scales:
        return {"model.norm": "instance", "model.norm_affine": True}
    # Convolutions before an instance norm have a bias; without a norm the last one has, and of each
    # discriminator the first.
    biases = sum(name.endswith(".bias") for name in state)
    return {"model.norm": "instance" if biases > 2 * num_d else "none"}


def check_fields(fields: dict[str, Any], config: Any) -> None:
    """Compares what `describe` found with a config.

    Raises:
        ValueError: they are different networks; says which fields to set.
    """
    data = config.data
    source = classes.num_channels(data)
    expected = {"channels": source + data.output_channels, "data.input_channels": source}
    if config.method != "cyclegan" and not config.loss.conditional:
        expected["channels"] = data.output_channels
    expected["dropout"] = config.model.dropout > 0
    expected["zero_padding"] = config.model.padding == "zero"
    norm = fields.get("model.norm", "none")
    is_discriminator = "model.discriminator" in fields
    own = is_discriminator and config.model.norm_d != "same"
    wanted = config.model.norm_d if own else config.model.norm
    unseen = {norm, wanted} == {"none", "instance"} and "model.norm_affine" not in fields
    if unseen and config.model.bias != "torch":  # biases say nothing of norms then
        norm, fields = wanted, {**fields, "model.norm": wanted}
    if is_discriminator:
        fields = {name: found for name, found in fields.items() if name != "model.norm"}
        fields["model.norm_d"] = norm
        expected["model.norm_d"] = wanted
    fixes = {
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
            wrong.append(fixes.get(name, f"--config.{name}={{}}").format(values.get(name, found)))
    if wrong:
        kinds = ("model.generator", "model.discriminator")
        network = next((fields[kind] for kind in kinds if kind in fields), "projection head")
        raise ValueError(
            f"it holds a {network} with norm {norm}, which is not the network "
            f"of the config: set {' '.join(wrong)}"
        )
