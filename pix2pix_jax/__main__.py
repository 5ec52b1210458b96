"""Trains, evaluates or applies an image-to-image translator; the head of launch.py has examples.

launch.py, the command `pix2pix-jax` and `python -m pix2pix_jax` start here.
"""

import signal

from pix2pix_jax.runtime import host_memory, source_code


def main() -> None:
    """Runs the command with the arguments of this program."""
    host_memory.restart_with_settings()  # before the imports, which take a second
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # Ctrl-C ends the imports without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    source_code.trust_files()
    from pix2pix_jax import command

    signal.signal(signal.SIGINT, handler)
    command.run()


if __name__ == "__main__":
    main()
