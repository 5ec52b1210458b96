"""The defaults: every field, with its comment, is in pix2pix_jax/settings/defaults.py.

The other files of this folder, one for each experiment, state what differs from them.
"""

from pix2pix_jax.settings.defaults import get_config

__all__ = ["get_config"]
