"""What a start finds in its workdir: other data, damage, another training; and exact histories."""

import concurrent.futures
import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from PIL import Image

from pix2pix_jax import command, exchange, train
from pix2pix_jax.methods.state import NetworkState, TrainState
from pix2pix_jax.run import checkpoints, checks, config_file, digests, saved_steps
from pix2pix_jax.run.lock import WorkdirLock
from pix2pix_jax.run.progress import Progress
from pix2pix_jax.run.reporter import Reporter
from pix2pix_jax.run.run_folder import RunFolder
from pix2pix_jax.run.saved_state import DamagedCheckpoint
from pix2pix_jax.runtime import storage
from pix2pix_jax.runtime.whole_file import whole_file
from tests.conftest import small_config


def tiny_state(step, size=8):
    """A state of two arrays, whose values are the step."""
    params = {"kernel": np.full((300, 10), step, np.float32)}
    pool = np.full((2, size, size, 3), step, np.float32)
    return TrainState(
        np.int32(step), {"G": NetworkState(params, {}, {})}, (), {"pools": {"A": pool}}
    )


def save(workdir, *steps, metrics=None, **settings):
    with checkpoints.Checkpoints(workdir, keep_last=9, **settings) as saver:
        for step in steps:
            saver.save(tiny_state(step), metrics, custom={"losses": {"g": [step, 1]}})
        saver.wait()


def restore_newest(workdir, size=8):
    return checkpoints.Checkpoints(workdir).restore_newest(tiny_state(0, size))


@pytest.mark.parametrize("name", ["run[1]", "run [a-z]*?", "C:\\run", "100%20 #ö"])
def test_folders_whose_names_look_like_patterns(name, tmp_path):
    """Orbax looks for parts of a save by a pattern with the whole path, and found none."""
    other = tmp_path / "run1"  # what such a pattern is for
    for step in (3, 5):
        save(other, step + 1)
        save(tmp_path / name, step)
        for workdir, expected in ((tmp_path / name, step), (other, step + 1)):
            state = restore_newest(workdir)
            assert (state.networks["G"].params["kernel"] == expected).all()
    assert saved_steps.saved_steps(tmp_path / name) == [3, 5]
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / name, other])


