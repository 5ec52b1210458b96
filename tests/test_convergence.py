"""Two trainings beside each other: the same batches and weights, and what resumes."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image, ImageColor

from benchmarks.convergence import networks, picture, pytorch, results, table
from benchmarks.torch_arrays import nchw, nhwc
from pix2pix_jax.data import loading
from pix2pix_jax.images.finding import is_image
from pix2pix_jax.images.levels import to_float, to_uint8
from pix2pix_jax.methods.optim import learning_rate
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.methods.state import epoch_of
from pix2pix_jax.run import config_file
from pix2pix_jax.train import train
from tests.conftest import small_config

ROWS = {"train.log_every": 1, "train.eval_every": 2, "train.checkpoint_every": 2}
BOTH = {  # the third step is of the second epoch, with half the learning rate
    **ROWS,
    "model.dropout": 0.0,
    "data.synthetic_train": 3,
    "train.batch_size": 2,
    "train.num_steps": 3,
    "optim.epochs": 1,
    "optim.epochs_decay": 1,
}
CYCLEGAN = {  # dropout, full pools, and every second step an epoch with another learning rate
    **ROWS,
    "method": "cyclegan",
    "model.generator": "resnet_1blocks",
    "model.norm": "instance",
    "loss.gan_mode": "lsgan",
    "loss.pool_size": 1,
    "data.synthetic_train": 2,
    "train.num_steps": 4,
    "optim.epochs": 1,
    "optim.epochs_decay": 3,
}


def rows_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A folder with three steps of each side."""
    folder = tmp_path_factory.mktemp("both")
    config = small_config(**BOTH)
    train(config, str(folder / "ours" / "seed_0"))
    pytorch.train(config, str(folder / "pytorch" / "seed_0"))
    return config, folder


def test_steps_agree(both):
    """Losses and validations of both sides are the same to 1e-4."""
    ours, theirs = (rows_of(both[1] / side / "seed_0") for side in results.SIDES)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [1, 2, 2, 3, 3]
    for our, their in zip(ours, theirs, strict=True):
        assert our.keys() == their.keys()
        assert our == pytest.approx(their, rel=1e-4)


def test_validation_is_that_of_the_pytorch_network(both):
    """PyTorch's weights, validated as ours, give what PyTorch's own network gives."""
    config, folder = both
    training = pytorch.Training(config, 3)
    training.load(folder / "pytorch" / "seed_0" / "state.pt")
    examples = loading.load_examples(config.data, config.seed, "val", train=False)
    errors = []
    for i in range(len(examples)):
        source, target = (examples.images(kind, [i])[0] for kind in ("input", "target"))
        with torch.no_grad():  # one by one, in training mode: each has its own statistics
            output = nhwc(training.networks["G"](nchw(np.asarray(to_float(source[None])))))
        errors.append(np.abs(np.asarray(to_float(to_uint8(output)[0]) - to_float(target))).mean())
    expected = rows_of(folder / "pytorch" / "seed_0")[-1]["val/l1"]
    assert np.mean(errors) == pytest.approx(expected, abs=1e-4)


def test_pytorch_killed_and_resumed(tmp_path, monkeypatch):
    """Killed between two saves it repeats what came after the last: dropout, pools, schedule."""
    config = small_config(**CYCLEGAN)
    monkeypatch.setattr(pytorch.Validator, "metrics", sum_of_weights)  # quicker than translating
    pytorch.train(config, str(tmp_path / "whole"))
    step = pytorch.Training.train

    def killed(training, batch):
        if training.step == 3:
            raise KeyboardInterrupt
        step(training, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pytorch.Training, "train", killed)
        pytorch.train(config, str(tmp_path / "killed"))
    assert [row["step"] for row in rows_of(tmp_path / "killed")] == [1, 2, 2, 3]
    pytorch.train(config, str(tmp_path / "killed"))
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")


def sum_of_weights(validator, state):
    return {"sum": sum(float(leaf.sum()) for leaf in jax.tree.leaves(state.networks))}


def test_a_batch_of_several_epochs():
    """The learning rate of a step is ours where batches are larger than the data set."""
    fields = {"train.batch_size": 5, "optim.epochs": 2, "optim.epochs_decay": 9}
    config = small_config(**{**BOTH, **fields})
    training, rates = pytorch.Training(config, 2), []
    batch = {name: np.zeros((5, 32, 32, 3), np.float32) for name in ("input", "target")}
    for step in range(4):
        rates.append(training._schedules[0].get_last_lr()[0])
        training.train(batch)
        epoch = epoch_of(np.int32(step), config.train.batch_size, 2)
        assert rates[-1] == pytest.approx(float(learning_rate(config.optim, epoch)), rel=1e-6)
    assert len(set(rates)) == 4


