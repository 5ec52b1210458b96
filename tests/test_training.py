"""The training loop: exact resume whatever stops it, refusals, and what it leaves behind."""

import gc
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import weakref

import jax
import numpy as np
import pytest
import torch

from pix2pix_jax import dispatch, train, training_plan
from pix2pix_jax.data import loading
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.run import checkpoints, saved_steps
from pix2pix_jax.run.reporter import Reporter
from pix2pix_jax.run.run_folder import RunFolder
from pix2pix_jax.run.saved_state import read_metrics
from tests.conftest import small_config

ROOT = pathlib.Path(__file__).parent.parent


def final_state(config, workdir, step=8):
    """The whole state saved at `step`, as numpy arrays."""
    with checkpoints.Checkpoints(workdir) as saver:
        return saver.restore(abstract_state(config), step)


def assert_same(a, b):
    for (path, x), (_, y) in zip(
        jax.tree.leaves_with_path(a), jax.tree.leaves_with_path(b), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


def run(workdir, *arguments):
    command = [sys.executable, "-m", "tests.training_process", str(workdir), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_stopping_and_resuming_changes_no_bit(finished_run, tmp_path, monkeypatch):
    """Stopped after three of eight steps, between two rows of means over two steps, and resumed:
    the state of eight steps in one go, and its history.
    """
    add = Reporter.add

    def stop_at_three(self, first_step, losses):
        add(self, first_step, losses)
        if first_step == 2:
            signal.raise_signal(signal.SIGTERM)

    config, workdir = finished_run
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "add", stop_at_three)
        train.train(config, str(tmp_path))
    assert saved_steps.newest_step(tmp_path) == 3
    train.train(config, str(tmp_path))
    assert_same(final_state(config, tmp_path), final_state(config, workdir))
    rows = [(w / "metrics.jsonl").read_text() for w in (workdir, tmp_path)]
    assert rows[0] == rows[1]
    log = [line[21:] for line in (tmp_path / "log.txt").read_text().splitlines()]  # after the time
    said = lambda words: next(i for i, line in enumerate(log) if line.startswith(words))
    words = ("step 2/8", "SIGTERM: saving", "trained 3 steps", "stopped and saved at step 3")
    words += ("resumed from step 3", "step 4/8", "step 4  validation", "step 8/8", "trained 5")
    assert sorted(map(said, words)) == list(map(said, words))
    assert sum("the training step" in line for line in log) == 2  # before it compiles


def test_a_kill_in_the_middle_of_a_save_loses_nothing(finished_run, tmp_path):
    config, workdir = finished_run
    process = run(tmp_path, "8", "at_commit")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, output
    left = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert "4" in left and "8" not in left and any(name.startswith("8.") for name in left), left
    train.train(config, str(tmp_path))
    assert_same(final_state(config, tmp_path), final_state(config, workdir))


def test_sigterm_saves_first(finished_run, tmp_path):
    config, workdir = finished_run
    process = run(tmp_path, "1000", "slow")
    for line in process.stdout:
        if line.startswith("step 2/"):
            process.send_signal(signal.SIGTERM)
            break
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    step = saved_steps.newest_step(tmp_path)
    assert f"stopped and saved at step {step}" in output and 2 <= step < 1000
    if step < 8:
        train.train(config, str(tmp_path))
        assert_same(final_state(config, tmp_path), final_state(config, workdir))


def test_a_full_disk_keeps_the_checkpoint_before(finished_run, tmp_path):
    """Files larger than some limit cannot be written, which is how a full disk looks."""
    config, workdir = finished_run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    process = run(copy, "12", "full_disk")
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "no checkpoint could be written" in output, output
    assert "The one at step 8 is whole; make room" in output
    assert_same(final_state(config, copy), final_state(config, workdir))


def test_what_a_run_leaves(finished_run):
    config, workdir = finished_run
    names = {p.name for p in workdir.iterdir()}
    assert {
        "config.json",
        "log.txt",
        "metrics.jsonl",
        "losses.png",
        "samples",
        "checkpoints",
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert sorted(p.name for p in (workdir / "samples").iterdir()) == [
        "step_0000004.png",
        "step_0000008.png",
    ]
    stored = json.loads((workdir / "config.json").read_text())
    assert stored == json.loads(config.to_json())
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 4, 6, 8, 8]


def test_last_and_best_are_kept(tmp_path):
    """Of saves with these validation errors, the newest two and the best one stay."""
    errors = {1: 0.5, 2: 0.1, 3: 0.4, 4: 0.3, 5: 0.6}
    config = small_config()
    state = fresh_state(config)
    with checkpoints.Checkpoints(tmp_path, keep_last=2, best_metric="l1") as saver:
        for step, error in errors.items():
            saver.save(state.replace(step=np.int32(step)), {"l1": error, "psnr": 1, "ssim": 0})
        saver.wait()
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["2", "4", "5"]
    found = [saved_steps.find_step(tmp_path, which, "l1") for which in ("best", "latest", "4")]
    assert found == [2, 5, 4]
    with pytest.raises(FileNotFoundError, match="no checkpoint '3'.*2, 4, 5"):
        saved_steps.find_step(tmp_path, "3", "l1")


def test_the_best_validation_is_kept_between_checkpoints(finished_run, tmp_path, monkeypatch):
    """Validations at 2, 4, 6 and 8 steps, checkpoints at 5 and 8; again after a stop at 3."""
    errors = {2: 0.5, 4: 0.3, 6: 0.4, 8: 0.6}
    monkeypatch.setattr(
        train.Validator, "metrics", lambda self, state: {"l1": errors[int(state.step)]}
    )
    config = finished_run[0].copy_and_resolve_references()
    config.train.eval_every, config.train.checkpoint_every, config.train.keep_last = 2, 5, 1
    train.train(config, str(tmp_path / "a"))
    assert saved_steps.saved_steps(tmp_path / "a") == [4, 8]
    assert saved_steps.best_step(tmp_path / "a", "l1") == 4
    assert checkpoints.Checkpoints(tmp_path / "a").is_best({"l1": 0.2})
    for worse in (0.3, 0.4, float("nan")):
        assert not checkpoints.Checkpoints(tmp_path / "a").is_best({"l1": worse})


def test_tensorboard_gets_the_learning_rate(tmp_path, monkeypatch):
    """As torch's scheduler gives it, in the epoch of each logged step."""
    found = {}
    monkeypatch.setattr(train.EventWriter, "scalars", lambda self, *row: found.update([row]))
    fields = {"optim.policy": "step", "optim.decay_every": 1, "optim.decay_factor": 0.5}
    config = small_config(**fields, **{"train.eval_every": 0, "train.sample_every": 0})
    config.data.synthetic_train = 3
    train.train(config, str(tmp_path))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], config.optim.learning_rate)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    expected = []
    for _ in range(3):
        expected += scheduler.get_last_lr() * 3
        optimizer.step()
        scheduler.step()
    rates = {step: row["optim/learning_rate"] for step, row in found.items() if step < 8}
    assert rates == pytest.approx({step: expected[step - 1] for step in (2, 4, 6)})