def test_a_folder_whose_name_is_no_text_is_refused_before_the_first_step(tmp_path):
    workdir = os.path.join(tmp_path, os.fsdecode(b"caf\xe9"))
    with pytest.raises(ValueError, match=r"no UTF-8, which checkpoints need: rename that folder"):
        train.train(small_config(), workdir)
    assert not os.path.exists(workdir)


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(folder):
    path = largest_file(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(folder):
    content = bytearray(largest_file(folder).read_bytes())
    content[len(content) // 2] ^= 1
    largest_file(folder).write_bytes(content)


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def truncate_without_digests(folder):
    """As in a run of a former version."""
    (folder / digests.DIGESTS_FILE).unlink()
    truncate(folder)


@pytest.mark.parametrize("harm", [truncate, flip_a_byte, empty, truncate_without_digests])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, capsys, harm):
    save(tmp_path, 1, 2)
    folder = tmp_path / "checkpoints" / "2"
    harm(folder)
    with checkpoints.Checkpoints(tmp_path, keep_last=1) as saver:
        state = saver.restore_newest(tiny_state(0))
        assert int(state.step) == 1 and (state.networks["G"].params["kernel"] == 1).all()
        (line,) = capsys.readouterr().out.splitlines()
        assert f"{folder} is damaged" in line and "going back to step 1" in line
        assert folder.is_dir()
        saver.save(tiny_state(2), None, {})
        saver.wait()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["2", "2.damaged"]
    assert int(restore_newest(tmp_path).step) == 2


def test_damage_to_the_only_checkpoint_is_an_error(tmp_path):
    save(tmp_path, 1)
    flip_a_byte(tmp_path / "checkpoints" / "1")
    with pytest.raises(DamagedCheckpoint, match="checkpoints/1 is damaged.*none before it"):
        restore_newest(tmp_path)


def test_evaluation_sees_damage_and_names_another_checkpoint(tmp_path):
    save(tmp_path, 1, 2)
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    array = jax.ShapeDtypeStruct((300, 10), np.float32, sharding=sharding)
    target = {"G": {"params": {"kernel": array}}}
    run = RunFolder(tmp_path)
    found, averaged = saved_steps.restore_variables(run, 2, target, use_average=True)
    assert (np.asarray(found["G"]["params"]["kernel"]) == 2).all() and not averaged
    flip_a_byte(tmp_path / "checkpoints" / "2")
    with pytest.raises(DamagedCheckpoint, match=r"2 is damaged.*config.eval.checkpoint \(1\)"):
        saved_steps.restore_variables(run, 2, target, use_average=True)


def test_a_checkpoint_without_digests_restores(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "checkpoints" / "1" / digests.DIGESTS_FILE).unlink()
    assert int(restore_newest(tmp_path).step) == 1


def test_sums_are_saved_as_they_are_at_the_step(tmp_path):
    """The next steps add to them while the checkpoint is still being written."""
    custom = {"losses": {"g": [0.1, 2]}}
    with checkpoints.Checkpoints(tmp_path) as saver:
        saver.save(tiny_state(1), custom=custom)
        custom["losses"]["g"][1] += 1
        saver.wait()
        assert saver.custom(1) == {"losses": {"g": [0.1, 2]}}


def test_arrays_of_another_shape_are_named(tmp_path):
    """Restored without a check, the pool of 8x8 images would stand for one of 16x16."""
    save(tmp_path, 1)
    with pytest.raises(
        ValueError, match=r"pools.A is float32 \(2, 8, 8, 3\) there, .*16, 16.*data.crop_size"
    ):
        restore_newest(tmp_path, size=16)


def test_what_is_saved_is_not_what_the_next_step_makes_of_its_buffers(tmp_path):
    step = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    params = {"kernel": np.zeros(2**20, np.float32)}
    state = TrainState(np.int32(0), {"G": NetworkState(params, {}, {})}, (), {})
    abstract, state = state, step(jax.device_put(state))
    with checkpoints.Checkpoints(tmp_path) as saver:
        for _ in range(3):
            saver.save(state)
            for _ in range(4):
                state = step(state)
        saver.wait()
        for number in (5, 9):
            restored = saver.restore(abstract, number)
            assert (restored.networks["G"].params["kernel"] == number).all()


def test_what_a_full_disk_has_no_room_for_is_named(tmp_path, monkeypatch, capsys):
    """The system's error names no file; the command adds what to do."""
    path = tmp_path / "result.png"

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    named = pytest.raises(OSError, match=r"No space left on device: '.*result\.png'")
    with named, whole_file(path):
        fail()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError) as caught, whole_file(tmp_path / "none" / "result.png") as file:
        file.write_bytes(b"")
    expected = f"{tmp_path}/none/result.png: No such file or directory"  # of .tmp nobody knows
    assert storage.message_of(caught.value) == expected

    config = small_config()
    for name, value in {
        "CONFIG": config,
        "WORKDIR": "runs/a",
        "MODE": "train",
        "OUTPUT": "",
    }.items():
        monkeypatch.setattr(command, name, types.SimpleNamespace(value=value))
    monkeypatch.setattr(command, "_run", fail)
    monkeypatch.setattr(command, "_start_jax", lambda workdir: None)
    with pytest.raises(SystemExit, match="make room on the disk of runs/a and run the same"):
        command.main(["launch.py"])


@pytest.mark.parametrize(
    "error, room",
    [
        (OSError(errno.ENOSPC, "no space"), True),
        (OSError(errno.EDQUOT, "quota"), True),
        (ValueError("Failed to write 8362 bytes: File too large [os_error_code='27']"), True),
        (ValueError("anything else"), False),
        (OSError(errno.EIO, "broken"), False),
    ],
)
def test_only_a_full_disk_asks_for_room(tmp_path, error, room):
    def fail():
        raise error

    with pytest.raises(OSError, match="no checkpoint could be written") as raised:
        save(tmp_path, 1, on_commit=fail)
    assert ("make room" in str(raised.value)) == room


def test_a_full_disk_is_told_in_one_line(tmp_path, finished_run):
    """Without what orbax logs of it, and what tensorstore prints for every file."""
    generator = exchange.export_pth(*finished_run, str(tmp_path))[-1]
    fields = {"init_from": generator, "model.generator": "unet_32", "data.crop_size": 32}
    fields |= {"data.load_size": 32, "model.ngf": 4, "model.ndf": 4, "model.n_layers": 2}
    ended = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 60; exec "$@"', "_"),
            *(sys.executable, "launch.py", "--config=configs/quickstart.py", "--mode=import"),
            *(f"--workdir={tmp_path}/run", "--compilation_cache=off"),
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ],
        cwd=pathlib.Path(__file__).parent.parent,
        # Were the cache that the environment names not off, it would not fit either.
        env=os.environ | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    line = ended.stderr
    assert line.startswith("error: no checkpoint could be written to ") and "make room" in line


def test_a_best_metric_that_was_not_measured(tmp_path):
    save(tmp_path, 1, metrics={"cycle_l1": 0.5}, best_metric="cycle_l1")
    with pytest.raises(ValueError, match="best_metric is l1.* did not measure.*cycle_l1"):
        saved_steps.find_step(tmp_path, "best", "l1")
    save_more = checkpoints.Checkpoints(tmp_path, best_metric="l1")
    save_more.restore_newest(tiny_state(0))
    with save_more as saver:
        saver.save(tiny_state(2), {"cycle_l1": 0.4})
        saver.wait()
    assert saved_steps.newest_step(tmp_path) == 2


