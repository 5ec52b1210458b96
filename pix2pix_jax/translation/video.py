"""--mode=translate of a video: its frames, all with the same noise, so that it does not flicker."""

import contextlib
import itertools
import pathlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pix2pix_jax.images.files import to_array, to_pil
from pix2pix_jax.images.finding import VIDEOS
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import processes, storage
from pix2pix_jax.runtime.whole_file import whole_file
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translated_files import MARK, existing, suffixes

EXTENSIONS = VIDEOS | {".gif"}
CRF = 18  # of H.264: its loss is hardly seen
SECONDS = 10  # between lines of progress
# On standard input ffmpeg would take q for its end, and what a shell's loop has for the next turn.
QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")


class Video(NamedTuple):
    """What is to be known of a video before its frames."""

    path: pathlib.Path
    width: int
    height: int
    rate: str  # frames a second, as a fraction: 30000/1001
    pixel: str = ""  # width over height of a pixel, as a fraction; empty: unknown, so square


def is_video(path: pathlib.PurePath | str) -> bool:
    """Whether a file has the name of a video."""
    return pathlib.PurePath(path).suffix.lower() in EXTENSIONS


def translate_video(
    config: Any,
    workdir: str,
    source: str,
    output: str,
    options: translate.Options = translate.DEFAULTS,
) -> None:
    """Translates the frames of a video into FOLDER/<name>.mp4 (H.264), with its sound.

    With several directions or noise samples there are as many, with their names and numbers. Odd
    heights and widths, which H.264 has not, are stretched by a pixel. See `translate.translate`
    for what else is the same for folders.

    Args:
        config: the whole config.
        workdir: of the run.
        source: the video.
        output: folder; both may be addresses in object storage.
        options: of them only skip_existing has a choice here.

    Raises:
        ValueError, OSError: bad config or checkpoint, no video, or imageio-ffmpeg is not there.
    """
    config_checks.check(config)
    if METHODS[config.method].has_holes or config.data.value_range:
        raise ValueError(f"{source} is a video: its frames are photographs, and have no holes")
    if options.image_format != "png":
        raise ValueError(
            f"{source} is a video, and becomes one: leave out --image_format={options.image_format}"
        )
    if not processes.is_first():
        return  # a video is not divided
    path = pathlib.Path(storage.local_copy(source, is_video))
    video = look(path)
    storage.check_writable(output)
    targets = _targets(config, path.stem)
    if storage.resolved(source) in {storage.resolved(f"{output}/{name}") for name in targets}:
        raise ValueError(f"{source} would be overwritten: give another folder as --output")
    there, ours = existing(output, targets, options.skip_existing)
    if options.skip_existing:
        for name in sorted(there):
            print(f"{output}/{name} is there already", flush=True)
            del targets[name]
    if not targets:
        return
    translators, origin = translate.load(config, workdir)
    by_name = {translator.direction.name: translator for translator in translators}
    with storage.output_folder(output) as folder:
        if ours:
            (folder / MARK).touch()
        for name, (direction, sample) in targets.items():
            frames = translated(by_name[direction], video, config.eval.batch_size, sample)
            count = write(folder / name, video, frames)
            frames = f"{count} frame{'s' * (count != 1)}"
            print(f"{frames} translated with {origin} into {storage.shown(folder / name)}")


def _targets(config, stem):
    """{name in the output: (direction, sample)} of all that is made of a video."""
    return {
        f"{stem}{suffix}.mp4": (direction.name, sample)
        for direction in METHODS[config.method].directions(config)
        for sample, suffix in enumerate(suffixes(config, direction))
    }


def translated(
    translator: translate.TrainedTranslator, video: Video, batch_size: int, sample: int
) -> Iterator[np.ndarray]:
    """The translations of a video's frames, uint8 [H, W, O], `batch_size` of them computed at once.

    A frame that equals the one before is not computed again.

    Raises:
        ValueError: it cannot be read.
    """
    runs, done, said = _runs(read(video)), 0, time.perf_counter()
    while batch := list(itertools.islice(runs, batch_size)):
        channels = translator.direction.in_channels
        images = [to_array(Image.fromarray(frame), channels) for frame, _ in batch]
        outputs = translator.images(images, [0] * len(images), sample)
        for output, (_, count) in zip(outputs, batch, strict=True):
            yield from itertools.repeat(output, count)
            done += count
        if time.perf_counter() - said > SECONDS:
            said = time.perf_counter()
            print(f"{done} frames", flush=True)


