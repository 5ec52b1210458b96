"""Finished runs side by side: python -m pix2pix_jax.report runs/a runs/b."""

import argparse
import sys

from pix2pix_jax.report.comparison import table
from pix2pix_jax.runtime.storage import message_of


def main() -> None:
    """Prints the table of the runs named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m pix2pix_jax.report", description=__doc__)
    parser.add_argument("workdirs", nargs="+", help="folders of finished runs, or their addresses")
    try:
        print(table(parser.parse_args().workdirs))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {message_of(error)}")


if __name__ == "__main__":
    main()
