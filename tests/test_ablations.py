"""Variants side by side: their flags, the table and the picture."""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from PIL import Image

from benchmarks import ablations
from tests.test_command import parse

SEEDS = {"l1_cgan": (0.25, 0.31), "l1": (0.5,)}  # L1 of each seed


@pytest.fixture
def options(tmp_path):
    return argparse.Namespace(
        workdir=tmp_path,
        data=pathlib.Path("facades"),
        steps=4000,
        pairs=0,
        seeds=3,
        segmenter=None,
        arms=list(ablations.ARMS),
    )


@pytest.fixture
def finished(options):
    """Folders as training and evaluation leave them, and a run that has no evaluation yet."""
    for arm, values in SEEDS.items():
        for seed, value in enumerate(values):
            run = ablations.folder(options, arm, seed)
            (run / "eval" / "images").mkdir(parents=True)
            (run / "eval" / "metrics.json").write_text(json.dumps({"mean": {"l1": value}}))
            (run / "seconds.txt").write_text(str(60 * (seed + 1)))
            for number, kind in enumerate(("input", "output", "target")):
                color = (40 * number, 10 * seed, len(arm))
                Image.new("RGB", (8, 8), color).save(run / "eval" / "images" / f"7_{kind}.png")
    ablations.folder(options, "cgan", 0).mkdir(parents=True)
    return ablations.finished(options)


@pytest.mark.parametrize("arm", ablations.ARMS)
def test_arms_differ_in_what_their_names_say(arm, options, monkeypatch):
    monkeypatch.chdir(ablations.ROOT)
    config, base = (parse(*ablations.flags(name, options)) for name in (arm, "l1_cgan"))
    assert (config.optim.epochs + config.optim.epochs_decay) * 400 == config.train.num_steps == 4000
    assert config.model.generator == "unet_128" and config.data.crop_size == (128, 128)
    fields = ablations.ARMS[arm][1]
    assert fields.items() <= flatten_dict(config.to_dict(), sep=".").items()
    assert (config.to_dict() == base.to_dict()) == (arm == "l1_cgan")
    assert config.data.flip == (arm != "no_jitter")


def test_few_pairs_are_seen_as_often_as_the_steps_say(options, monkeypatch):
    monkeypatch.chdir(ablations.ROOT)
    options.pairs = 50
    config = parse(*ablations.flags("l1_cgan", options))
    assert config.data.max_items == 50
    assert (config.optim.epochs + config.optim.epochs_decay) * 50 == config.train.num_steps


@pytest.mark.parametrize("steps", [200, 1000, 1400, 1600])
def test_the_learning_rate_falls_until_the_last_step(options, steps, monkeypatch):
    monkeypatch.chdir(ablations.ROOT)
    options.steps = steps
    optim = parse(*ablations.flags("l1_cgan", options)).optim
    assert optim.epochs * 400 <= steps / 2
    assert (optim.epochs + optim.epochs_decay - 1) * 400 < steps
    assert (optim.epochs + optim.epochs_decay) * 400 >= steps


def test_a_run_that_was_stopped_is_not_evaluated(options, monkeypatch):
    modes = []

    def launch(command):
        modes.append(command[-1])
        steps = options.steps if len(modes) > 1 else 1000  # Ctrl-C saves, and is no error
        (ablations.folder(options, "l1", 0) / f"checkpoints/{steps}").mkdir(
            parents=True, exist_ok=True
        )
        return 0

    monkeypatch.setattr(ablations, "launch", launch)
    with pytest.raises(SystemExit, match="l1 was stopped before its last step"):
        ablations.run("l1", 0, options)
    ablations.run("l1", 0, options)
    assert modes == ["--mode=train", "--mode=train", "--mode=eval"]

    report = ablations.folder(options, "l1", 0) / "eval/metrics.json"
    report.parent.mkdir()
    report.touch()
    ablations.run("l1", 0, options)  # is done
    options.steps *= 2
    with pytest.raises(SystemExit, match="trained for .* steps, and not .*another --workdir"):
        ablations.run("l1", 0, options)
    assert len(modes) == 3


TRAINING = """
import signal, sys, time
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
print("training", flush=True)
while not stop:
    time.sleep(0.01)
time.sleep(1)  # of a save
print("saved", flush=True)
"""


def test_ctrl_c_waits_until_a_training_has_saved():
    """A terminal sends it to both, and subprocess.run would kill the training after 0.25 s."""
    code = "import sys; from benchmarks import ablations; ablations.launch(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, "-c", TRAINING],
        cwd=ablations.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "training\n"
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate()
    assert output == "saved\n" and process.returncode == 1
    assert errors.splitlines()[-1] == "stopped; the same command goes on"


def test_table_of_runs_evaluated_with_and_without_a_segmenter(finished, options):
    path = ablations.folder(options, "l1_cgan", 0) / "eval/metrics.json"
    path.write_text(json.dumps({"mean": {"l1": 0.25, "class_iou": 0.5}}))
    assert ablations.table(finished).startswith("| arm | seeds | L1 | time of a run |")


def test_table(finished):
    header, _, *rows = ablations.table(finished).splitlines()
    assert header == "| arm | seeds | L1 | time of a run |"
    mean, spread = statistics.mean(SEEDS["l1_cgan"]), statistics.stdev(SEEDS["l1_cgan"])
    assert rows == [
        f"| `l1_cgan` | 2 | {mean:.4f} ± {spread:.4f} | 1m30s |",
        "| `l1` | 1 | 0.5000 | 1m00s |",
    ]


def test_picture_has_the_first_seed_of_each(finished):
    page = ablations.picture(finished)
    colors = {tuple(color) for color in page.reshape(-1, 3)}
    inputs, outputs = (0, 0, len("l1_cgan")), [(40, 0, len(arm)) for arm in SEEDS]
    assert {inputs, *outputs, (80, 0, len("l1_cgan"))} <= colors
    assert not any(color[1] == 10 for color in colors - {(10, 10, 10)})
    assert page.dtype == np.uint8
