"""--mode=translate: a user's own images of any size, named like their inputs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from pix2pix_jax import weights
from pix2pix_jax.images.finding import told_of
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import storage
from pix2pix_jax.runtime.counter import Counter
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation import translated_files
from pix2pix_jax.translation.translator import Translator, replicated


class TrainedTranslator(NamedTuple):
    """One direction of a method with trained weights."""

    direction: Direction
    translator: Translator
    variables: Any  # of the direction's generator

    def __call__(self, image: np.ndarray, index: int = 0, sample: int = 0) -> np.ndarray:
        """Image [H, W, C] -> [H, W, O], see `Translator.images`."""
        return self.images([image], [index], sample)[0]

    def images(
        self, images: Sequence[np.ndarray], indices: Sequence[int], sample: int = 0
    ) -> list[np.ndarray]:
        """As `Translator.images`."""
        return self.translator.images(self.variables, images, indices, sample)


class Options(NamedTuple):
    """How a folder is translated."""

    image_format: str = "png"  # of the results, a key of `PICTURES`
    fixed_noise: bool = False  # all images get the noise (dropout) of the first
    skip_existing: bool = False  # images whose results are there are left out


DEFAULTS = Options()


def load(
    config: Any, workdir: str, devices: Sequence[jax.Device] = ()
) -> tuple[list[TrainedTranslator], str]:
    """A translator for each direction, and a line saying where the weights are from.

    With several devices these share every batch. Raises as `weights.load_generators` does.
    """
    variables, origin = weights.load_generators(config, workdir)
    translators = [
        TrainedTranslator(
            d, Translator(config, d, devices), replicated(variables[d.generator], devices)
        )
        for d in METHODS[config.method].directions(config)
    ]
    return translators, origin


def translate(
    config: Any,
    workdir: str,
    source: str,
    output: str,
    mask: str | None = None,
    options: Options = DEFAULTS,
) -> list[str]:
    """Translates an image, or every image below a folder, into the folder `output`.

    An image keeps its size and its path below `source`; where two names differ in their endings
    only, these are kept. With several directions or noise samples their names and numbers are
    added. Transparent images are shown on white. With data.value_range a translation is stored like
    its image, see `pixel_format.output_kind`. See `Translator.images` for how images of other sizes
    than data.crop_size pass the network.

    Images of one shape are translated together, eval.batch_size on each device, while the next ones
    are read and the last ones written. Of several processes each takes its share. Neither changes
    the results, but by the rounding of float32.

    Args:
        config: the whole config.
        workdir: of the run, whose checkpoint is used unless config.init_from names weights.
        source: an image, or a folder of images; it, `output` and `mask` may be addresses in
            object storage.
        output: folder; for several processes one that all see.
        mask: inpainting: a mask of the image's size (white in the hole), which serves all
            images, or a folder of masks that are named like the images.
        options: of folders.

    Returns:
        Names of the files that could not be read; one line was printed for each.

    Raises:
        ValueError, OSError: bad config, checkpoint or folders; one sentence saying what to do.
    """
    config_checks.check(config)
    if config.data.value_range and options.image_format != "png":
        raise ValueError(
            "with config.data.value_range translations are stored like their images: leave out "
            f"--image_format={options.image_format}"
        )
    files = translated_files.find(config, source, output, mask, f".{options.image_format}")
    storage.check_writable(output)
    translated_files.hint_at_pairs(config, files.paths[0])
    names = (name for targets in files.targets.values() for name in targets.values())
    there, ours = translated_files.existing(output, names, options.skip_existing)
    there = there if options.skip_existing else set()
    # The number of an image, which chooses its noise, is the same in any process.
    share = list(enumerate(files.paths))[jax.process_index() :: jax.process_count()]
    todo = [row for row in share if not there.issuperset(files.targets[row[1]].values())]
    several = len(todo) > config.eval.batch_size or config.eval.fit == "tile"
    devices = jax.local_devices() if several else jax.local_devices()[:1]
    translators, origin = load(config, workdir, devices)
    if config.eval.fit == "tile":
        print(translators[0].translator.describe_tiles(), flush=True)

    failed = []
    batches = translated_files.in_batches(
        config, [path for _, path in todo], config.eval.batch_size * len(devices)
    )
    directions = [translator.direction for translator in translators]

    def read(row):
        path = todo[row][1]
        try:
            return translated_files.read(config, path, directions, files.masks.get(path))
        except (ValueError, OSError) as error:
            return error

    with (
        storage.output_folder(output) as folder,
        ThreadPoolExecutor(config.data.num_threads) as pool,
    ):
        if ours:
            (folder / translated_files.MARK).touch()
        written, progress = [], Counter(len(todo))
        for rows, images in _read_ahead(pool, read, batches):
            good = []
            for row, found in zip(rows, images, strict=True):
                if isinstance(found, Exception):
                    path = todo[row][1]
                    print(storage.shown(f"skipped: {told_of(path, found)}"), flush=True)
                    failed.append(str(path))
                else:
                    good.append((*todo[row], found))
            before, written = written, []
            for name, *rest in _translated(config, files, translators, good, options.fixed_noise):
                written.append(pool.submit(translated_files.save, config, folder / name, *rest))
            _wait(before)
            progress.add(len(rows))
        _wait(written)
    _report(len(todo) - len(failed), len(share), len(share) - len(todo), origin, output)
    return failed


def _read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[int], Any], batches: list[list[int]]
) -> Iterator[tuple[list[int], list[Any]]]:
    """Each batch and what `read` makes of its rows, read while the one before is worked on."""
    start = lambda rows: [pool.submit(read, row) for row in rows]
    ahead = start(batches[0]) if batches else []
    for i, rows in enumerate(batches):
        images = [future.result() for future in ahead]
        ahead = start(batches[i + 1]) if i + 1 < len(batches) else []
        yield rows, images


def _translated(config, files, translators, rows, fixed_noise):
    """(name, translation, path of the image, direction) of (number, path, images) in `rows`."""
    if not rows:
        return
    numbers, paths, images = zip(*rows, strict=True)
    indices = np.zeros(len(rows), int) if fixed_noise else np.array(numbers)
    for translator, column in zip(translators, zip(*images, strict=True), strict=True):
        for sample in range(config.eval.noise_samples):
            outputs = translator.images(column, indices, sample)
            for path, output in zip(paths, outputs, strict=True):
                name = files.targets[path][translator.direction.name, sample]
                yield name, output, path, translator.direction


def _wait(futures):
    for future in futures:
        future.result()  # raises what it raised


def _report(done, total, there, origin, output):
    """The last line."""
    count = jax.process_count()
    prefix = f"process {jax.process_index() + 1} of {count}: " if count > 1 else ""
    skipped = f"; {there} were there already" if there else ""
    print(
        f"{prefix}{done} of {total} images translated with {origin} into {output}{skipped}",
        flush=True,
    )
