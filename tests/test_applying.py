"""Evaluation and translation of a trained run, and weights that come from PyTorch."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import metrics as skimage_metrics

from benchmarks import torch_baseline as baseline
from pix2pix_jax import exchange, train, weights
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.evaluation.evaluator import Row
from pix2pix_jax.images.fitting import pad_to_multiple
from pix2pix_jax.methods import pix2pix
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.models import build
from pix2pix_jax.pytorch.pth_file import read_pth
from pix2pix_jax.run import checkpoints, config_file
from pix2pix_jax.run.lock import WorkdirLock
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translator import Translator
from tests import parity
from tests.conftest import small_config


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("fields", [{}, {"eval.dropout": False}, {"eval.norm_mode": "running"}])
def test_batches_give_the_images_of_one_by_one(finished_run, fields):
    _, workdir = finished_run
    config = small_config(**{"eval.batch_size": 3, "model.dropout_blocks": (1,), **fields})
    config.model.dropout_blocks = small_config().model.dropout_blocks
    variables, _ = weights.load_generators(config, str(workdir))
    images, indices = noise(7, 32, 32, 3), np.arange(7)
    translator = Translator(config, *pix2pix.directions(config)).batch
    together = translator(variables["G"], images, indices)
    for i in indices:
        alone = translator(variables["G"], images[i : i + 1], indices[i : i + 1])
        assert np.abs(alone[0].astype(int) - together[i]).max() <= 1  # a rounding of float32


def test_noise_differs_between_images_and_samples():
    """Dropout is the noise: on the same image, other masks for another index or sample."""
    config = small_config(**{"model.generator": "unet_64", "model.dropout_blocks": (1, 2)})
    config.data.crop_size = (64, 64)
    variables = fresh_state(config).networks["G"].variables
    image = np.repeat(noise(1, 64, 64, 3), 3, axis=0)
    translator = Translator(config, *pix2pix.directions(config)).batch
    a = translator(variables, image, np.array([0, 1, 0]))
    b = translator(variables, image, np.array([0, 1, 0]), sample=1)
    assert (a[0] == a[2]).all() and (a[0] != a[1]).any() and (a[0] != b[0]).any()


def test_evaluation_writes_metrics_of_the_pictures_it_writes(finished_run):
    config, workdir = finished_run
    config.eval.noise_samples = 2
    means = evaluate.evaluate(config, str(workdir))
    config.eval.noise_samples = 1
    images = workdir / "eval" / "images"
    Image.new("RGB", (8, 8)).save(images / "mine_output.png")
    before = {path.name for path in images.iterdir()}
    report = json.loads((workdir / "eval" / "metrics.json").read_text())
    assert report["mean"] == means and report["num_images"] == 3
    for row in report["images"]:
        read = lambda kind, row=row: np.asarray(
            Image.open(workdir / "eval" / "images" / f"{row['name']}_{kind}.png")
        )
        target = read("target") / 255
        scores = []
        for kind in ("output", "output_2"):
            output = read(kind) / 255
            scores.append(
                (
                    2 * np.abs(output - target).mean(),
                    skimage_metrics.peak_signal_noise_ratio(target, output, data_range=1),
                    skimage_metrics.structural_similarity(
                        target,
                        output,
                        gaussian_weights=True,
                        sigma=1.5,
                        data_range=1,
                        use_sample_covariance=False,
                        channel_axis=-1,
                    ),
                )
            )
        expected = np.mean(scores, axis=0)
        np.testing.assert_allclose([row[k] for k in ("l1", "psnr", "ssim")], expected, rtol=1e-4)
    assert (workdir / "eval" / "index.html").exists() and (workdir / "eval" / "grid.png").exists()
    evaluate.evaluate(config, str(workdir))  # with one sample, and the second ones go
    gone = before - {path.name for path in images.iterdir()}
    assert gone == {f"{row['name']}_output_2.png" for row in report["images"]}
    (images / "mine_output.png").unlink()  # other tests take this run, too


@pytest.mark.parametrize("fit", ["resize", "pad"])
def test_translate_keeps_sizes_and_names(finished_run, tmp_path, capsys, fit):
    config, workdir = finished_run
    config = small_config(**{"eval.fit": fit})
    source = tmp_path / "in"
    (source / "more").mkdir(parents=True)
    sizes = {"square.png": (32, 32, 3), "wide.jpg": (20, 50, 3), "more/tall.png": (70, 33, 3)}
    for name, shape in sizes.items():
        Image.fromarray(noise(*shape)).save(source / name)
    Image.fromarray(noise(30, 30, 4)).save(source / "clear.png")
    Image.fromarray(noise(30, 30)).save(source / "gray.png")
    (source / "bad.jpg").write_bytes(b"nothing")
    failed = translate.translate(config, str(workdir), str(source), str(tmp_path / "out"))
    assert failed == [str(source / "bad.jpg")]
    assert "skipped" in capsys.readouterr().out
    for name, shape in {**sizes, "clear.png": (30, 30), "gray.png": (30, 30)}.items():
        result = Image.open((tmp_path / "out" / name).with_suffix(".png"))
        assert result.size == shape[1::-1] and result.mode == "RGB"


def test_images_that_differ_in_their_endings_are_all_translated(finished_run, tmp_path):
    config, workdir = finished_run
    (tmp_path / "in").mkdir()
    levels = {"a.png": 0, "a.bmp": 128, "b.png": 255}
    for name, level in levels.items():
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / "in" / name)
    output = tmp_path / "out"
    assert not translate.translate(config, str(workdir), str(tmp_path / "in"), str(output))
    assert {path.name for path in output.glob("*.png")} == {"a.png.png", "a.bmp.png", "b.png"}
    assert len({path.read_bytes() for path in output.glob("*.png")}) == 3


def test_translating_never_overwrites_its_images(finished_run, tmp_path):
    config, workdir = finished_run
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for source, words in (
        (tmp_path, "is or lies in the folder of the images"),
        (tmp_path / "a.png", r"a\.png is one of the images .*another folder"),
    ):
        with pytest.raises(ValueError, match=words):
            translate.translate(config, str(workdir), str(source), str(tmp_path))
    assert (tmp_path / "a.png").read_bytes() == before


def test_evaluated_images_of_alike_names_stay_apart(tmp_path):
    """a/b and a_b; each file on the page is there, and is of its own image."""
    rows = [
        Row(name, "", {"output": np.full((4, 4, 3), level, np.uint8)}, {"l1": 0.0})
        for name, level in (("a/b", 10), ("a_b", 200))
    ]
    written = [evaluate._write_images(tmp_path, row) for row in rows]
    for row, level in zip(written, (10, 200), strict=True):
        ((_, path),) = row["images"]
        assert (np.asarray(Image.open(tmp_path / path)) == level).all()


def test_evaluation_at_the_scale_of_training(tmp_path):
    """Images of several sizes, one by one at their own resolution; metrics against skimage."""
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i, size in enumerate(((40, 48), (33, 70))):
            array = noise(size[0], 2 * size[1], 3, seed=i)
            Image.fromarray(array).save(tmp_path / "data" / split / f"{i}.png")
    config = small_config(
        **{
            "data.dir": str(tmp_path / "data"),
            "data.preprocess": "crop",
            "eval.set_metrics": ("colors",),
            "init_from": str(tmp_path / "latest_net_G.pth"),
        }
    )
    pth_files(tmp_path)
    means = evaluate.evaluate(config, str(tmp_path / "run"))
    folder = tmp_path / "run" / "eval" / "images"
    read = lambda name: np.asarray(Image.open(folder / name)).astype(float)
    outputs, targets = ([read(f"{i}_{kind}.png") for i in (0, 1)] for kind in ("output", "target"))
    assert [image.shape for image in outputs] == [(40, 48, 3), (33, 70, 3)]
    errors = [np.abs(a - b).mean() / 127.5 for a, b in zip(outputs, targets, strict=True)]
    assert means["l1"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert 0 < means["color_l"] < 1


def test_padding_leaves_the_middle_of_an_image_as_it_is():
    config = small_config(**{"eval.fit": "pad"})
    image = noise(40, 70, 3)
    divisor = build.generator(config.model, 3).divisor
    fitted, restore = pad_to_multiple(image, divisor)
    assert fitted.shape == (64, 96, 3)
    np.testing.assert_array_equal(restore(fitted), image)
    np.testing.assert_array_equal(fitted[40:64], fitted[16:40][::-1])
    same, _ = pad_to_multiple(noise(32, 64, 3), divisor)
    np.testing.assert_array_equal(same, noise(32, 64, 3))


def pth_files(folder):
    """latest_net_{G,D}.pth of PyTorch networks that fit `small_config`."""
    g = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4), 1)
    d = baseline.init_weights(baseline.NLayerDiscriminator(6, 4, 2), 2)
    torch.save(g.state_dict(), folder / "latest_net_G.pth")
    torch.save(d.state_dict(), folder / "latest_net_D.pth")
    return g, d


def test_translating_with_a_pytorch_generator(tmp_path):
    """The picture that PyTorch makes of the same file, to a level."""
    g, _ = pth_files(tmp_path)
    image = noise(32, 32, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    config = small_config(
        **{"init_from": str(tmp_path / "latest_net_G.pth"), "eval.dropout": False}
    )
    translate.translate(config, "", str(tmp_path / "a.png"), str(tmp_path / "out"))
    g.train()
    for module in g.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    with torch.no_grad():
        output = parity.nhwc(g(parity.nchw(image[None] / np.float32(127.5) - 1)))[0]
    found = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert np.abs(found - (output + 1) * 127.5).max() <= 0.51


def test_an_import_leaves_a_training_and_what_it_cannot_read_alone(tmp_path):
    pth_files(tmp_path)
    config = small_config(init_from=str(tmp_path / "latest_net_G.pth"))
    with WorkdirLock(tmp_path / "run") as lock:
        lock.take()
        (tmp_path / "run" / "config.json").write_text("of the training")
        with pytest.raises(OSError, match=r"is training in .*run"):
            exchange.import_pth(config, str(tmp_path / "run"))
        assert (tmp_path / "run" / "config.json").read_text() == "of the training"
    config.init_from = str(tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        exchange.import_pth(config, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_import_fine_tune_and_export(tmp_path, capsys):
    """.pth -> a run -> .pth gives the same numbers; training goes on from them."""
    g, d = pth_files(tmp_path)
    config = small_config(**{"init_from": str(tmp_path / "latest_net_G.pth")})
    workdir = tmp_path / "run"
    with pytest.raises(ValueError, match=r"latest_net_G.pth is a .pth already, .* --format=onnx"):
        exchange.export_pth(config, str(workdir), str(tmp_path / "weights"))
    exchange.import_pth(config, str(workdir))
    paths = exchange.export_pth(config, str(workdir), str(tmp_path / "weights"))
    assert [p.name for p in paths] == ["0_net_D.pth", "0_net_G.pth"]
    for path, net in zip(paths, (d, g), strict=True):
        state = torch.load(path, weights_only=True)
        for name, tensor in net.state_dict().items():
            assert torch.equal(state[name], tensor), name
        net.load_state_dict(state, strict=True)
    with pytest.raises(ValueError, match="already holds checkpoints"):
        exchange.import_pth(config, str(workdir))
    assert "needs changes" not in capsys.readouterr().out

    config.train.num_steps = 4
    train.train(config, str(workdir))
    tuned = exchange.export_pth(config, str(workdir), str(tmp_path / "tuned"))
    moved = (
        read_pth(tuned[1])["model.model.0.weight"] - parity.state_dict(g)["model.model.0.weight"]
    )
    assert 0 < np.abs(moved).max() <= 4 * 2 * 2e-4  # four steps of Adam


@pytest.mark.parametrize("bias", ["none", "last"])
def test_pytorch_gets_zeros_for_biases_that_a_model_lacks(bias, tmp_path, capsys):
    """So that its strict loading takes them; coming back they are left out."""
    config = small_config(**{"model.bias": bias, "model.norm_eps": 1e-3})
    state = fresh_state(config)
    with checkpoints.Checkpoints(tmp_path / "run") as saver:
        saver.save(state)
        saver.wait()
    config_file.write_config(tmp_path / "run", config)
    exchange.export_pth(config, str(tmp_path / "run"), str(tmp_path))
    assert "the model has norm_eps=0.001 instead of 1e-05\n" in capsys.readouterr().out
    g, d = baseline.UnetGenerator(3, 3, 5, 4), baseline.NLayerDiscriminator(6, 4, 2)
    for net, name in ((g, "G"), (d, "D")):
        net.load_state_dict(torch.load(tmp_path / f"0_net_{name}.pth", weights_only=True))
    assert not g.model.model[3].bias.any() and not d.model[0].bias.any()
    config.init_from = str(tmp_path / "0_net_G.pth")
    again = weights.initialize(config, fresh_state(config))
    for name, network in state.networks.items():
        assert parity.worst(again.networks[name].variables, network.variables) == 0


def test_fine_tuning_takes_what_there_is(finished_run, tmp_path, capsys):
    """From a run: both networks. From a lone .pth: G, and a fresh D."""
    config, workdir = finished_run
    trained, _ = weights.load_generators(config, str(workdir))
    for origin in (workdir, tmp_path / "mine.pth"):
        if origin.suffix == ".pth":
            pth_files(tmp_path)
            (tmp_path / "latest_net_G.pth").rename(origin)
        fresh = fresh_state(small_config(seed=5))
        started = weights.initialize(small_config(init_from=str(origin)), fresh)
        same = parity.worst(started.networks["D"].params, fresh.networks["D"].params) == 0
        assert same == (origin.suffix == ".pth")
        assert parity.worst(started.networks["G"].params, fresh.networks["G"].params) > 0
        if origin == workdir:
            assert parity.worst(started.networks["G"].params, trained["G"]["params"]) == 0
    assert "D: none beside" in capsys.readouterr().out
    config = small_config(**{"init_from": str(workdir), "loss.conditional": False})
    with pytest.raises(ValueError, match="loss.conditional is True there, False here"):
        weights.initialize(config, None)
    weights.load_generators(config, "")  # takes no discriminator


def test_which_norm_a_discriminator_of_pytorch_has(tmp_path):
    """The generator is judged first; a discriminator that differs from it has a norm of its own."""
    pth_files(tmp_path)
    other = baseline.NLayerDiscriminator(6, 4, 2, norm="instance")
    torch.save(other.state_dict(), tmp_path / "latest_net_D.pth")
    config = small_config(init_from=str(tmp_path / "latest_net_G.pth"))
    with pytest.raises(ValueError, match="latest_net_D.pth.*: set --config.model.norm_d=instance$"):
        weights.initialize(config, None)
    config.model.norm_d = "instance"
    fresh = fresh_state(config)
    started = weights.initialize(config, fresh)
    assert parity.worst(started.networks["D"].params, fresh.networks["D"].params) > 0
    config.model.ngf = 8
    with pytest.raises(ValueError, match=r"latest_net_G.pth.*: set --config.model.ngf=4$"):
        weights.initialize(config, None)


def test_checkpoints_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in .*train first"):
        weights.load_generators(small_config(), str(tmp_path))
    config = small_config(init_from=str(tmp_path))
    for ending in ("", f": give one of its files, {tmp_path}/3_net_G.pth"):
        for use in (weights.check_source, lambda config: weights.load_generators(config, "")):
            with pytest.raises(FileNotFoundError, match=f"is no run with checkpoints{ending}$"):
                use(config)
        pth_files(tmp_path)
        (tmp_path / "latest_net_G.pth").rename(tmp_path / "3_net_G.pth")
