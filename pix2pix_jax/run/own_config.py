"""A config file for runs that there are: --config=own_config.py:WORKDIR is what WORKDIR says.

The command takes it where --workdir stands alone.
"""

from typing import Any

from pix2pix_jax.run.config_file import run_config
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.settings.defaults import get_config as defaults


def get_config(workdir: str) -> Any:
    """The config that the run in `workdir`, a folder or an address, was trained with."""
    try:
        with open_run(workdir) as run:
            run.pull()
            return run_config(run.folder, defaults)
    except Exception as error:  # whatever a file that is no config makes of itself
        reason = str(error) or type(error).__name__
        raise ValueError(f"{reason}: give --config=FILE or another --workdir") from error
