"""Trains, evaluates or applies an image-to-image translator; the head of launch.py has examples.

launch.py, the command `pix2pix-jax` and `python -m pix2pix_jax` start here.
"""

from pix2pix_jax.runtime import host_memory


def main() -> None:
    """Runs the command with the arguments of this program."""
    host_memory.restart_with_settings()  # before the imports, which take a second
    from pix2pix_jax import command

    command.run()


if __name__ == "__main__":
    main()
