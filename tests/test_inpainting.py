"""Inpainting against PyTorch, numpy and scikit-image: network, holes, losses, files."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks import torch_baseline as baseline
from benchmarks import torch_regression as theirs
from configs import inpaint
from pix2pix_jax import weights
from pix2pix_jax.data import loading
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.evaluation.evaluator import measure
from pix2pix_jax.exchange import export_pth
from pix2pix_jax.images import masks
from pix2pix_jax.methods import inpainting, losses
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics import per_image
from pix2pix_jax.models.layers import upsample_bilinear
from pix2pix_jax.pytorch import layer_names
from pix2pix_jax.settings import config_checks
from pix2pix_jax.train import train
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translator import Translator
from tests import parity
from tests.conftest import make_batch

KEYS = layer_names.inpainting_keys()


def small(**fields):
    """A tiny inpainting of tiny synthetic photographs."""
    config = inpaint.get_config("synthetic")
    config.update_from_flattened_dict(
        {
            "name": "small",
            "data.synthetic_size": 64,
            "data.synthetic_train": 6,
            "data.synthetic_eval": 3,
            "model.ngf": 4,
            "model.ndf": 4,
            "model.n_layers": 2,
            "train.batch_size": 2,
            "train.num_devices": 1,
            "train.num_steps": 8,
            "train.log_every": 2,
            "train.sample_every": 4,
            "train.eval_every": 4,
            "train.checkpoint_every": 4,
            "train.num_samples": 2,
            "eval.batch_size": 2,
            **fields,
        }
    )
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(config, workdir) of a small run."""
    workdir = tmp_path_factory.mktemp("inpainting")
    train(small(), str(workdir))
    return small(), workdir


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 1, 5, 2), (1, 32, 32, 1)])
def test_bilinear_upsampling_and_its_gradient(shape):
    """torch's interpolate with align_corners=True, to 1e-5."""
    x = parity.images(*shape)
    found, pull_back = jax.vjp(jax.jit(upsample_bilinear), x)
    tensor = parity.nchw(x).requires_grad_()
    expected = torch.nn.functional.interpolate(
        tensor, scale_factor=2, mode="bilinear", align_corners=True
    )
    np.testing.assert_allclose(found, parity.nhwc(expected), atol=1e-5)
    gradient = parity.images(*found.shape, seed=1)
    expected.backward(parity.nchw(gradient))
    np.testing.assert_allclose(pull_back(gradient)[0], parity.nhwc(tensor.grad), atol=1e-5)


def hole_of(height, width, seed=0):
    """A hole of a smooth random shape, float32 [height, width, 1]."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    smooth = ndimage.gaussian_filter(noise, 4)
    return (smooth > np.quantile(smooth, 0.7)).astype(np.float32)[..., None]


def torch_step(g, d, optimizers, image, hole, config):
    """One step of the design's losses: D on the composited image, then G."""
    loss, values = config.loss, {}
    mean = lambda error, mask: (error * mask).mean() / mask.mean()
    masked = image * (1 - hole) + hole
    output = g(torch.cat([masked, hole], 1))
    fake = output * hole + image * (1 - hole)
    if d is not None:
        d_fake = baseline.gan_loss(d(fake.detach()), False, loss.gan_mode)
        d_real = baseline.gan_loss(d(image), True, loss.gan_mode)
        optimizers["D"].zero_grad()
        (loss.d_loss_factor * (d_fake + d_real)).backward()
        optimizers["D"].step()
        values |= {"d_fake": d_fake, "d_real": d_real}
    error = (output - image).abs()
    values["g_hole"] = loss.lambda_hole * mean(error, hole)
    values["g_valid"] = loss.lambda_valid * mean(error, 1 - hole)
    total = values["g_hole"] + values["g_valid"]
    if d is not None:
        values["g_gan"] = loss.lambda_gan * baseline.gan_loss(d(fake), True, loss.gan_mode)
        total = total + values["g_gan"]
    optimizers["G"].zero_grad()
    total.backward()
    optimizers["G"].step()
    return {name: float(value.detach()) for name, value in values.items()}


