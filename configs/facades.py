"""pix2pix on CMP facades, label map -> photograph (Isola et al. 2017, appendix 6.2).

    python launch.py --config=configs/facades.py
    python launch.py --config=configs/facades.py:l1 --config.data.dir=FOLDER

The paper's recipe as in the authors' PyTorch code: U-Net 256, 70x70 PatchGAN, cross entropy +
100 L1, Adam 2e-4 (0.5, 0.999), 100 + 100 epochs of 400 pairs in batches of 1: 80,000 steps.
It takes 1 to 4 steps/s on two CPU cores. The variants are the paper's ablations and those that
reproductions report:

    l1, cgan, l1_cgan     the terms of the objective (table 1); l1_cgan is the default
    gan, l1_gan           without and with L1; the discriminator does not see the input
    lambda10, lambda125   weight of L1
    no_jitter             no random crop and no mirroring
    paper                 as the Lua original: dropout on the three innermost ups, [up, skip], no
                          biases, D's loss not halved, G's loss from D before its update, bilinear
                          resize, a constant learning rate
"""

from configs import default


def get_config(variant: str = "l1_cgan"):
    config = default.get_config()
    config.name = "facades" if variant == "l1_cgan" else f"facades_{variant}"
    config.data.name = "facades"
    config.data.direction = "BtoA"
    return apply_variant(config, variant)


def apply_variant(config, variant, *others):
    """Changes `config` to a variant; configs of other data sets, with others, use this too."""
    fields = {
        "l1_cgan": {},
        "l1": {"loss.lambda_gan": 0.0},
        "cgan": {"loss.lambda_l1": 0.0},
        "gan": {"loss.lambda_l1": 0.0, "loss.conditional": False},
        "l1_gan": {"loss.conditional": False},
        "lambda10": {"loss.lambda_l1": 10.0},
        "lambda125": {"loss.lambda_l1": 125.0},
        "paper": {
            "model.dropout_blocks": (1, 2, 3),
            "model.skip_first": False,
            "model.bias": "none",
            "loss.d_loss_factor": 1.0,
            "loss.update_order": "simultaneous",
            "data.resize_method": "bilinear",
            "optim.policy": "constant",
        },
        "no_jitter": {"data.load_size": config.data.crop_size, "data.flip": False},
    } | {name: {} for name in others}
    if variant not in fields:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(fields)}")
    config.update_from_flattened_dict(fields[variant])
    return config
