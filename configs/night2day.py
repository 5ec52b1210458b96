"""pix2pix from day to night (Isola et al. 2017, appendix 6.2).

    python launch.py --config=configs/night2day.py
    python launch.py --config=configs/night2day.py:night2day
    python launch.py --config=configs/night2day.py:lambda50

17,823 pairs from 91 webcams, 17 epochs in batches of 4 at a constant learning rate. `lambda50`
lowers the weight of L1 to 50; in a reproduction this left artefacts in the centre.
"""

from configs import default


def get_config(variant: str = "day2night"):
    config = default.get_config()
    if variant not in ("day2night", "night2day", "lambda50"):
        raise ValueError(
            f"there is no variant {variant!r}; choose day2night, night2day or lambda50"
        )
    config.name = variant if variant != "lambda50" else "day2night_lambda50"
    config.data.name = "night2day"
    # By the data set's name A is the night and B the day; check the first samples.
    config.data.direction = "AtoB" if variant == "night2day" else "BtoA"
    config.loss.lambda_l1 = 50.0 if variant == "lambda50" else 100.0
    config.train.batch_size = 4
    config.optim.epochs = 17
    config.optim.epochs_decay = 0
    return config
