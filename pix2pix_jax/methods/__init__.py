"""What is trained, and how. Each method is a module with the same few functions.

`create_state(config, key)`, `make_train_step(config, num_examples, groups)` and
`make_translate(config)`; `GENERATORS` names the networks that translating needs.
"""

from types import ModuleType

from pix2pix_jax.methods import pix2pix

METHODS: dict[str, ModuleType] = {"pix2pix": pix2pix}
