"""Runs, data and results in object storage: fsspec's own store in memory, and S3 by an emulator."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import fsspec
import jax
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from pix2pix_jax import pth_networks, train
from pix2pix_jax.data import loading
from pix2pix_jax.evaluation.evaluate import evaluate
from pix2pix_jax.exchange import export_pth
from pix2pix_jax.export.stablehlo import export_stablehlo
from pix2pix_jax.images.finding import is_image
from pix2pix_jax.methods.state import NetworkState, TrainState
from pix2pix_jax.report.comparison import table
from pix2pix_jax.run import store_lock
from pix2pix_jax.run.checkpoints import Checkpoints
from pix2pix_jax.run.history import History
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.run.saved_state import DamagedCheckpoint
from pix2pix_jax.runtime import storage
from pix2pix_jax.runtime.store import Store
from pix2pix_jax.translation.translate import translate
from tests.conftest import small_config
from tests.test_command import ROOT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The copies of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    loading._local.cache_clear()
    return storage.cache_folder()


@pytest.fixture
def memory(monkeypatch):
    """What memory:// holds, by path."""
    objects = {}
    monkeypatch.setattr(MemoryFileSystem, "store", objects)
    return objects


def tiny_state(step):
    params = {"kernel": np.full((30, 10), step, np.float32)}
    return TrainState(np.int32(step), {"G": NetworkState(params, {}, {})}, (), {})


def tiny_training(address, steps, metrics=None):
    """Saves as a training does, with a line of its history before each."""
    with open_run(address) as run, run.lock() as lock:
        lock.take()
        run.pull()
        with run.publishing(), Checkpoints(run, keep_last=2) as saver:
            state = saver.restore_newest(tiny_state(0))
            start = 0 if state is None else int(state.step)
            with History(run.folder / "metrics.jsonl", resume_step=start) as history:
                for step in range(start + 1, steps + 1):
                    history.append(step, {"g": float(step)})
                    saver.save(tiny_state(step), metrics)
                    saver.wait()
    return start


def found(address):
    """Step and rows that a process which starts now goes on from; and its steps' names."""
    with open_run(address) as run:
        run.pull()
        saver = Checkpoints(run)
        state = saver.restore_newest(tiny_state(0))
        step = 0 if state is None else int(state.step)
        assert state is None or (state.networks["G"].params["kernel"] == step).all()
        with History(run.folder / "metrics.jsonl", resume_step=step):
            rows = (run.folder / "metrics.jsonl").read_text().splitlines()
        return step, [json.loads(row)["step"] for row in rows]


def steps_of(objects, address):
    root = address.removeprefix("memory:/") + "/checkpoints/"
    return sorted({path.removeprefix(root).split("/")[0] for path in objects if root in path})


class Recorder(dict):
    """A store that keeps what it was after every change."""

    def __init__(self):
        super().__init__()
        self.states = []

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.states.append(dict(self))

    def __delitem__(self, key):
        super().__delitem__(key)
        self.states.append(dict(self))

    def pop(self, key, *default):
        value = super().pop(key, *default)
        self.states.append(dict(self))
        return value


def test_a_kill_at_any_moment_loses_no_save(monkeypatch):
    """After each single change of an object during four saves, of which two are kept."""
    address = "memory://bucket/run"
    objects, saved = Recorder(), []
    monkeypatch.setattr(MemoryFileSystem, "store", objects)
    wait = Checkpoints.wait
    done = lambda saver: (wait(saver), saved.append(len(objects.states)))
    monkeypatch.setattr(Checkpoints, "wait", done)
    tiny_training(address, 4)
    assert steps_of(objects, address) == ["3", "4"] and found(address) == (4, [1, 2, 3, 4])
    monkeypatch.setattr(Checkpoints, "wait", wait)

    incomplete = set()
    for number, state in enumerate(objects.states[: saved[-1]], 1):
        monkeypatch.setattr(MemoryFileSystem, "store", dict(state))
        step, rows = found(address)
        finished = sum(number >= count for count in saved)
        assert finished <= step <= finished + 1 and rows == list(range(1, step + 1))
        marks = tuple(name for name in steps_of(state, address) if "incomplete" in name)
        if marks and marks not in incomplete:  # and the next start cleans up
            incomplete.add(marks)
            MemoryFileSystem.store.pop("/bucket/run/.lock")
            tiny_training(address, 5)
            assert steps_of(MemoryFileSystem.store, address) == ["4", "5"]
            assert found(address) == (5, [1, 2, 3, 4, 5])
    assert incomplete == {(f"{step}.incomplete",) for step in (1, 2, 3, 4)}


