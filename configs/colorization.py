"""Colorization: pix2pix from lightness to colour in Lab space, as in the authors' PyTorch code.

    python launch.py --config=configs/colorization.py:folder --config.data.dir=FOLDER
    python launch.py --config=configs/colorization.py:facades
    python launch.py --config=configs/colorization.py:synthetic

Any colour photographs will do: FOLDER holds train/ and val/, or only images, one in 20 of which
is kept for validation. The generator predicts ab from L; pictures and metrics are in RGB. `facades`
uses the photographs of that data set, `synthetic` the offline data set, small enough for two CPU
cores.
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
    config.data.direction = "BtoA"  # the photographs of the pairs
    config.data.input_channels = 1
    config.data.output_channels = 2
    return config