def test_a_stop_at_a_validation_keeps_its_metrics(finished_run, tmp_path, monkeypatch):
    """It is not the best one, which was at 2."""
    config = finished_run[0].copy_and_resolve_references()
    config.train.eval_every, config.train.checkpoint_every = 2, 8

    def metrics(self, state):
        if int(state.step) == 4:
            signal.raise_signal(signal.SIGTERM)
        return {"l1": 0.1 * int(state.step)}

    monkeypatch.setattr(train.Validator, "metrics", metrics)
    train.train(config, str(tmp_path))
    found = {s: read_metrics(tmp_path / "checkpoints" / str(s)) for s in (2, 4)}
    assert found == {2: {"l1": 0.2}, 4: {"l1": 0.4}}


def test_another_network_is_refused_by_name(finished_run):
    _, workdir = finished_run
    other = small_config(**{"model.ngf": 8, "optim.learning_rate": 1e-3})
    with pytest.raises(ValueError, match=r"model.ngf is 4 there, 8 here.*another --workdir"):
        train.train(other, str(workdir))


@pytest.mark.parametrize("field, value", [("loss.lambda_gan", 0.0), ("loss.conditional", False)])
def test_a_state_of_another_shape_is_refused_by_name(finished_run, field, value):
    with pytest.raises(ValueError, match=f"{field} is .* there, {value} here"):
        train.train(small_config(**{field: value}), str(finished_run[1]))