@pytest.mark.parametrize("lambda_gan", [0.0, 0.1])
def test_three_steps(lambda_gan):
    config = small(**{"loss.lambda_gan": lambda_gan, "data.flip": False})
    config.optim.eps = 1e-3  # so that no rounding error of a tiny gradient becomes a whole step
    optim, rate = config.optim, config.optim.learning_rate
    g = baseline.init_weights(theirs.InpaintingUnet(4), 1)
    with torch.no_grad():
        for parameter in g.parameters():
            parameter *= 8  # gradients that reach the innermost layer
    nets, networks = {"G": g}, {"G": parity.network(g, KEYS, optim)}
    if lambda_gan:
        nets["D"] = baseline.init_weights(baseline.NLayerDiscriminator(3, 4, 2, "none"), 2)
        networks["D"] = parity.network(nets["D"], layer_names.patchgan_keys(2), optim)
    optimizers = {
        name: torch.optim.Adam(net.parameters(), rate, (optim.beta1, optim.beta2), optim.eps)
        for name, net in nets.items()
    }
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    step = jax.jit(inpainting.make_train_step(config, 400, Layout()))
    for i in range(3):
        image = parity.images(2, 64, 64, 3, seed=i)
        hole = np.stack([hole_of(64, 64, 2 * i + k) for k in range(2)])
        expected = torch_step(
            g, nets.get("D"), optimizers, parity.nchw(image), parity.nchw(hole), config
        )
        state, found = step(state, {"image": image, "mask": hole * 2 - 1})
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(value, rel=1e-4), (i, name)
    expected = parity.variables(g, KEYS)["params"]
    assert parity.worst(state.networks["G"].params, expected) < 0.02 * rate


def test_layers_of_the_published_size():
    with torch.device("meta"):
        net = theirs.InpaintingUnet()
    assert sum(p.numel() for p in net.parameters()) == 9_441_731
    config = inpaint.get_config()
    params = abstract_state(config).networks["G"].params
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 9_441_731


# Holes


@pytest.mark.parametrize("kind", ["rectangle", "strokes"])
@pytest.mark.parametrize("height, width, share", [(64, 96, (0.1, 0.4)), (128, 64, (0.25, 0.25))])
def test_holes_have_the_wanted_share_and_shape(kind, height, width, share):
    keys = jax.random.split(jax.random.key(1), 24)
    draw = jax.jit(masks.draw, static_argnums=(1, 2, 3, 4))
    found = np.asarray(draw(keys, height, width, kind, share))
    assert found.shape == (24, height, width, 1) and set(np.unique(found)) == {0, 1}
    parts = found.mean((1, 2, 3))
    tolerance = 0.02 if kind == "rectangle" else 0.005  # whole rows; the width of the brush
    assert (parts >= share[0] - tolerance).all() and (parts <= share[1] + tolerance).all()
    if share[0] < share[1]:
        assert parts.std() > 0.05  # uniform over 0.3: 0.087
    for mask in found[..., 0].astype(bool):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.all() == (kind == "rectangle")
        if kind == "strokes":  # a brush leaves no lonely pixels
            assert ndimage.binary_opening(mask).sum() > 0.9 * mask.sum()
    centers = np.argwhere(found[..., 0])[:, 1:].mean(0) / (height, width)
    assert np.abs(centers - 0.5).max() < 0.15
    both = np.asarray(draw(keys, height, width, "both", share))
    solid = [m[m.any(1)][:, m.any(0)].all() for m in both[..., 0].astype(bool)]
    assert 4 <= sum(solid) <= 20


def test_holes_of_one_key_are_one_hole():
    keys = jax.random.split(jax.random.key(3), 4)
    draw = jax.jit(lambda keys: masks.draw(keys, 32, 32, "both", (0.1, 0.3)))
    together = draw(keys)
    for i in range(4):
        np.testing.assert_array_equal(draw(keys[i : i + 1])[0], together[i])
    assert len({m.tobytes() for m in np.asarray(together)}) == 4


def test_any_seed_draws_holes():
    """Also one that no int32 holds; the hole of an image is that of the seed and its number."""
    data = small(**{"data.mask_kind": "rectangle"}).data
    examples = loading.load_examples(data, 2**32 - 1, "val", train=False, kind="masked")
    (image,) = examples.images("masked", np.array([1]))
    keys = jax.random.fold_in(jax.random.key(2**32 - 1), 1)[None]
    hole = masks.draw(keys, *image.shape[:2], data.mask_kind, tuple(data.mask_share))[0]
    np.testing.assert_array_equal(image[..., -1:], hole * 255)