def test_damage_in_the_store_is_seen_and_set_aside(memory, capsys):
    address = "memory://bucket/run"
    tiny_training(address, 2)
    path = max(
        (p for p in memory if p.startswith("/bucket/run/checkpoints/2/default")),
        key=lambda p: memory[p].size,
    )
    content = bytearray(memory[path].getvalue())
    content[len(content) // 2] ^= 1
    fsspec.filesystem("memory").pipe_file(path, bytes(content))
    assert tiny_training(address, 3) == 1
    assert f"{address}/checkpoints/2 is damaged" in capsys.readouterr().out
    assert steps_of(memory, address) == ["2", "2.damaged", "3"]
    assert found(address) == (3, [1, 2, 3])
    for path in [p for p in memory if "checkpoints/3/default" in p or "checkpoints/2/" in p]:
        del memory[path]
    with pytest.raises(DamagedCheckpoint, match="3 is damaged.*none before it"):
        found(address)


def test_a_workdir_that_was_copied_there_is_a_run(memory, tmp_path):
    with Checkpoints(tmp_path / "run") as saver:
        saver.save(tiny_state(7), {"l1": 0.5, "psnr": 1.0, "ssim": 0.0})
        saver.wait()
    fsspec.filesystem("memory").put(str(tmp_path / "run"), "/bucket/", recursive=True)
    assert tiny_training("memory://bucket/run", 9) == 7
    # The best one by its metrics stays beside the last two.
    assert steps_of(memory, "memory://bucket/run") == ["7", "8", "9"]


def test_a_second_training_is_refused_and_a_killed_one_replaced(memory, monkeypatch):
    monkeypatch.setattr(store_lock, "RENEW", 0.05)
    monkeypatch.setattr(store_lock, "WATCH", 0.5)
    address = "memory://bucket/run"
    with open_run(address) as run, run.lock() as lock:
        lock.take()
        with pytest.raises(OSError, match=f"process .* is training in {address}: wait until it"):
            tiny_training(address, 1)
        lock._ended.set()  # as if it were killed, or cut off from the store
        lock._thread.join()
        tiny_training(address, 2)
        assert "/bucket/run/.lock" not in memory
        with pytest.raises(OSError, match=f"another training has begun in {address}"):
            run.push_files()
    tiny_training(address, 3)
    assert found(address) == (3, [1, 2, 3])


def test_a_run_goes_on_there_and_is_used_from_there(memory, finished_run, capsys, monkeypatch):
    monkeypatch.setattr(store_lock, "WATCH", 0.1)  # the lock that is copied with the run
    config, workdir = finished_run
    address = "memory://bucket/runs/small"
    objects = lambda: {path.removeprefix("/bucket/runs/small/") for path in memory}
    fsspec.filesystem("memory").put(f"{workdir}/", "/bucket/runs/small", recursive=True)
    before = objects()
    config = config.copy_and_resolve_references()
    config.train.num_steps = 10
    train.train(config, address)
    assert f"resumed from step 8 of {address}/checkpoints" in capsys.readouterr().out
    new = {name for name in objects() - before if not name.startswith("checkpoints/")}
    assert "samples/step_0000010.png" in new and len(new) == 2  # and a new event file
    assert {"8", "10"} <= set(steps_of(memory, address))
    content = lambda name: memory[f"/bucket/runs/small/{name}"].getvalue()
    assert json.loads(content("config.json"))["train"]["num_steps"] == 10
    assert content("losses.png") != (workdir / "losses.png").read_bytes()
    rows, old = content("metrics.jsonl"), (workdir / "metrics.jsonl").read_bytes()
    steps = [json.loads(row)["step"] for row in rows.removeprefix(old).splitlines()]
    assert rows.startswith(old) and steps == [10, 10]
    log, old = content("log.txt"), (workdir / "log.txt").read_bytes()
    assert log.startswith(old) and b"trained 2 steps" in log.removeprefix(old)

    metrics = evaluate(config, address)
    assert json.loads(content("eval/metrics.json"))["mean"] == metrics
    assert "eval/index.html" in objects()
    assert table([address]).splitlines()[2].startswith("| small | 10 | L1 | ")
    export_pth(config, address, "memory://bucket/weights")
    export_stablehlo(config, address, "memory://bucket/programs")
    programs = {path for path in memory if path.startswith("/bucket/programs/")}
    assert programs == {f"/bucket/programs/small.{ending}" for ending in ("stablehlo", "json")}
    images = f"{address}/eval/images"
    (config.init_from,) = (f"memory:/{path}" for path in memory if path.endswith("_net_G.pth"))
    with pytest.raises(ValueError, match="results is or lies in the folder of the images"):
        translate(config, address, images, f"{images}/results")
    assert not translate(config, address, images, "memory://bucket/results")
    results = [p for p in memory if p.startswith("/bucket/results/") and p.endswith(".png")]
    # Other tests may have evaluated this run before, and left more images than the 9 of now.
    assert len(results) == sum(name.startswith("eval/images/") for name in objects()) >= 9
    assert all(Image.open(memory[path]).size == (32, 32) for path in results)
    assert not list((storage.cache_folder() / storage.SCRATCH).iterdir())


def test_data_are_copied_once_and_kept_up_to_date(memory, pairs_folder, capsys):
    files = fsspec.filesystem("memory")
    files.put(str(pairs_folder / "train"), "/bucket/pairs/train", recursive=True)
    files.put(str(pairs_folder / "val"), "/bucket/pairs/val", recursive=True)
    files.pipe_file("/bucket/pairs/archive.zip", b"no image")
    local, remote = (
        small_config(**{"data.name": "folder", "data.dir": folder}).data
        for folder in (str(pairs_folder), "memory://bucket/pairs")
    )
    for split in ("train", "val"):
        ours, theirs = (loading.load_examples(data, 0, split, True) for data in (remote, local))
        jax.tree.map(np.testing.assert_array_equal, ours.cache, theirs.cache)
    assert capsys.readouterr().out.count("copying 6 files") == 1
    copy = storage.local_copy("memory://bucket/pairs", is_image)
    assert capsys.readouterr().out == "" and not (copy / "archive.zip").exists()
    files.cp_file("/bucket/pairs/train/1.png", "/bucket/pairs/train/2.png")
    files.rm("/bucket/pairs/val/1.png")
    copy = storage.local_copy("memory://bucket//pairs/", is_image)
    assert "copying 1 files" in capsys.readouterr().out
    assert (copy / "train/2.png").read_bytes() == (pairs_folder / "train/1.png").read_bytes()
    assert [path.name for path in (copy / "val").iterdir()] == ["2.png"]
    assert storage.shown(f"{copy}/val is bad") == "memory://bucket/pairs/val is bad"


@pytest.mark.parametrize(
    "name, others",
    [
        ("latest_net_G_A", {"latest_net_G_B", "latest_net_D_A", "latest_net_D_B"}),
        ("5_net_G_B", {"5_net_G_A", "5_net_D_B"}),
        ("mine", set()),
    ],
)
def test_of_a_folder_with_the_weights_of_many_epochs_those_of_one_are_copied(name, others, memory):
    there = {"latest_net_G_A", "latest_net_G_B", "latest_net_D_A", "latest_net_D_B", "mine"}
    there |= {f"{epoch}_net_{net}" for epoch in (5, 15) for net in ("G_A", "G_B", "D_B")}
    for pth in there:
        fsspec.filesystem("memory").pipe_file(f"/bucket/checkpoints/{pth}.pth", b"weights")
    networks = ("G_A", "G_B", "D_A", "D_B")
    path = pth_networks.local_path(f"memory://bucket/checkpoints/{name}.pth", networks)
    assert path.read_bytes() == b"weights"
    assert {found.stem for found in path.parent.iterdir()} == {name, *others}


STOPPED = """
import atexit, signal, fsspec
from pix2pix_jax import command
from pix2pix_jax.runtime import storage
def run(*_):
    with storage.output_folder("memory://bucket/out") as folder:
        (folder / "1.png").write_bytes(b"1")
        (folder / "2.png.tmp").write_bytes(b"1")
        signal.raise_signal(signal.SIGTERM)
command._run = run
atexit.register(lambda: print(fsspec.filesystem("memory").find("/bucket")))
command.run()
"""


def test_what_a_stopped_translation_has_made_is_not_lost(cache):
    flags = ["--config=configs/quickstart.py", "--compilation_cache=off", "--mode=translate"]
    flags += ["--input=x", "--output=x"]
    command = [sys.executable, "-c", STOPPED, *flags]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "stopped\n")
    assert done.stdout == "['/bucket/out/1.png']\n"
    assert not list((cache / storage.SCRATCH).iterdir())


