"""What is trained, and how. Each method is a module with the same few things.

`create_state(config, key)` and `make_train_step(config, num_examples, groups)` are pure functions;
`PAIRED` says what a batch is: {"input", "target"}, or {"A", "B"} from two sets of images;
`translations(config)` lists what the trained generators can do.
"""

from types import ModuleType

from pix2pix_jax.methods import cyclegan, pix2pix

METHODS: dict[str, ModuleType] = {"pix2pix": pix2pix, "cyclegan": cyclegan}
