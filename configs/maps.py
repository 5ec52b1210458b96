"""pix2pix on aerial photographs and maps (Isola et al. 2017, appendix 6.2).

    python launch.py --config=configs/maps.py                 aerial -> map
    python launch.py --config=configs/maps.py:map2aerial

1,096 pairs of 600x600, 200 epochs in batches of 1. In the paper's study on Mechanical Turk
photo -> map was taken for real in 6.1 % of trials, map -> photo in 18.9 %. FID published by
mmgeneration: 122.6 and 88.5.
"""

from configs import default


def get_config(variant: str = "aerial2map"):
    config = default.get_config()
    directions = {"aerial2map": "AtoB", "map2aerial": "BtoA"}
    if variant not in directions:
        raise ValueError(f"there is no variant {variant!r}; choose {' or '.join(directions)}")
    config.name = f"maps_{variant}"
    config.data.name = "maps"
    config.data.direction = directions[variant]
    return config