def write_images(folder, count):
    folder.mkdir(parents=True)
    for i in range(count):
        color = np.random.default_rng(i).integers(0, 256, 3)
        image = np.broadcast_to(color.astype(np.uint8), (32, 32, 3))
        Image.fromarray(image).save(folder / f"{folder.name}{i}.png")


def test_unpaired_data_have_no_l1(tmp_path):
    for name in ("trainA", "trainB", "valA", "valB"):
        write_images(tmp_path / name, 2)
    fields = {"method": "cyclegan", "model.generator": "resnet_1blocks", "model.norm": "instance"}
    fields |= {"data.dir": str(tmp_path), "model.dropout": 0.0, "model.n_layers": 1}
    with pytest.raises(ValueError, match="best_metric is l1.*no true.*: choose cycle_l1"):
        train.train(small_config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", ["data.dir", "init_from"])
def test_a_start_that_fails_leaves_no_folder(tmp_path, field):
    config = small_config(**{field: str(tmp_path / "nowhere.pth")})
    with pytest.raises(OSError, match=r"nowhere\.pth"):
        train.train(config, str(tmp_path / "runs" / "run"))
    assert not (tmp_path / "runs").exists()


def test_weights_that_are_missing_are_told_before_the_data_are_read(tmp_path):
    config = small_config(**{"data.dir": str(tmp_path / "no_data"), "init_from": "nowhere.pth"})
    with pytest.raises(FileNotFoundError, match=r"no weights file nowhere\.pth"):
        train.train(config, str(tmp_path / "run"))


def copy_of(run, tmp_path):
    """(config, workdir) of a copy, and a function that tells its files' contents."""
    config, workdir = run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    files = lambda: {p: p.read_bytes() for p in copy.rglob("*") if p.is_file() and p.suffix}
    return config.copy_and_resolve_references(), copy, files


def test_other_data_are_refused_unless_allowed(finished_run, tmp_path, capsys):
    config, copy, files = copy_of(finished_run, tmp_path)
    before = files()
    config.data.direction = "AtoB"
    with pytest.raises(
        ValueError, match="data.direction is 'BtoA' there, 'AtoB' here.*init_from.*allow_other_data"
    ):
        train.train(config, str(copy))
    config.train.allow_other_data = True
    train.train(config, str(copy))
    assert "is finished: all 8 steps" in capsys.readouterr().out
    assert files() == before


def test_a_changed_number_of_examples_is_said(finished_run, tmp_path, capsys):
    config, copy, _ = copy_of(finished_run, tmp_path)
    config.train.num_steps = 12
    train.train(config, str(copy))
    assert "training examples, and are now" not in capsys.readouterr().out
    config.train.num_steps = 16
    config.data.synthetic_train += 2
    train.train(config, str(copy))
    before = config.data.synthetic_train - 2
    line = f"there were {before} training examples, and are now {before + 2}: from here on"
    assert line in capsys.readouterr().out


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(finished_run, tmp_path):
    """Unless a kill before the first two saves may be the reason."""
    config, copy, files = copy_of(finished_run, tmp_path)
    shutil.rmtree(copy / "checkpoints")
    before = files()
    stored = json.loads((copy / "config.json").read_text())
    stored["train"]["checkpoint_every"] = 4
    (copy / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="copy has the history of 8 steps, and no checkpoint any"):
        train.train(config, str(copy))
    assert files().keys() == before.keys()
    stored["train"]["checkpoint_every"] = 5
    (copy / "config.json").write_text(json.dumps(stored))
    checks.check_history(copy)
    checks.check_history(tmp_path)


def test_the_same_folder_may_be_written_in_another_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    config_file.write_config(tmp_path, small_config(**{"data.dir": "photos"}))
    config_file.check_same_data(tmp_path, small_config(**{"data.dir": f"{tmp_path}/photos/"}))
    with pytest.raises(ValueError, match=r"data\.dir is 'photos' there"):
        config_file.check_same_data(tmp_path, small_config(**{"data.dir": "paintings"}))


def test_fewer_steps_than_are_trained(finished_run, tmp_path):
    config, copy, files = copy_of(finished_run, tmp_path)
    before = files()
    config.train.num_steps = 6
    with pytest.raises(ValueError, match="has trained 8 steps, and the config asks for 6"):
        train.train(config, str(copy))
    assert files() == before


@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", b'{"data": {"na'),
        ("metrics.jsonl", b'{"step": 1, "a": 2.0}\n\xff\xfe\n{"step": 2, "a": 1.0}\n'),
        ("metrics.jsonl", b'{"step": 1, "a": 2.0}\n{"ste\n{"step": 2, "a": 1.0}\n'),
    ],
)
def test_damaged_files_are_named(finished_run, tmp_path, name, content):
    config, copy, _ = copy_of(finished_run, tmp_path)
    (copy / name).write_bytes(content)
    config.train.num_steps = 12
    with pytest.raises(ValueError, match=f"copy/{name} is damaged"):
        train.train(config, str(copy))


