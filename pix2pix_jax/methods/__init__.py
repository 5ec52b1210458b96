"""What is trained, and how. Each method is a module with the same few things.

`create_state(config, key)` and `make_train_step(config, num_examples, groups)` are pure functions;
`DATA` says what a batch is made of (see `data.load`): pairs, sets, images or masked;
`translations(config)` lists what the trained generators can do, `make_translate` does it.
"""

from types import ModuleType

from pix2pix_jax.methods import colorization, cyclegan, inpainting, pix2pix, regression

METHODS: dict[str, ModuleType] = {
    "pix2pix": pix2pix,
    "cyclegan": cyclegan,
    "regression": regression,
    "inpainting": inpainting,
    "colorization": colorization,
}
