"""Colorization: pix2pix from lightness to colour in Lab space, as the PyTorch baseline's model.

    python launch.py --config=configs/colorization.py:folder --config.data.dir=FOLDER
    python launch.py --config=configs/colorization.py:facades
    python launch.py --config=configs/colorization.py:synthetic

Any colour photographs: FOLDER holds train/ and val/, or images alone, of which one in 20 is kept
for validation. The generator takes L and makes ab; pictures and metrics are in RGB. `facades`
takes the photographs of those pairs, `synthetic` the offline data set at a size for two CPU cores.
"""

from configs import default, quickstart

DATA = ("folder", "facades", "synthetic")


def get_config(data: str = "folder"):
    if data not in DATA:
        raise ValueError(f"there is no variant {data!r}; choose one of {', '.join(DATA)}")
    config = quickstart.get_config() if data == "synthetic" else default.get_config()
    config.name = f"colorization_{data}"
    config.method = "colorization"
    config.data.name = data
    config.data.direction = "BtoA"  # of pairs the photographs
    config.data.input_channels = 1
    config.data.output_channels = 2
    return config
