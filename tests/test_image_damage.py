"""Damaged and hostile image files: decoded, or refused with one error that names the file."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image, ImageOps

from pix2pix_jax.images.files import image_size, naming, open_image, read_image
from pix2pix_jax.images.finding import find_images

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
MUTANTS = 60  # of each kind of file


def encoded(kind, image=None, **options):
    file = io.BytesIO()
    (image or Image.fromarray(PICTURE)).save(file, kind, **options)
    return file.getvalue()


def exif(orientation=6):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes()


def samples():
    """A small file of every kind that is read."""
    image = Image.fromarray(PICTURE)
    gray = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return {
        "jpeg": encoded("JPEG", exif=exif()),
        "progressive jpeg": encoded("JPEG", progressive=True),
        "png": encoded("PNG", exif=exif()),
        "palette png": encoded("PNG", image.convert("P"), transparency=3),
        "16-bit png": encoded("PNG", Image.fromarray(gray)),
        "tiff": encoded("TIFF", exif=exif()),
        "lzw tiff": encoded("TIFF", compression="tiff_lzw"),
        "webp": encoded("WEBP", exif=exif(), quality=60),
        "bmp": encoded("BMP"),
        "ppm": encoded("PPM"),
    }


def mutants(content, generator):
    """Truncations, flipped bits, and other bytes in the header and anywhere."""
    for i in range(MUTANTS):
        mutant = bytearray(content)
        if i % 4 == 0:
            mutant = mutant[: generator.integers(len(mutant))]
        elif i % 4 == 1:
            for place in generator.integers(len(mutant), size=3):
                mutant[place] ^= 1 << generator.integers(8)
        else:
            size = min(64, len(mutant)) if i % 4 == 2 else len(mutant)
            for place in generator.integers(size, size=2):
                mutant[place] = generator.choice([0, 1, 127, 128, 255])
        yield bytes(mutant)


@pytest.mark.parametrize("kind", samples())
def test_every_mutant_is_decoded_or_refused_by_one_error(kind):
    generator = np.random.default_rng(list(kind.encode()))
    outcomes = []
    for mutant in mutants(samples()[kind], generator):
        size = image = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's, about what it read nevertheless
            try:
                with naming("x.png"):
                    size = image_size(io.BytesIO(mutant))
            except ValueError as error:
                assert str(error).startswith("x.png cannot be read as an image (")
            try:
                with naming("x.png"):
                    image = open_image(io.BytesIO(mutant), 3)
            except ValueError as error:
                assert str(error).endswith("): replace or remove it")
        if image is not None:
            assert image.dtype == np.uint8 and image.shape == (*size, 3)
        outcomes.append(image is not None)
    assert not all(outcomes)


def test_the_file_is_named_once_in_an_error(tmp_path):
    for content, reason in (
        (
            b"nothing",
            r" \(it is none of JPEG, PNG, PPM, BMP, TIFF, WEBP\): replace or remove it",
        ),
        (b"", r" \(it is empty\): replace or remove it"),
        (None, ": there is no such file"),
    ):
        (path := tmp_path / f"{content and len(content)}.png").write_bytes(content or b"")
        if content is None:
            path.unlink()
        with pytest.raises(ValueError, match=rf"{path} cannot be read as an image{reason}$"):
            read_image(path, 3)


def test_postscript_named_png_starts_no_interpreter(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1))
    (tmp_path / "x.png").write_bytes(encoded("EPS"))
    for read in (lambda path: read_image(path, 3), image_size):
        with pytest.raises(ValueError, match="x.png cannot be read"), naming(tmp_path / "x.png"):
            read(tmp_path / "x.png")
    assert not started


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientations_are_those_of_pil(kind):
    for orientation in range(1, 9):
        content = encoded(kind, exif=exif(orientation))
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        found = open_image(io.BytesIO(content), 3)
        np.testing.assert_array_equal(found, np.asarray(expected))
        assert image_size(io.BytesIO(content)) == found.shape[:2]


def odd_exif(kind, count, value):
    """EXIF whose orientation has another type than SHORT, or several values."""
    entry = struct.pack("<HHI4s", ExifTags.Base.Orientation, kind, count, value)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)


ODD_TAGS = {
    "0": exif(0),
    "9": exif(9),
    "99": exif(99),
    "text": odd_exif(2, 2, b"6\0"),
    "bytes": odd_exif(7, 3, b"abc"),
    "unknown type": odd_exif(77, 1, b"\6"),
}


@pytest.mark.parametrize("tag", ODD_TAGS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientations_that_mean_nothing_change_nothing(kind, tag):
    content = encoded(kind, exif=ODD_TAGS[tag])
    upright = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(open_image(io.BytesIO(content), 3), upright)
    assert image_size(io.BytesIO(content)) == (24, 20)


def test_a_tag_behind_the_pixels_of_a_png_counts_neither_in_the_header_nor_in_the_file():
    tagged, plain = encoded("PNG", exif=exif()), encoded("PNG")
    start = tagged.index(b"eXIf") - 4
    chunk = tagged[start : start + 12 + int.from_bytes(tagged[start : start + 4], "big")]
    moved = plain[:-12] + chunk + plain[-12:]  # before IEND
    assert Image.open(io.BytesIO(moved)).getexif()[ExifTags.Base.Orientation] == 6
    assert image_size(io.BytesIO(moved)) == open_image(io.BytesIO(moved), 3).shape[:2] == (24, 20)


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_absurd_sizes_are_refused(side, tmp_path):
    content = bytearray(encoded("BMP"))
    content[18:26] = struct.pack("<ii", side, side)
    (tmp_path / "huge.png").write_bytes(content)
    with pytest.raises(ValueError, match="huge.png cannot be read"):
        read_image(tmp_path / "huge.png", 3)


def test_what_is_found_below_a_folder(tmp_path):
    """Behind links, but in no circle; not in hidden folders; a dead link is no image, and said."""
    for name in ("data/1.png", "data/.hidden/2.png", "data/x/3.png", "elsewhere/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    root = tmp_path / "data"
    (root / "x/up").symlink_to(root)
    (root / "y").symlink_to(tmp_path / "elsewhere")
    (root / "folder.png").mkdir()
    (root / "z.png").symlink_to("gone.png")
    found = find_images(root)
    assert [path.relative_to(root).as_posix() for path in found] == [
        "1.png",
        "x/3.png",
        "y/4.png",
        "z.png",
    ]
    with pytest.raises(ValueError, match=r"z\.png cannot be read as an image"):
        read_image(found[-1], 3)
