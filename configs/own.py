"""Your own images: pix2pix for pairs, CycleGAN for two sets without pairs.

    python launch.py --config=configs/own.py:paired --config.data.dir=FOLDER
    python launch.py --config=configs/own.py:unpaired --config.data.dir=FOLDER

FOLDER has one of the forms that the README lists, also without folders for splits. The run is
named after it. Height and width come from its training images, at most 512 (paired) or 256
(unpaired) pixels, and for pairs so does the depth of the U-Net; a line says what was chosen. Every
field can be set as ever, --config.data.crop_size=256 for one. A is translated to B, unpaired images
both ways; --config.data.direction=BtoA reverses pairs. The rest is the papers' recipe, 100 + 100
epochs. In Python, `own_data.fill_in` chooses as the command line does.
"""

from configs import cyclegan, default


def get_config(variant: str = "paired"):
    if variant not in ("paired", "unpaired"):
        raise ValueError(f"there is no variant {variant!r}; choose one of paired, unpaired")
    config = default.get_config() if variant == "paired" else cyclegan.base()
    config.data.name = "folder"
    config.name = ""  # of the folder
    config.data.load_size = config.data.crop_size = 0  # of the images
    if variant == "paired":
        config.model.generator = ""  # the deepest U-Net that takes them
    return config