def check_removal(bucket):
    """What looks like a pattern is a name: of a run, and of a file."""
    odd, other = Store(f"{bucket}/run[1]"), Store(f"{bucket}/run1")
    for store in (odd, other):
        for name in ("lock", "d/a?.png", "d/ab.png"):
            store.write(name, b"1")
    odd.remove(["lock", "d/a?.png", "none"])
    assert list(odd.entries()) == ["d/ab.png"]
    assert sorted(other.entries()) == ["d/a?.png", "d/ab.png", "lock"]


def test_what_is_removed_has_that_very_name(memory):
    check_removal("memory://bucket")


def test_names_that_lead_out_of_the_copy_are_refused(memory):
    fsspec.filesystem("memory").pipe_file("/bucket/pairs/../../out.png", b"")
    with pytest.raises(OSError, match="no name of a file"):
        storage.local_copy("memory://bucket/pairs", is_image)


@pytest.mark.parametrize(
    "address, error, words",
    [
        ("ftq://bucket/run", ValueError, "there is no storage called ftq://"),
        ("file:///tmp/run", ValueError, "is on this machine: give the path alone, /tmp/run$"),
        ("dropbox://bucket/run", ValueError, "takes a package .*requirements-cloud.txt"),
        ("memory://bucket/none", FileNotFoundError, "nothing of the kind .* memory://bucket/none"),
    ],
)
def test_addresses_that_lead_nowhere(memory, address, error, words):
    with pytest.raises(error, match=words):
        storage.local_copy(address, is_image)


