"""CycleGAN on horses and zebras (Zhu et al. 2017), as the paper's PyTorch code trains it.

    python launch.py --config=configs/horse2zebra.py
    python launch.py --config=configs/horse2zebra.py:no_identity
    python launch.py --config=configs/horse2zebra.py:paper

1,067 horses and 1,334 zebras, 100 + 100 epochs in batches of 1. FID published by mmgeneration:
horse -> zebra 64.5 (without identity loss 74.8), zebra -> horse 141.2 (134.4). `paper` follows the
Lua original: affine instance norm, no biases, discriminator losses that are not halved, G_A, D_A,
G_B, D_B updated in turn, and a decay of the learning rate that begins an epoch later.
"""

from configs import cyclegan


def get_config(variant: str = "torch"):
    config = cyclegan.get_config("horse2zebra")
    fields = {
        "torch": {},
        "no_identity": {"loss.lambda_identity": 0.0},
        "paper": {
            "model.norm_affine": True,
            "model.bias": "none",
            "loss.d_loss_factor": 1.0,
            "loss.update_order": "alternating",
            "optim.policy": "linear_late",
        },
    }
    if variant not in fields:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(fields)}")
    config.name = "horse2zebra" if variant == "torch" else f"horse2zebra_{variant}"
    config.update_from_flattened_dict(fields[variant])
    return config