def _runs(frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Each frame that differs from the one before, and how often it comes.

    A GIF that shows two pictures for a second each has two hundred frames.
    """
    last, count = None, 0
    for frame in frames:
        if count and np.array_equal(frame, last):
            count += 1
            continue
        if count:
            yield last, count
        last, count = frame, 1
    if count:
        yield last, count


def look(path: pathlib.Path) -> Video:
    """Size and rate of a video.

    Raises:
        ValueError, OSError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix.lower() == ".gif" and _is_still(path):
        raise ValueError(f"{path} has a single image, and is no video: convert it to PNG")
    # As YUV4MPEG, which begins with a line on size and rate.
    output = ("-frames:v", "1", "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-")
    answer = subprocess.run([_ffmpeg(), *QUIET, "-i", _whole(path), *output], capture_output=True)
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+) ", answer.stdout)
    if not found:
        raise ValueError(f"{path} cannot be read as a video: replace it")
    width, height, frames, seconds = map(int, found.groups())
    pixel = re.search(rb" A([1-9]\d*):([1-9]\d*) ", answer.stdout.partition(b"\n")[0])
    aspect = "/".join(number.decode() for number in pixel.groups()) if pixel else ""
    return Video(path, width, height, f"{frames}/{seconds}", aspect)


def read(video: Video) -> Iterator[np.ndarray]:
    """The frames, uint8 [H, W, 3], as many a second as `look` found.

    Prints a line at the end if some could not be read.
    """
    output = ("-r", video.rate, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    command = [_ffmpeg(), *QUIET, "-i", _whole(video.path), *output]
    size = video.height * video.width * 3
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            while len(data := process.stdout.read(size)) == size:
                yield np.frombuffer(data, np.uint8).reshape(video.height, video.width, 3)
            process.wait()
            if reason := _last_line(errors):
                print(
                    f"{storage.shown(video.path)} may be damaged, and lack frames: {reason}",
                    flush=True,
                )
        finally:
            process.kill()  # where not all frames are wanted


def write(target: pathlib.Path, video: Video, images: Iterator[np.ndarray]) -> int:
    """Writes an mp4 of `images` with rate, size and sound of `video`.

    Args:
        target: its path.
        video: what they were made of.
        images: uint8 [H, W, 1 or 3].

    Returns:
        how many there were.

    Raises:
        OSError: it cannot be written.
    """
    count, size = 0, f"{video.width}x{video.height}"
    frames = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", video.rate, "-i", "-")
    sound = ("-i", _whole(video.path), "-map", "0:v:0", "-map", "1:a:0?")  # if there is any
    even = "scale=ceil(iw/2)*2:ceil(ih/2)*2:out_color_matrix=bt709:out_range=tv"
    # Said in the file: else players guess, by the size, how colours were coded.
    colors = ",setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    aspect = f",setsar={video.pixel}" if video.pixel else ""
    filters = ("-vf", even + colors + aspect)
    codecs = ("-c:v", "libx264", "-crf", str(CRF), "-pix_fmt", "yuv420p", "-c:a", "aac")
    with whole_file(target) as temporary, tempfile.TemporaryFile() as errors:
        command = [_ffmpeg(), *QUIET, *frames, *sound, *filters, *codecs, "-f", "mp4"]
        command += ["-y", _whole(temporary)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors) as child:
            try:
                for image in images:
                    child.stdin.write(np.asarray(to_pil(image).convert("RGB")).tobytes())
                    count += 1
                child.stdin.close()
            except BrokenPipeError:  # the reason is in `errors`
                pass
            except BaseException:
                child.kill()
                raise
            finally:
                with contextlib.suppress(BrokenPipeError):  # of what is left of a small frame
                    child.stdin.close()
        if child.returncode:
            reason = _last_line(errors) or "ffmpeg failed"
            raise OSError(f"{target} could not be written: {reason}")
    return count


def _is_still(path):
    """Whether a GIF has a single image."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) == 1
    except OSError:
        return False  # damaged: ffmpeg says more


def _whole(path):
    """A path from the root on: ffmpeg would take 12:30.mp4 for an address of the protocol 12."""
    return path.absolute()


def _last_line(errors) -> str:
    """The end of what a program wrote to a file; empty if that is nothing."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _ffmpeg() -> str:
    """The program that comes with imageio-ffmpeg; its own functions fork, which JAX warns of."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise ValueError(
            "videos are read and written by imageio-ffmpeg: pip install imageio-ffmpeg"
        ) from error
    return get_ffmpeg_exe()
