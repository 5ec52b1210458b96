"""Serves the page that runs exported models in the browser.

python -m pix2pix_jax.web                           with the small model that comes with it
python -m pix2pix_jax.web runs/quickstart           with your own: runs, or PyTorch's generators
python -m pix2pix_jax.web runs/a b.pth --output=site --export_only     only makes the folder
"""

import pathlib
import shlex
import sys

from pix2pix_jax.runtime.storage import message_of
from pix2pix_jax.settings import subcommands
from pix2pix_jax.web import runtime, server

PAGE = pathlib.Path(__file__).parent.parent.parent / "web"


def main() -> None:
    """Makes the folder if models are named, and serves it until Ctrl-C."""
    parser = subcommands.parser("web", __doc__)
    parser.add_argument("models", nargs="*", help="runs, or generators of PyTorch's code (.pth)")
    parser.add_argument("--output", help="folder for the page with them; default: MODEL/web")
    parser.add_argument(
        "--offline",
        action="store_true",
        help="put onnxruntime-web beside the page, with npm: then it needs no network",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the whole network")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--export_only", action="store_true", help="make the folder, serve nothing")
    options = parser.parse_args()
    try:
        if not options.export_only:  # before minutes of exporting
            server.start(PAGE, options.host, options.port).server_close()
        folder = _make(options)
        if options.offline:
            runtime.fetch(folder)
        if options.export_only:
            serve = f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(folder))}"
            print(f"the page is in {folder}, for any static host; {serve} serves it here")
        else:
            server.serve(folder, options.host, options.port)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {message_of(error)}")


def _make(options):
    """The folder to serve."""
    if not PAGE.is_dir():
        raise FileNotFoundError(f"there is no {PAGE}: the page is part of the repository")
    if not options.models:
        return PAGE
    from pix2pix_jax.settings.defaults import get_config
    from pix2pix_jax.web import site  # which loads JAX

    first = options.models[0].removesuffix(".pth")
    folder = pathlib.Path(options.output or pathlib.Path(first) / "web")
    site.make(PAGE, folder, options.models, get_config)
    return folder


if __name__ == "__main__":
    main()
