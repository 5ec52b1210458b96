r"""Blends a part of one image into another.

python -m pix2pix_jax.blending --foreground=bear.png --background=water.jpg \
    --mask=mask.png --offset=120,40 --output=blended.png
"""

import argparse
import pathlib
import sys
import time

from pix2pix_jax.blending.poisson import FORMER_NAMES, SOLVERS, blend
from pix2pix_jax.blending.polygons import polygon_mask, read_points
from pix2pix_jax.images.files import read_image, read_mask, save_png
from pix2pix_jax.images.finding import EXTENSIONS
from pix2pix_jax.runtime import console, storage
from pix2pix_jax.settings import subcommands


def _offset(text):
    try:
        x, y = map(int, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not two whole numbers, such as 120,40"
        ) from error
    return x, y


def _png(text):
    """The path of the result: of the PNG file that is meant by x.png, x.jpg or x alone.

    Raises:
        ValueError: another ending than was given would lead to a file that is there.
    """
    path = pathlib.Path(text)
    if path.is_dir() or path.suffix.lower() == ".png":
        return path
    known = path.suffix.lower() in EXTENSIONS
    result = path.with_suffix(".png") if known else pathlib.Path(f"{path}.png")
    if result.exists():
        raise ValueError(
            f"results are PNG files, and {result} is there already: give the name of another one "
            "as --output"
        )
    return result


def _check_output(output, sources):
    """Raises before the work if the result could not be written, or would replace a source."""
    for source in filter(None, sources):
        if storage.resolved(output) == storage.resolved(source):
            raise ValueError(f"{output} is an image to blend: give another --output")
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder: give a PNG file in it as --output")
    storage.check_writable(output.parent)


def main() -> None:
    """Blends two images as the command line says."""
    parser = subcommands.parser("blending", __doc__)
    parser.add_argument("--foreground", required=True, help="image to take from")
    parser.add_argument("--background", required=True, help="image to blend it into")
    area = parser.add_mutually_exclusive_group(required=True)
    area.add_argument("--mask", help="image of the foreground's size, white in the part to take")
    area.add_argument("--polygon", help="text file with x,y of one corner on each line")
    parser.add_argument(
        "--offset", type=_offset, default=(0, 0), metavar="X,Y",
        help="where the foreground's upper left pixel goes in the background",
    )  # fmt: skip
    parser.add_argument("--output", type=subcommands.path, required=True, help="PNG file to write")
    parser.add_argument(
        "--solver", type=lambda name: FORMER_NAMES.get(name, name), choices=SOLVERS,
        default="multigrid",
    )  # fmt: skip
    parser.add_argument("--mixed", action="store_true", help="keep the stronger gradients of both")
    options = parser.parse_args()
    console.print_any_name()
    console.stop_in_a_line()
    try:
        output = _png(options.output)
        _check_output(output, (options.foreground, options.background, options.mask))
        foreground, background = (
            read_image(path, 3) for path in (options.foreground, options.background)
        )
        if options.mask:
            mask = read_mask(options.mask)[..., 0]
        else:
            height, width = foreground.shape[:2]
            mask = polygon_mask(read_points(options.polygon), height, width)
            if not mask.any():
                raise ValueError(
                    f"the polygon of {options.polygon} lies outside the foreground, which is "
                    f"{width}x{height}"
                )
        began = time.perf_counter()
        result = blend(foreground, background, mask, options.offset, options.solver, options.mixed)
        seconds = time.perf_counter() - began
        output.parent.mkdir(parents=True, exist_ok=True)
        save_png(output, result.image)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {storage.message_of(error)}")
    print(
        f"{output}: {options.solver}, {result.iterations} iterations, relative residual "
        f"{result.residual:.1e}, {seconds:.1f} s with compilation"
    )


if __name__ == "__main__":
    main()