def test_every_step_cuts_other_holes():
    config = small()
    step = jax.jit(inpainting.make_train_step(config, 6, Layout()))
    state = fresh_state(config)
    image = parity.images(2, 64, 64, 3)
    found = [
        jax.device_get(step(state.replace(step=jnp.int32(i)), {"image": image})[1])
        for i in (0, 1, 0)
    ]
    assert found[0] == found[2] and found[0] != found[1]


def test_the_network_sees_white_holes():
    image, hole = parity.images(1, 32, 32, 3), hole_of(32, 32)[None]
    found = np.asarray(inpainting.network_input(image, hole))
    expected = np.where(hole == 1, 1, image)
    np.testing.assert_array_equal(found, np.concatenate([expected, hole], axis=-1))


# Losses and metrics


def test_losses_are_means_over_their_region():
    error, hole = np.abs(parity.images(2, 8, 9, 3)), np.stack([hole_of(8, 9), 0 * hole_of(8, 9)])
    chosen = error[np.repeat(hole, 3, -1) == 1]
    assert float(losses.masked_mean(error, hole)) == pytest.approx(chosen.mean(), rel=1e-5)
    assert float(losses.masked_mean(error, 0 * hole)) == 0


def test_metrics_inside_the_hole():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 256, (3, 40, 50, 3), np.uint8)
    output = np.clip(target + generator.integers(-60, 60, target.shape), 0, 255).astype(np.uint8)
    hole = np.stack([hole_of(40, 50, 0), hole_of(40, 50, 1), np.zeros((40, 50, 1))])
    found = measure(output, target, (hole * 255).astype(np.uint8))
    for i in range(2):
        inside = np.repeat(hole[i], 3, -1) == 1
        a, b = output[i][inside] / 255, target[i][inside] / 255
        assert float(found["hole_l1"][i]) == pytest.approx(2 * np.abs(a - b).mean(), rel=1e-4)
        psnr = peak_signal_noise_ratio(b, a, data_range=1)
        assert float(found["hole_psnr"][i]) == pytest.approx(psnr, rel=1e-4)
        _, ssim = structural_similarity(
            output[i], target[i], data_range=255, channel_axis=-1, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False, full=True,
        )  # fmt: skip
        share = ndimage.gaussian_filter(hole[i, ..., 0].astype(float), 1.5, truncate=3.5)
        inner = (slice(5, -5), slice(5, -5))
        expected = np.average(ssim.mean(-1)[inner], weights=share[inner])
        assert float(found["hole_ssim"][i]) == pytest.approx(expected, abs=1e-4)
    empty = [float(found[name][2]) for name in ("hole_l1", "hole_psnr", "hole_ssim")]
    assert empty == [0, per_image.PSNR_CAP, 1]


# Runs


def test_evaluation_keeps_what_is_outside_the_hole(run):
    config, workdir = run
    means = evaluate.evaluate(config, str(workdir))
    report = json.loads((workdir / "eval" / "metrics.json").read_text())
    assert means["hole_l1"] > 0 and {"hole_psnr", "hole_ssim"} <= set(means)
    examples = loading.load_examples(config.data, config.seed, "val", False, "masked")
    images, masked = (examples.images(kind, np.arange(3)) for kind in ("image", "masked"))
    for i, name in enumerate(examples.names(np.arange(3))):
        read = lambda kind, name=name: np.asarray(
            Image.open(workdir / "eval" / "images" / f"{name}_{kind}.png")
        )
        hole = masked[i][..., 3] == 255
        assert 0.05 < hole.mean() < 0.6
        np.testing.assert_array_equal(read("output")[~hole], read("target")[~hole])
        np.testing.assert_array_equal(read("input")[~hole], read("target")[~hole])
        assert (read("input")[hole] == 255).all()
        inside = np.abs(read("output")[hole].astype(float) - read("target")[hole]).mean() / 127.5
        assert report["images"][i]["hole_l1"] == pytest.approx(inside, rel=1e-4)
    raw = small(**{"eval.composite": False})
    (direction,) = inpainting.directions(raw)
    variables, _ = weights.load_generators(raw, str(workdir))
    output = Translator(raw, direction).batch(variables["G"], np.stack(masked), np.arange(3))
    outside = np.stack(masked)[..., 3] != 255
    assert (output[outside] != np.stack(images)[outside]).any()


