"""FID and KID: golden values, scipy and PIL, the network against one in PyTorch, both commands."""

import contextlib
import hashlib
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image

from pix2pix_jax.evaluation.evaluator import Row
from pix2pix_jax.evaluation.summary import Summary
from pix2pix_jax.images import interpolation
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import inception_features, per_set, statistics_files, weights_files
from pix2pix_jax.metrics.__main__ import main
from pix2pix_jax.metrics.distances import Gaussian, frechet_distance, kernel_distance
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.models.frozen import FrozenConv
from pix2pix_jax.pytorch.pth_file import write_pth
from pix2pix_jax.run import checks
from pix2pix_jax.settings import config_checks
from tests import parity, torch_measuring
from tests.conftest import small_config

SMALL = 75  # the least height and width that Inception takes
ROW, COLUMN = np.arange(10)[:, None], np.arange(4)[None]
X = np.sin(1 + ROW**2 + 3 * ROW * COLUMN + COLUMN)
Y = np.cos(0.5 + 1.3 * ROW**2 + 2 * COLUMN**2 + ROW * COLUMN) + 0.25


# Distances


def test_golden_distances():
    a, b = Gaussian.of(X), Gaussian.of(Y)
    assert frechet_distance(a, b) == pytest.approx(1.0908490230516, abs=1e-11)
    assert kernel_distance(X, Y) == (pytest.approx(0.1708234552259, abs=1e-11), 0)
    unit, shifted = (Gaussian.from_covariance(np.full(256, m), np.eye(256)) for m in (0, 1))
    assert frechet_distance(unit, shifted) == pytest.approx(256, abs=1e-9)


@pytest.mark.parametrize("counts", [(40, 50), (90, 70)])  # more and fewer than 64 features
def test_frechet_distance_equals_that_with_scipys_square_root(counts):
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(n, 64)) * np.arange(1, 65) / 20 for n in counts)
    means, covariances = [f.mean(0) for f in (x, y)], [np.cov(f, rowvar=False) for f in (x, y)]
    ridge = 1e-9 * np.eye(64)  # against what sqrtm makes of singular matrices
    root = scipy.linalg.sqrtm((covariances[0] + ridge) @ (covariances[1] + ridge))
    expected = np.square(means[0] - means[1]).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root.real)
    a, b = Gaussian.of(x), Gaussian.of(y)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-12)
    c = Gaussian.from_covariance(means[1], covariances[1])
    assert frechet_distance(a, c) == pytest.approx(frechet_distance(a, b), rel=1e-6)
    assert abs(frechet_distance(a, Gaussian.of(x))) < 1e-9


def test_kernel_distance_draws_subsets_as_torch_fidelity():
    """All pairs written out, over the subsets of its generator."""
    state, expected = np.random.RandomState(2020), []
    for _ in range(100):
        x = X[state.choice(10, 7, replace=False)]
        y = Y[state.choice(9, 7, replace=False)]
        k = lambda a, b: (np.dot(a, b) / 4 + 1) ** 3
        pairs = [(i, j) for i in range(7) for j in range(7)]
        within = [k(f[i], f[j]) for f in (x, y) for i, j in pairs if i != j]
        expected.append(sum(within) / 42 - 2 * np.mean([k(x[i], y[j]) for i, j in pairs]))
    found = kernel_distance(X, Y[:9], subset_size=7)
    assert found == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-9)
    with pytest.raises(ValueError, match="a set has 1 image: .* at least 2"):
        kernel_distance(X, Y[:1])


# Images


def test_resizes_are_pytorchs_and_pils():
    levels = np.arange(8.0) ** 2
    golden = {
        (interpolation.torch_bilinear, 5): [0.3, 3.7, 12.5, 26.1, 45.1],
        (interpolation.pil_bicubic, 5): [0.155901, 3.647625, 12.187723, 26.356855, 44.593490],
    }
    for (matrix, size), expected in golden.items():
        np.testing.assert_allclose(matrix(8, size) @ levels, expected, atol=1e-5)
    image = np.random.default_rng(0).uniform(0, 255, (20, 31)).astype(np.float32)
    for size in ((9, 47), (64, 20)):
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(image)[None, None], size, mode="bilinear", align_corners=False
        )
        ours = interpolation.resize(image[None, ..., None], size, interpolation.torch_bilinear)
        np.testing.assert_allclose(ours[0, ..., 0], theirs[0, 0], atol=1e-3)
        for matrix, method in (
            (interpolation.pil_bicubic, Image.BICUBIC),
            (interpolation.pil_bilinear, Image.BILINEAR),
        ):
            theirs = np.asarray(Image.fromarray(image).resize(size[::-1], method))
            ours = interpolation.resize(image[None, ..., None], size, matrix)[0, ..., 0]
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


