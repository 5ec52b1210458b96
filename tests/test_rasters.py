"""Images of any number of channels, 8 or 16 bits or floating point: read, trained on, written."""

import json

import cv2
import jax
import numpy as np
import pytest
import tifffile
from PIL import Image

import pix2pix_jax
from pix2pix_jax.data import loading
from pix2pix_jax.data.stream import order
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.export.description import describe
from pix2pix_jax.images import levels, rasters, resizing
from pix2pix_jax.images.pixel_format import PixelFormat, output_kind
from pix2pix_jax.loaded_model import LoadedModel
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.settings import config_checks
from pix2pix_jax.train import train
from pix2pix_jax.translation import translate, translator
from tests.conftest import make_batch, small_config

DEEP = (0, 65535)


def numbers(dtype, *shape, seed=0):
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return generator.random(shape).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def every_level(channels):
    """uint16 [256, 256, channels] where each channel has every number once."""
    generator = np.random.default_rng(0)
    bands = [generator.permutation(2**16) for _ in range(channels)]
    return np.stack(bands, -1).reshape(256, 256, channels).astype(np.uint16)


def write(path, array):
    """With other programs than ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    squeezed = array[..., 0] if array.shape[-1] == 1 else array
    if path.suffix == ".npy":
        np.save(path, squeezed)
    elif path.suffix == ".tif":
        contiguous = {"planarconfig": "contig"} if squeezed.ndim == 3 else {}
        tifffile.imwrite(path, squeezed, photometric="minisblack", **contiguous)
    else:
        order = [2, 1, 0, 3][: array.shape[-1]] if array.shape[-1] > 1 else [0]  # OpenCV: BGR
        assert cv2.imwrite(str(path), array[..., order])
    return path


def read(path):
    """With other programs than ours: [H, W, C]."""
    if path.suffix == ".npy":
        return np.atleast_3d(np.load(path))
    if path.suffix == ".tif":
        return np.atleast_3d(tifffile.imread(path))
    array = np.atleast_3d(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    return array[..., [2, 1, 0, 3][: array.shape[-1]] if array.shape[-1] > 1 else [0]]


FILES = [
    ("tif", every_level(5), DEEP),
    ("tif", every_level(3), DEEP),
    ("tif", every_level(1), DEEP),
    ("png", every_level(1), DEEP),
    ("png", every_level(3), DEEP),
    ("png", every_level(4), DEEP),
    ("png", numbers(np.uint8, 32, 48, 4), (0, 255)),
    ("tif", numbers(np.uint8, 32, 48, 7), (0, 255)),
    ("npy", every_level(2), DEEP),
    ("npy", numbers(np.float32, 32, 48, 6), (0.0, 1.0)),
    ("tif", numbers(np.float32, 32, 48, 2) * 500 - 100, (-100.0, 400.0)),
    ("npy", numbers(np.float64, 32, 48, 1), (0.0, 1.0)),
]


@pytest.mark.parametrize("suffix, array, values", FILES)
def test_an_identity_leaves_files_as_they_are(tmp_path, monkeypatch, capsys, suffix, array, values):
    """Translation end to end, with the identity for a network: the same numbers in the same kind.

    16 bits of every level to the bit; floating point to 2^-24 of the range, float32's precision.
    """
    source = write(tmp_path / f"in/a.{suffix}", array)
    np.testing.assert_array_equal(read(source), array)  # the other programs agree
    channels = array.shape[-1]
    config = small_config(
        **{
            "data.value_range": values,
            "data.input_channels": channels,
            "data.output_channels": channels,
            "eval.fit": "pad",
        }
    )
    identity = lambda config, direction: lambda variables, images, keys: images
    monkeypatch.setattr(translator, "make_generate", identity)
    monkeypatch.setattr(translate.weights, "load_generators", lambda *_: ({"G": {}}, "identity"))
    failed = translate.translate(config, "", str(tmp_path / "in"), str(tmp_path / "out"))
    assert not failed, capsys.readouterr().out
    model = LoadedModel(config, translate.load(config, "")[0][0], "identity")
    for result in (read(tmp_path / f"out/a.{suffix}"), model(source), model(array[None])[0]):
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        if array.dtype.kind == "u":
            np.testing.assert_array_equal(result, array)
        else:
            bound = (values[1] - values[0]) * 2**-24
            np.testing.assert_allclose(result, array, atol=bound, rtol=1e-7)


def test_a_target_of_another_range_becomes_floating_point(tmp_path):
    """A photograph of 8 bits to a depth in metres: the ends of both ranges are -1 and 1."""
    photo = numbers(np.uint8, 8, 8, 3)
    photo[0, 0], photo[0, 1] = 0, 255
    path = tmp_path / "a.png"
    Image.fromarray(photo).save(path)
    of_input, of_output = PixelFormat(3, (0, 255)), PixelFormat(1, (0.5, 80.0))
    image = of_input.read(path)
    np.testing.assert_array_equal(image[0, :2, 0], [-1, 1])
    np.testing.assert_allclose(image, photo / 127.5 - 1, atol=1e-7)
    kind = output_kind(path, of_input, of_output)
    assert kind == (".tif", np.float32)
    depth = of_output.values(np.array([[[-1.0], [0.0], [1.0]]]), kind.dtype)
    np.testing.assert_allclose(depth[0, :, 0], [0.5, 40.25, 80.0])
    rounded = of_input.values(np.array([[[-1.2, 0.0039, 1.2]]]), np.dtype(np.uint8))
    np.testing.assert_array_equal(rounded[0, 0], [0, 128, 255])


@pytest.mark.parametrize(
    "shape, options",
    [
        ((5, 9, 7), {"planarconfig": "separate", "photometric": "minisblack"}),
        ((5, 9, 7), {"photometric": "minisblack"}),  # pages
        ((9, 7, 5), {"photometric": "minisblack"}),  # pages of rows
        ((9, 7, 5), {"planarconfig": "contig", "compression": "zlib", "byteorder": ">"}),
        ((5, 9, 7), {"metadata": {"axes": "CYX"}, "imagej": True}),
    ],
)
def test_channels_of_a_tiff_are_found(tmp_path, shape, options):
    array = numbers(np.uint16, *shape)
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    expected = np.moveaxis(array, 0, -1) if shape[0] == 5 else array
    np.testing.assert_array_equal(rasters.read(tmp_path / "a.tif", 5), expected)
    assert rasters.size(tmp_path / "a.tif", 5) == (9, 7)
    assert rasters.kind_of(tmp_path / "a.tif") == (".tif", np.uint16)


def test_what_does_not_fit_is_named(tmp_path):
    path = write(tmp_path / "a.tif", numbers(np.uint16, 8, 8, 5))
    with pytest.raises(
        ValueError, match=r"a\.tif cannot.*has 5 channels, and config.data.input_channels .* is 4"
    ):
        PixelFormat(4, DEEP).read(path)
    with pytest.raises(ValueError, match=r"a\.tif has values .*value_range is 0 to 9: widen"):
        PixelFormat(5, (0, 9)).read(path)
    planes = tmp_path / "planes.tif"
    tifffile.imwrite(planes, numbers(np.uint16, 5, 8, 8), planarconfig="separate")
    with pytest.raises(ValueError, match=r"planes\.tif cannot.*set config\.data\.value_range"):
        PixelFormat(3).size(planes)
    holes = write(tmp_path / "b.npy", np.full((4, 4, 1), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"b\.npy has values from nan to nan"):
        PixelFormat(1, (0, 1)).read(holes)
    np.save(tmp_path / "c.npy", np.array([{"code": "pickled"}]))
    with pytest.raises(ValueError, match=r"c\.npy cannot be read"):
        PixelFormat(1, (0, 1)).read(tmp_path / "c.npy")
    (tmp_path / "d.tif").write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"d\.tif cannot be read"):
        PixelFormat(5, DEEP).read(tmp_path / "d.tif")


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"data.value_range": (0, 1, 2)}, "takes 0, 2 or 4 numbers"),
        ({"data.value_range": (1, 0)}, "low must be below high"),
        ({"data.value_range": (0, 1), "eval.set_metrics": ("fid",)}, "set_metrics"),
        (
            {
                "data.value_range": (0, 1),
                "method": "colorization",
                "data.input_channels": 1,
                "data.output_channels": 2,
            },
            "colorization is for photographs",
        ),
        ({"data.shown_channels": (0, 1)}, "takes 0, 1 or 3 numbers"),
        (
            {"data.value_range": (0, 1), "data.shown_channels": (0, 3, 1)},
            "have 3 channels at most: choose from 0 to 2",
        ),
        ({"data.input_channels": 5}, "other images a config.data.value_range"),
        ({"data.input_channels": 0}, "at least 1"),
    ],
)
def test_configs_that_no_raster_could_follow(fields, message):
    with pytest.raises(ValueError, match=message):
        config_checks.check(small_config(**fields))


def test_exports_say_what_their_values_stand_for():
    fields = {"method": "cyclegan", "data.value_range": (*DEEP, -10.0, 10.0)}
    config = small_config(**fields)
    found = [describe(config, d) for d in METHODS["cyclegan"].directions(config)]
    both = {"A2B": [[0, 65535], [-10, 10]], "B2A": [[-10, 10], [0, 65535]]}
    assert {facts["direction"]: facts["value_ranges"] for facts in found} == both
    (direction,) = METHODS["pix2pix"].directions(small_config())
    assert "value_ranges" not in describe(small_config(), direction)


def test_rasters_resize_as_photographs_and_pictures_show_chosen_channels():
    photo = cv2.GaussianBlur(numbers(np.uint8, 40, 30, 3), (5, 5), 2)
    raster = (photo / 127.5 - 1).astype(np.float32)
    for method in resizing.METHODS:
        resized = resizing.resize(raster, (23, 50), method)
        expected = resizing.resize(photo, (23, 50), method)
        assert resized.dtype == np.float32
        # PIL rounds levels after each of two passes, and rasters not.
        assert np.abs((resized + 1) * 127.5 - expected).max() <= 1.1
    assert levels.to_picture(photo) is photo
    np.testing.assert_array_equal(levels.to_picture(raster, (2, 0, 1)), photo[..., [2, 0, 1]])
    np.testing.assert_array_equal(levels.to_picture(raster, (1,)), photo[..., 1:2])
    for few in (raster[..., :1], raster[..., :2]):  # none of these has channel 3
        np.testing.assert_array_equal(levels.to_picture(few, (3, 1, 0)), photo[..., :1])


def test_pairs_of_rasters_are_trained_on_evaluated_and_translated(tmp_path, capsys):
    """Five channels of 16 bits to one of floating point, in folders without splits."""
    folder, workdir = tmp_path / "data", str(tmp_path / "run")
    for i in range(6):
        write(folder / f"A/{i}.tif", numbers(np.uint16, 32, 32, 5, seed=i))
        write(folder / f"B/{i}.npy", numbers(np.float32, 32, 32, 1, seed=i) * 20 - 10)
    config = small_config(
        **{
            "data.dir": str(folder),
            "data.direction": "AtoB",
            "data.value_range": (*DEEP, -10.0, 10.0),
            "data.shown_channels": (4, 2, 0),
            "data.input_channels": 5,
            "data.output_channels": 1,
            "data.load_size": (32, 32),
            "data.flip": False,
            "model.generator": "resnet_1blocks",
            "model.n_layers": 1,
            "train.num_steps": 1,
        }
    )
    for cache_mb in (0, 10):  # streamed, and on the device
        config.data.cache_mb = cache_mb
        examples = loading.load_examples(config.data, config.seed, "train", True)
        (name,) = examples.names(order(config.seed, len(examples), 0, 1))
        item = jax.tree.map(lambda x: x[0], examples.chunk(0, 1, 1))
        batch = make_batch(config, examples, 0, item)
        expected = {"input": read(folder / f"A/{name}.tif") / 32767.5 - 1}
        expected["target"] = np.load(folder / f"B/{name}.npy")[..., None] / 10
        for kind, image in expected.items():
            np.testing.assert_allclose(batch[kind][0], image, atol=1e-6)
    metrics = train(config, workdir)
    assert 0 < metrics["l1"] < 2
    grid = np.asarray(Image.open(f"{workdir}/samples/step_0000001.png"))
    (held,) = [n for n in range(6) if str(n) not in examples.names(np.arange(len(examples)))]
    shown = np.round(read(folder / f"A/{held}.tif")[..., [4, 2, 0]] / 257).astype(np.uint8)
    top = grid.shape[0] - 32 - 4
    np.testing.assert_allclose(grid[top : top + 32, 4:36].astype(int), shown, atol=1)

    means = evaluate.evaluate(config, workdir)
    assert means["l1"] == pytest.approx(metrics["l1"], abs=1e-6)
    report = json.loads((tmp_path / "run/eval/metrics.json").read_text())
    assert report["num_images"] == 1
    assert not translate.translate(config, workdir, str(folder / "A"), str(tmp_path / "out"))
    output = read(tmp_path / f"out/{held}.tif")
    assert output.dtype == np.float32 and output.shape == (32, 32, 1)
    distance = np.abs(output[..., 0] - np.load(folder / f"B/{held}.npy")).mean() / 10
    assert distance == pytest.approx(means["l1"], abs=1e-5)
    model, path = pix2pix_jax.load(workdir), folder / f"A/{held}.tif"
    for image in (path, read(path)):
        found = model(image, index=held)  # as in the folder
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, output, atol=1e-5)
    for image, words in (
        (read(path) * 2.0, r"the array has values from .*value_range is 0 to 65535"),
        (read(path)[..., :4], r"takes \[H, W, 5\]"),
        (Image.new("L", (32, 32)), r"shape \(32, 32\)"),
        (np.full((32, 32, 5), "a"), "images are numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            model(image)
    assert "skipped" not in capsys.readouterr().out