def test_resuming_is_exact(run, tmp_path):
    """Stopped at half and resumed: the same weights to the bit, holes included."""
    _, workdir = run
    for steps in (4, 8):
        config = small(**{"train.num_steps": steps})
        train(config, str(tmp_path))
    whole, _ = weights.load_generators(small(), str(workdir))
    resumed, _ = weights.load_generators(small(), str(tmp_path))
    assert parity.worst(whole["G"]["params"], resumed["G"]["params"]) == 0


@pytest.fixture
def photographs(tmp_path):
    """A folder of 21 photographs of several sizes, and one of masks."""
    generator = np.random.default_rng(0)
    for i in range(21):
        shape = (64 + 4 * (i % 3), 70, 3)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, shape, np.uint8)).save(
            tmp_path / "photos" / f"{i:02}.png"
        )
    (tmp_path / "masks").mkdir()
    for i in range(2):
        mask = (hole_of(64, 64, i)[..., 0] * 255).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    return tmp_path


def test_a_folder_of_photographs_and_one_of_masks(photographs, tmp_path):
    """About one in 20 images is held out; the holes are those of the files."""
    config = small(
        **{
            "data.name": "folder",
            "data.dir": str(photographs / "photos"),
            "data.mask_dir": str(photographs / "masks"),
            "data.flip": False,
            "train.num_steps": 2,
            "train.eval_every": 2,
        }
    )
    training = loading.load_examples(config.data, config.seed, "train", True, "masked")
    validation = loading.load_examples(config.data, config.seed, "val", False, "masked")
    assert len(training) == 20 and len(validation) == 1
    assert not {*validation.names(np.arange(1))} & {*training.names(np.arange(20))}
    evaluated = loading.load_examples(config.data, config.seed, "train", False, "masked")
    masked = evaluated.images("masked", np.arange(2))
    for i in range(2):
        expected = hole_of(64, 64, i) * 255
        np.testing.assert_array_equal(masked[i][..., 3:], expected)
    item = jax.tree.map(lambda x: x[0], training.chunk(0, 1, 2))
    made = make_batch(config, training, 0, item)
    assert made["image"].shape == (2, 64, 64, 3) and made["mask"].shape == (2, 64, 64, 1)
    known = [hole_of(64, 64, i).tobytes() for i in range(2)]
    for mask in np.asarray(made["mask"] > 0, np.float32):
        assert mask.tobytes() in known
    train(config, str(tmp_path / "run"))
    assert "hole_l1" in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"celebahq.*fetch them by hand.*data\.dir"):
        loading.load_examples(inpaint.get_config("celebahq").data, 0, "train", True, "masked")
    config = inpaint.get_config("folder")
    with pytest.raises(FileNotFoundError, match="no images are named: give --config.data.dir="):
        loading.load_examples(config.data, config.seed, "train", True, "masked")
    config.data.dir = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        loading.load_examples(config.data, config.seed, "train", True, "masked")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "one.png")
    config.data.dir = str(tmp_path)
    with pytest.raises(ValueError, match="one image only"):
        loading.load_examples(config.data, config.seed, "train", True, "masked")