# Network


@pytest.fixture(scope="module")
def inception():
    x = parity.nchw(parity.images(4, SMALL, SMALL, 3))
    return torch_measuring.randomize(torch_measuring.Inception(), x)


@pytest.fixture(scope="module")
def weights(inception, tmp_path_factory):
    """A .pth of random weights, named by its hash."""
    folder = tmp_path_factory.mktemp("weights")
    state = {k: v for k, v in parity.state_dict(inception).items() if "num_batches" not in k}
    write_pth(folder / "any.pth", state)
    digest = hashlib.sha256((folder / "any.pth").read_bytes()).hexdigest()
    return (folder / "any.pth").rename(folder / f"inception-{digest[:8]}.pth")


@pytest.fixture(scope="module")
def describe(inception):
    """`describer`, for images resized to 75x75 in the place of 299x299, compiled once."""
    variables = inception_features.variables_of(parity.state_dict(inception))
    return inception_features.describer(variables, "clean", 3, SMALL)


def test_the_network_has_the_published_layers(inception):
    state = {k: v for k, v in inception.state_dict().items() if "num_batches" not in k}
    assert len(state) == 472 and sum(v.numel() for v in state.values()) == 23_885_392


def test_features_equal_pytorchs(inception, describe):
    images = np.random.default_rng(1).integers(0, 256, (4, SMALL, SMALL, 3), np.uint8)
    with torch.no_grad():
        expected = inception((parity.nchw(images.astype(np.float32)) - 128) / 128).numpy()
    found = describe(images)  # a batch of three and one of one
    assert found.shape == (4, 2048) and expected.std(0).mean() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "shape, kernel, stride, padding, dilation",
    [
        ((1, 32, 32, 128, 64), (3, 3), 1, (1, 1), 1),  # by Winograd's algorithm
        ((2, 15, 16, 8, 12), (3, 3), 2, (0, 0), 1),
        ((2, 15, 16, 8, 12), (5, 3), 1, (0, 0), 1),
        ((2, 15, 16, 8, 12), (1, 7), 1, (0, 3), 1),
        ((2, 15, 16, 8, 12), (3, 3), 1, (4, 4), 4),
        ((2, 15, 16, 8, 12), (1, 1), 2, (0, 0), 1),
    ],
)
def test_layers_equal_pytorchs(shape, kernel, stride, padding, dilation):
    *size, features = shape
    x, w = parity.images(*size), parity.images(*kernel, size[-1], features, seed=1)
    bias = parity.images(features, seed=2)
    layer = FrozenConv(features, kernel, stride, padding, dilation)
    found = jax.jit(layer.apply)({"params": {"kernel": w, "bias": bias}}, x)
    expected = torch.nn.functional.conv2d(
        parity.nchw(x), torch.from_numpy(w.transpose(3, 2, 0, 1).copy()), torch.from_numpy(bias),
        stride, padding, dilation,
    )  # fmt: skip
    np.testing.assert_allclose(found, parity.nhwc(expected), atol=1e-4)


def test_wrong_weights_are_refused(inception, weights, tmp_path):
    state = parity.state_dict(inception)
    with pytest.raises(ValueError, match="1000 classes apart, not 1008.* take pt_inception"):
        inception_features.variables_of({**state, "fc.bias": np.zeros(1000, np.float32)})
    del state["Mixed_6c.branch_pool.bn.running_var"]
    with pytest.raises(ValueError, match="no array 'Mixed_6c.branch_pool.bn.running_var'"):
        inception_features.variables_of(state)
    read = weights_files.read
    with pytest.raises(FileNotFoundError, match="is needed, .* get it from the release"):
        read("", weights_files.INCEPTION)
    with pytest.raises(FileNotFoundError, match="6726825d.pth is not in"):
        read(tmp_path, weights_files.INCEPTION)
    with pytest.raises(
        FileNotFoundError, match="is missing: there is no file or folder .*nowhere: get"
    ):
        read(tmp_path / "nowhere", weights_files.INCEPTION)
    damaged = tmp_path / weights.name
    damaged.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="its SHA-256 begins with"):
        read(damaged, weights_files.INCEPTION)
    other = tmp_path / "some.pth"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match="begins with e3b0c442, not 6726825d"):
        read(other, weights_files.INCEPTION)