def test_another_batch_size_is_said_with_what_it_means(tmp_path):
    config_file.write_config(tmp_path, small_config())
    config = small_config(**{"train.batch_size": 2})
    (line,) = config_file.check_same_network(tmp_path, config, part="state")
    assert line.startswith("config.train.batch_size was 1, is now 2, and epochs count as if")


def test_the_plateau_policy_keeps_its_metric(tmp_path):
    """The best L1 so far is not to be beaten by a PSNR, nor the other way round."""
    plateau = {"optim.policy": "plateau"}
    config_file.write_config(tmp_path, small_config(**plateau))
    config_file.check_same_plateau(tmp_path, small_config(**plateau))
    with pytest.raises(ValueError, match="best_metric was l1 in the run .*, and is now psnr"):
        config_file.check_same_plateau(
            tmp_path, small_config(**plateau, **{"train.best_metric": "psnr"})
        )
    for policy in ("linear", "constant"):
        other = small_config(**{"optim.policy": policy, "train.best_metric": "psnr"})
        config_file.check_same_plateau(tmp_path, other)
    config_file.check_same_plateau(tmp_path / "no config", small_config(**plateau))


HOLD = """
import sys, time
from pix2pix_jax.run.lock import WorkdirLock
with WorkdirLock(sys.argv[1]) as lock:
    lock.take()
    print("locked", flush=True)
    time.sleep(60)
"""


def test_two_trainings_in_one_workdir(tmp_path):
    workdir = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workdir)],
        cwd=pathlib.Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(OSError, match=f"process {holder.pid} on .* is training in {workdir}"):
            train.train(small_config(), str(workdir))
    finally:
        holder.kill()
        holder.wait()
    with WorkdirLock(workdir) as lock:
        lock.take()


def test_only_the_first_process_writes_before_training(tmp_path):
    with WorkdirLock(tmp_path / "run", wanted=False) as lock:
        lock.take()
    assert not (tmp_path / "run").exists()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # nor do others disturb each other
        list(pool.map(lambda _: checks.check_writable(tmp_path / "run"), range(400)))
    assert list(tmp_path.iterdir()) == []


def test_compiling_is_no_part_of_the_speed(monkeypatch, capsys):
    """The first step takes 101 s, the others one; the speed is one a second."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    nothing = types.SimpleNamespace(scalars=lambda *_: None, append=lambda *_: None)
    report = Reporter(small_config(), nothing, nothing, 20, 10, 0)
    clock.now = 100.0
    for step in range(4):
        clock.now += 1
        report.add(step, {"g_l1": np.array([step], np.float32)})
    report.write(4, 1e-4)
    line = capsys.readouterr().out
    assert line.startswith("step 4/20  epoch 0.4/2.0  1.00 steps/s") and "ETA 16s" in line
    assert line.strip().endswith("g_l1 1.5")
    clock.now += 100  # a dispatch of another length compiles, too
    report.add(4, {"g_l1": np.zeros(2, np.float32)})
    for step in (6, 7):
        clock.now += 1
        report.add(step, {"g_l1": np.array([step], np.float32)})
    report.write(8, 1e-4)
    assert "  1.00 steps/s" in capsys.readouterr().out


def test_a_first_row_of_one_dispatch_has_no_speed():
    assert "epoch 150.0/179" in Progress(300, 1, 10, 0, 149).line(10, {}, {})
    progress = Progress(300, 1, 10, 0)
    progress.begin(20)
    line = progress.line(20, progress.rates(20), {"g_l1": 2.0})
    assert line == "step 20/300  epoch 2.0/30  g_l1 2"


def test_the_sums_of_losses_do_not_depend_on_the_dispatches():
    values = np.random.default_rng(0).normal(size=12).astype(np.float32)
    rows = []
    nothing = types.SimpleNamespace(scalars=lambda *_: None)
    for size in (1, 4, 12):
        history = types.SimpleNamespace(append=lambda _, row: rows.append(row))
        report = Reporter(small_config(), nothing, history, 12, 10, 0)
        for step in range(0, 12, size):
            report.add(step, {"g": values[step : step + size]})
            report.check_finite()
            sums = json.loads(json.dumps(report.sums))  # as a checkpoint keeps them
            report.sums = sums
        report.write(12, 1e-4)
    assert rows[0] == rows[1] == rows[2]
    np.testing.assert_allclose(rows[0]["train/g"], values.astype(np.float64).mean(), rtol=1e-12)