def test_networks_of_cyclegan():
    """Every network has the weights of its namesake, and its part in the step."""
    config = small_config(**CYCLEGAN)
    nets, trainer = networks.create(config)
    ours, found = fresh_state(config).networks, networks.as_ours(config, nets, 0).networks
    assert ours.keys() == found.keys()
    for name, network in ours.items():
        assert getattr(trainer, name.lower()) is nets[name]
        jax.tree.map(np.testing.assert_array_equal, network.params, found[name].params)


@pytest.mark.parametrize(
    "field, value",
    [
        ("loss.update_order", "simultaneous"),
        ("model.dropout", 0.3),
        ("init_from", "latest_net_G.pth"),
    ],
)
def test_config_that_pytorch_does_not_know(field, value):
    with pytest.raises(ValueError, match=field.rpartition(".")[2]):
        networks.check(small_config(**{field: value}))


def test_the_command_line_of_pytorch_is_ours(tmp_path):
    flags = ["--config=configs/quickstart.py", "--config.optim.policy=cosine"]
    own = ["--side=pytorch", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.convergence", *flags, *own],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    first, second = done.stderr.strip().splitlines()
    assert first.startswith("error: PyTorch's side knows only config.optim.policy=linear")
    assert second.startswith("error: pytorch stopped in")


def test_table_and_picture(both, tmp_path):
    sides = results.read(both[1], seeds=5)
    lines = table.markdown(sides).splitlines()
    assert lines[0] == "Seeds 0."
    l1 = [cell.strip() for cell in next(x for x in lines if "validation, L1" in x).split("|")]
    assert l1[2] == "3" and l1[3] == l1[4] and l1[6] == "one seed"
    picture.draw(tmp_path / "picture.png", sides)
    assert is_image(tmp_path / "picture.png")


@pytest.mark.parametrize("side", results.SIDES)
def test_a_side_that_was_not_validated_yet(side, tmp_path):
    """Where one side has only begun there is a picture all the same, in the sides' own colours."""
    for name in results.SIDES:
        run = tmp_path / name / "seed_0"
        run.mkdir(parents=True)
        rows = [{"step": step, "train/g_l1": 1.0 / step} for step in (1, 2)]
        rows += [] if name == side else [{"step": 2, "val/l1": 0.5}]
        (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (run / "seconds.txt").write_text("1.0")
    sides = results.read(tmp_path, seeds=1)
    (other,) = results.SIDES.keys() - {side}
    assert list(picture.validation_panels(sides)["validation, L1"]) == [other]
    assert list(picture.training_panels(sides)["training, g_l1"]) == list(results.SIDES)
    picture.draw(tmp_path / "picture.png", sides)
    colors = Image.open(tmp_path / "picture.png").convert("RGB").getcolors(2**24)
    drawn = {color for _, color in colors}
    assert {ImageColor.getrgb(picture.COLORS[i]) for i in (0, 1)} <= drawn
    assert "validation, L1" not in table.markdown(sides)


def test_runs_that_differ_are_not_compared(both, tmp_path):
    shutil.copytree(both[1], tmp_path / "runs")
    config = both[0].copy_and_resolve_references()
    with config.unlocked():
        config.loss.lambda_l1 = 10.0
    config_file.write_config(tmp_path / "runs" / "pytorch" / "seed_0", config)
    with pytest.raises(ValueError, match="lambda_l1=10.0"):
        results.read(tmp_path / "runs", seeds=1)


def test_comparison_over_seeds():
    """The standard error of paired differences, and the pooled spread, by hand and by scipy."""
    ours, theirs = np.array([1.0, 2.0, 6.0]), np.array([0.5, 2.5, 4.5])
    mean, error, within = table.compare(ours, theirs)
    assert mean == pytest.approx(0.5)
    assert mean / error == pytest.approx(scipy.stats.ttest_rel(ours, theirs).statistic)
    assert within  # the variances are 7 and 4
    assert not table.compare(ours + 2, theirs)[2]
    mean, error, within = table.compare(ours[:1], theirs[:1])
    assert mean == 0.5 and np.isnan(error) and within is None