# Commands


def save_images(folder, count, size, seed):
    folder.mkdir()
    random = np.random.default_rng(seed)
    images = random.integers(0, 200 + 50 * seed, (count, *size, 3)).astype(np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return images


def test_two_folders_and_saved_statistics(weights, describe, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inception_features, "SIZE", SMALL)
    real, fake = (
        save_images(tmp_path / name, count, (20, 24), seed)
        for name, count, seed in (("real", 3, 0), ("fake", 4, 1))
    )
    x, y = describe(real), describe(fake)
    folders = [str(tmp_path / "real"), str(tmp_path / "fake"), f"--weights={weights}"]
    kept = tmp_path / "real.npz"
    # One more of the name 0, which matters to pairs only
    (tmp_path / "fake" / "3.png").rename(tmp_path / "fake" / "0.tiff")
    main(["fid", *folders, f"--save-statistics={kept}", "--batch-size=3"])
    output = capsys.readouterr().out  # with progress lines, where a machine is slow
    line = output.splitlines()[-1]
    expected = frechet_distance(Gaussian.of(x), Gaussian.of(y))
    assert "compares only with its own figures" in output
    assert "note: FID falls with the number" in output
    assert line.startswith("FID ") and "clean, 3 true and 4 generated images" in line
    assert float(line.split()[1]) == pytest.approx(expected, rel=1e-4)

    with pytest.raises(SystemExit, match="none.npz: make it with --save-statistics"):
        main(["fid", f"{tmp_path}/none.npz", folders[1], folders[2]])
    few = tmp_path / "few.npz"
    statistics_files.save(few, statistics_files.of_features(y), "clean")
    main(["kid", str(kept), str(few), "--subset-size=2"])
    found = float(capsys.readouterr().out.splitlines()[-1].split()[1].rstrip(","))
    assert found == pytest.approx(kernel_distance(x, y, subset_size=2)[0], rel=1e-4)
    with np.load(kept) as file:  # as pytorch-fid reads them
        np.testing.assert_allclose(file["mu"], x.mean(0), atol=1e-4)
        np.testing.assert_allclose(file["sigma"], np.cov(x, rowvar=False), atol=1e-4)

    x, y = x[:, :64], y[:, :64]
    np.savez(tmp_path / "theirs.npz", mu=x.mean(0), sigma=np.cov(x, rowvar=False))
    statistics_files.save(few, statistics_files.of_features(y), "clean")
    main(["fid", str(tmp_path / "theirs.npz"), str(few)])
    found = float(capsys.readouterr().out.splitlines()[-1].split()[1])
    assert found == pytest.approx(frechet_distance(Gaussian.of(x), Gaussian.of(y)), rel=1e-4)
    with pytest.raises(SystemExit, match="error: KID takes the features of both sets"):
        main(["kid", str(tmp_path / "theirs.npz"), str(few)])
    main(["fid", str(tmp_path / "theirs.npz"), f"--save-statistics={tmp_path}/again.npz"])
    main(["fid", str(tmp_path / "again.npz"), str(few)])
    assert float(capsys.readouterr().out.splitlines()[-1].split()[1]) == pytest.approx(found)
    with pytest.raises(SystemExit, match="made in the mode clean, not pytorch_fid"):
        main(["fid", str(few), str(few), "--mode=pytorch_fid"])
    with pytest.raises(SystemExit, match="give the generated images too"):
        main(["fid", str(few)])
    with pytest.raises(SystemExit, match="end its name in .npz"):
        main(["fid", str(few), f"--save-statistics={tmp_path}/few"])
    with pytest.raises(SystemExit, match="holds no statistics of a set"):
        np.savez(tmp_path / "other.npz", mean=x)
        main(["fid", str(tmp_path / "other.npz"), str(few)])


def test_files_that_are_no_statistics(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(9, 6))
    mean, cov = x.mean(0), np.cov(x, rowvar=False)
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    for fields in (
        {"mu": mean[:-1], "sigma": cov},
        {"mu": mean * np.nan, "sigma": cov},
        {"mu": mean, "sigma": cov, "features": x[0]},
        {"mu": mean, "sigma": cov, "features": x[:, :-1]},
        {"mu": mean, "sigma": cov, "features": x.astype(str)},
    ):
        np.savez(bad, **fields)
        with pytest.raises(ValueError, match=r"bad\.npz holds no statistics of a set"):
            statistics_files.load(bad, "clean")
    np.save(bad.open("wb"), x)  # an array under that name
    with pytest.raises(ValueError, match=r"bad\.npz holds no statistics of a set"):
        statistics_files.load(bad, "clean")
    for save in (np.savez, np.savez_compressed):
        save(good, mu=mean, sigma=cov)
        content, random = good.read_bytes(), np.random.default_rng(0)
        for _ in range(200):
            mutant = bytearray(content)
            mutant[random.integers(len(content))] ^= int(random.integers(1, 256))
            bad.write_bytes(mutant)
            with contextlib.suppress(ValueError, OSError):
                statistics_files.load(bad, "clean")
    np.savez(bad, mu=mean[1:], sigma=cov[1:, 1:])
    with pytest.raises(SystemExit, match="statistics of 6 features and .* of 5"):
        main(["fid", str(good), str(bad)])
    for option in ("--batch-size=0", "--subsets=0", "--subset-size=1"):
        with pytest.raises(SystemExit):
            main(["kid", str(good), str(good), option])
        assert f"{option[2:-2]}: {option[-1]} is not at least" in capsys.readouterr().err


def test_the_sizes_of_a_set(inception, monkeypatch):
    monkeypatch.setattr(inception_features.Inception, "apply", lambda *args: np.zeros((2, 2048)))
    describe = inception_features.describer({}, "pytorch_fid", 2)
    describe(np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="images of 16x16 and of 24x20: pytorch_fid takes one"):
        describe(np.zeros((2, 20, 24, 3), np.uint8))


def test_evaluation_compares_targets_and_outputs(describe, monkeypatch):
    """The targets are described once, the outputs of every validation, in batches of any size."""
    config = small_config(**{"eval.set_metrics": ("kid", "fid")})
    (direction,) = METHODS["pix2pix"].directions(config)
    real, generated = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    examples = SimpleNamespace(
        count=lambda kind: len(real), images=lambda kind, indices: list(real[indices])
    )
    evaluator = SimpleNamespace(directions=[direction])
    with pytest.raises(FileNotFoundError, match="--config.eval.weights_dir=FOLDER"):
        Summary(config, evaluator, examples)
    loads, described = [], []
    load = lambda evaluation: loads.append(evaluation) or watched
    watched = lambda images: described.extend(images) or describe(images)
    for name in ("fid", "kid"):
        metric = per_set.SET_METRICS[name]._replace(load=load)
        monkeypatch.setitem(per_set.SET_METRICS, name, metric)
    summary = Summary(config, evaluator, examples)
    x, y = describe(real), describe(generated)
    for _ in range(2):
        summary.clear()
        for image in generated:
            summary.add(Row("", "", {"output": image}, {"l1": 0.5}))
        means = summary.means()
        expected = frechet_distance(Gaussian.of(x), Gaussian.of(y))
        assert means["fid"] == pytest.approx(expected, rel=1e-4)
        assert means["kid"] == pytest.approx(kernel_distance(x, y)[0], rel=1e-4)
    assert len(loads) == 1 and len(described) == 3 * len(real)
    examples.count = lambda kind: 1
    with pytest.raises(ValueError, match="a set has 1 image"):
        Summary(config, evaluator, examples)


def test_fid_can_choose_the_best_checkpoint():
    config = small_config(**{"eval.set_metrics": ("fid",), "train.best_metric": "fid"})
    config_checks.check(config)
    examples = SimpleNamespace(paired=False)
    checks.check_best_metric(config, examples)
    assert not HIGHER_IS_BETTER["fid"]
    config.train.best_metric = "kid"
    with pytest.raises(ValueError, match=r"only with kid .*: set that to \('fid', 'kid'\)"):
        checks.check_best_metric(config, examples)
    config.train.best_metric = "l1"
    with pytest.raises(ValueError, match="l1, which cannot be measured .*: choose fid"):
        checks.check_best_metric(config, examples)
    config.eval.set_metrics = ("fids",)
    with pytest.raises(ValueError, match="config.eval.set_metrics has 'fids': choose from colors"):
        config_checks.check(config)