def test_what_a_killed_process_left_is_removed(cache):
    scratch = cache / storage.SCRATCH
    with storage.scratch_folder("s3://bucket/one") as folder:
        assert folder == next(p for p in scratch.iterdir() if p.is_dir()) / "s3/bucket/one"
        with storage.scratch_folder("s3://bucket/two"):  # the first one is in use
            assert folder.is_dir()
        name = next(p.name for p in scratch.iterdir() if p.is_dir())
    (scratch / name / "s3").mkdir(parents=True)
    (scratch / f"{name}.lock").touch()
    with storage.scratch_folder("s3://bucket/three"):
        assert not (scratch / name).exists()
    assert not list(scratch.iterdir())


@pytest.fixture
def s3(monkeypatch):
    """The address of a bucket of an S3 server in this process."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir("bucket")
    yield "s3://bucket"
    server.stop()


def test_s3(s3, pairs_folder):
    address = f"{s3}/runs/tiny"
    tiny_training(address, 3)
    assert tiny_training(address, 4) == 3
    assert found(address) == (4, [1, 2, 3, 4])
    store = Store(address)
    names = {pathlib.PurePath(name).parts[:2] for name in store.entries()}
    assert names == {("metrics.jsonl",), ("checkpoints", "3"), ("checkpoints", "4")}
    assert store.create("new", b"1") and not store.create("new", b"2")
    assert store.read("new") == b"1" and store.read("none") is None
    with storage.output_folder(f"{s3}/pairs") as folder:
        image = (pairs_folder / "train" / "1.png").read_bytes()
        (folder / "odd [name].png").write_bytes(image)
    copy = storage.local_copy(f"{s3}/pairs", is_image)
    assert (copy / "odd [name].png").read_bytes() == image
    check_removal(s3)
    with pytest.raises(OSError, match="s3://other/run cannot be written"):
        Store("s3://other/run").write("name", b"")