def test_translating_with_masks(run, photographs, tmp_path):
    """One image and its mask, a folder with a folder; any size, the outside untouched."""
    config, workdir = run
    image = np.asarray(Image.open(photographs / "photos" / "00.png"))
    hole = np.zeros(image.shape[:2], np.uint8)
    hole[20:40, 10:50] = 255
    hole[0, 0] = 100  # darker than half: not a hole
    Image.fromarray(hole).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    source = photographs / "photos" / "00.png"
    translate.translate(config, str(workdir), str(source), str(out), str(tmp_path / "mask.png"))
    result = np.asarray(Image.open(out / "00.png"))
    changed = (result != image).any(-1)
    assert not changed[hole != 255].any() and changed[hole == 255].mean() > 0.9

    few, their_masks = tmp_path / "few", tmp_path / "their_masks"
    for folder in (few / "more", their_masks / "more"):
        folder.mkdir(parents=True)
    for name in ("a", "more/b"):
        Image.fromarray(image).save(few / f"{name}.png")
    Image.fromarray(hole).save(their_masks / "a.png")
    drawn = np.stack([np.full_like(hole, 255)] * 3 + [hole], axis=-1)  # white on transparent
    Image.fromarray(drawn).save(their_masks / "more" / "b.png")
    assert not translate.translate(config, str(workdir), str(few), str(out), str(their_masks))
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a.png")), result)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "more" / "b.png")), result)

    Image.fromarray(hole).save(their_masks / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png have the same name"):
        translate.translate(config, str(workdir), str(few), str(out), str(their_masks))
    (their_masks / "a.jpg").unlink()

    (their_masks / "more" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png has no mask of its name"):
        translate.translate(config, str(workdir), str(few), str(out), str(their_masks))
    with pytest.raises(ValueError, match="takes --mask"):
        translate.translate(config, str(workdir), str(few), str(out))


def test_masks_are_not_overwritten(run, photographs, tmp_path):
    """Their folder, or that of the one mask, is no place for results of the same names."""
    config, workdir = run
    source, their_masks = photographs / "photos" / "00.png", tmp_path / "few_masks"
    their_masks.mkdir()
    mask = their_masks / "00.png"
    Image.fromarray(np.zeros(np.asarray(Image.open(source)).shape[:2], np.uint8)).save(mask)
    before = mask.read_bytes()
    for given in (mask, their_masks):
        with pytest.raises(ValueError, match=r"few_masks/00\.png is one of the masks"):
            translate.translate(config, str(workdir), str(source), str(their_masks), str(given))
    assert mask.read_bytes() == before


def test_a_mask_of_another_size_is_skipped(run, photographs, tmp_path, capsys):
    config, workdir = run
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(tmp_path / "mask.png")
    source = photographs / "photos" / "00.png"
    failed = translate.translate(
        config, str(workdir), str(source), str(tmp_path / "out"), str(tmp_path / "mask.png")
    )
    assert failed == [str(source)]
    assert "12x10, but the image is 70x64: they must agree" in capsys.readouterr().out


def test_masks_are_for_inpainting_only(finished_run, photographs):
    config, workdir = finished_run
    with pytest.raises(ValueError, match="pix2pix takes no --mask"):
        translate.translate(config, str(workdir), str(photographs / "photos"), "out", "mask.png")


def test_pytorch_files_of_pen_net(tmp_path):
    """A .pth with PEN-Net's names, under netG as published, gives PyTorch's picture."""
    net = baseline.init_weights(theirs.InpaintingUnet(4), 1)
    torch.save({"netG": net.state_dict()}, tmp_path / "gen.pth")
    config = small(init_from=str(tmp_path / "gen.pth"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    hole = hole_of(64, 64)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray((hole[..., 0] * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    translate.translate(config, "", str(tmp_path / "a.png"), str(out), str(tmp_path / "mask.png"))
    x = parity.nchw(image[None] / np.float32(127.5) - 1)
    m = parity.nchw(hole[None])
    with torch.no_grad():
        output = net(torch.cat([x * (1 - m) + m, m], 1))
    expected = (parity.nhwc(output * m + x * (1 - m))[0] + 1) * 127.5
    found = np.asarray(Image.open(out / "a.png"))
    assert np.abs(found - expected).max() <= 0.51
    config.model.ngf = 8
    with pytest.raises(ValueError, match=r"inpainting_unet.*model\.ngf=4"):
        weights.load_generators(config, "")


def test_export(run, tmp_path):
    config, workdir = run
    (path,) = export_pth(config, str(workdir), str(tmp_path))
    net = theirs.InpaintingUnet(4)
    net.load_state_dict(torch.load(path, weights_only=True), strict=True)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("data.input_channels", 3, "the image's 3 channel"),
        ("data.mask_share", (0.5, 0.2), "smallest and the largest share"),
        ("data.mask_kind", "circle", "choose one of rectangle, strokes, both"),
        ("eval.fit", "resize", "inpainting takes pad"),
        ("data.crop_size", (64, 48), "multiples of 64"),
    ],
)
def test_fields_no_run_could_work_with(field, value, words):
    with pytest.raises(ValueError, match=words):
        config_checks.check(small(**{field: value}))