def test_other_fields_may_change(finished_run, capsys):
    """A finished run started again with another weight says so and does nothing."""
    workdir = finished_run[1]
    before = sorted(workdir.iterdir()), (workdir / "config.json").read_bytes()
    train.train(small_config(**{"loss.lambda_gan": 2.0}), str(workdir))
    output = capsys.readouterr().out.splitlines()
    assert output[0] == "config.loss.lambda_gan was 1.0, is now 2.0"
    assert "is finished: all 8 steps are trained" in output[1] and len(output) == 2
    assert (sorted(workdir.iterdir()), (workdir / "config.json").read_bytes()) == before


def test_a_loss_that_is_no_number_stops_at_its_step(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr(training_plan.config_checks, "check", abstract_state)  # it refuses NaN
    copy = shutil.copytree(finished_run[1], tmp_path / "copy")
    stored = (copy / "config.json").read_bytes()
    config = small_config(**{"train.num_steps": 12, "optim.learning_rate": float("nan")})
    with pytest.raises(FloatingPointError, match=r"is nan at step (9|10)\..*learning_rate"):
        train.train(config, str(copy))
    assert saved_steps.newest_step(copy) == 8
    assert (copy / "config.json").read_bytes() == stored  # of what was saved


def test_parameters_that_are_no_numbers_are_not_saved(tmp_path, monkeypatch):
    """The losses of a step say nothing of the parameters after it."""
    monkeypatch.setattr(training_plan.config_checks, "check", abstract_state)  # it refuses NaN
    config = small_config(
        **{"train.num_steps": 1, "loss.lambda_gan": 0.0, "optim.learning_rate": float("nan")}
    )
    with pytest.raises(FloatingPointError, match="not finite at step 1"):
        train.train(config, str(tmp_path))
    assert saved_steps.newest_step(tmp_path) is None


def test_workdir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write to the workdir .*--workdir"):
        train.train(small_config(), str(tmp_path / "file" / "run"))


def make_run_steps(config):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    examples = loading.load_examples(config.data, config.seed, "train", train=True)
    state = fresh_state(config)
    run_steps = dispatch.make_run_steps(config, examples, mesh)
    return run_steps, examples, jax.device_put(state, dispatch.shardings(mesh)[0])


def test_what_a_run_begins_with_is_let_go(tmp_path):
    """It takes as much memory as the state in training."""
    plan = training_plan.make_plan(small_config(), RunFolder(tmp_path))
    first_state = training_plan.first_state(plan)
    state = first_state()
    parameter = weakref.ref(state.networks["G"].params["down_1"]["kernel"])
    assert parameter().shape[:2] == (4, 4)
    del state
    gc.collect()
    assert parameter() is None


def test_the_step_is_compiled_once():
    run_steps, examples, state = make_run_steps(small_config())
    for step in range(0, 12, 2):
        state, _ = run_steps(state, examples.cache, examples.chunk(step, 2, 1), None)
    assert run_steps._cache_size() == 1
    assert int(state.step) == 12


def test_fused_steps_equal_single_ones():
    """A dispatch of two steps does what two dispatches do."""
    config = small_config()
    run_steps, examples, fused = make_run_steps(config)
    fused, losses = run_steps(fused, examples.cache, examples.chunk(0, 2, 1), None)
    run_steps, _, single = make_run_steps(config)
    each = []
    for step in range(2):
        single, terms = run_steps(single, examples.cache, examples.chunk(step, 1, 1), None)
        each.append(terms["g_l1"][0])
    np.testing.assert_allclose(losses["g_l1"], each, rtol=1e-4)


@pytest.mark.parametrize(
    "total, log_every, length",
    [
        (80_000, 100, 20),
        (519_627, 100, 20),  # edges2handbags
        (4_169, 100, 20),  # horse2zebra in batches of 64
        (4_000, 50, 10),
        (1_000, 97, 12),
        (60, 2, 2),
        (7, 100, 7),
    ],
)
def test_dispatches_are_few_and_of_two_lengths(total, log_every, length):
    """They end where something falls due, and from any of them on they are the same."""
    config = small_config(**{"train.steps_per_call": 20, "train.log_every": log_every})
    config.train.update(sample_every=400, eval_every=0, checkpoint_every=1000)
    spans = list(dispatch.spans(config, 0, total))
    assert [step for span in spans for step in span] == list(range(total))
    assert {len(span) for span in spans} <= {length, 1}
    due = sorted({total, *(s for n in (log_every, 400, 1000) for s in range(n, total, n))})
    assert set(due) <= {span.stop for span in spans}
    gaps = np.diff([0, *due])
    assert len(spans) == min((gaps // n + gaps % n).sum() for n in range(1, 21))
    for i in (len(spans) // 2, len(spans) - 1):
        assert list(dispatch.spans(config, spans[i].start, total)) == spans[i:]


def test_runs_of_fused_steps_resume_to_the_bit(tmp_path, monkeypatch):
    """Dispatches of two steps and of one, stopped after three steps of seven."""
    config = small_config(**{"train.num_steps": 7, "train.steps_per_call": 3, "train.log_every": 3})
    add, dispatches = Reporter.add, []

    def note(self, first_step, losses):
        add(self, first_step, losses)
        dispatches.append((first_step, len(losses["g_l1"])))
        if len(dispatches) == 7:  # the second of the second run
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Reporter, "add", note)
    for name in ("whole", "stopped", "stopped"):
        train.train(config, str(tmp_path / name))
    whole = [(0, 2), (2, 1), (3, 1), (4, 2), (6, 1)]
    assert dispatches == [*whole, *whole]
    assert saved_steps.newest_step(tmp_path / "stopped") == 7
    states = [final_state(config, tmp_path / name, 7) for name in ("whole", "stopped")]
    assert_same(*states)
    rows = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "stopped")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"model.generator": "resnet_1blocks", "model.upsample": "resize"}, "upsample .*U-Nets"),
        ({"loss.lambda_gan": 0.0, "loss.lambda_feat": 1.0}, "lambda_feat is 1.0"),
        ({"optim.policy": "plateau", "train.eval_every": 0}, "eval_every=0"),
        (
            {"optim.epochs": 1, "optim.epochs_decay": 1, "train.num_steps": 13},
            "13, which end in epoch 3, .* is 0 after epoch 2",
        ),
    ],
)
def test_what_a_new_run_would_leave_out_is_said(fields, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        train.train(small_config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_length_of_a_run():
    config = small_config(**{"train.num_steps": 0})
    assert training_plan.num_steps(config, 400) == 80_000
    config.train.batch_size, config.optim.epochs, config.optim.epochs_decay = 4, 17, 0
    assert training_plan.num_steps(config, 17_823) == 75_748


def test_progress_is_printed(tmp_path, capsys):
    began = time.monotonic()
    train.train(small_config(**{"train.num_steps": 4}), str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert time.monotonic() - began < 120
    line = next(line for line in lines if line.startswith("step 2/4"))
    for word in (
        "epoch 0.3/0.7",
        "steps/s",
        "images/s",
        "ETA",
        "d_fake",
        "d_real",
        "g_gan",
        "g_l1",
    ):
        assert word in line
    assert any(line.startswith("step 4  validation  l1 ") for line in lines)
