"""A program that is loaded by its config: the same step, and never one of other code."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pix2pix_jax.run import compiling, kept_program
from pix2pix_jax.runtime import host_memory, source_code
from tests.conftest import small_config

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = """
from configs import quickstart
def get_config():
    config = quickstart.get_config()
    fields = {"model.generator": "unet_32", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1}
    fields |= {"data.load_size": (36, 36), "data.crop_size": (32, 32), "train.num_samples": 1}
    fields |= {"data.synthetic_size": 32, "data.synthetic_train": 3, "data.synthetic_eval": 1}
    fields |= {"train.num_steps": 2, "train.log_every": 1}
    config.update_from_flattened_dict(fields)
    return config
"""
LAUNCH = """
import sys
from pix2pix_jax.run import compiling
original = compiling._compile
compiling._compile = lambda *arguments: (print("traced"), original(*arguments))[1]
from pix2pix_jax.__main__ import main
main()
"""


def train(config, folder, name):
    """(whether the step was traced, losses of each step) of a run in a process of its own."""
    environment = os.environ | host_memory.SETTINGS | {"JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    flags = [f"--config={config}", f"--workdir={folder}/{name}", "--compilation_cache"]
    command = [sys.executable, "-c", LAUNCH, *flags, str(folder / "cache")]
    out = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    history = (folder / name / "metrics.jsonl").read_text().splitlines()
    return "traced" in out, [json.loads(line) for line in history]


def losses(history):
    """Without times."""
    return [{k: v for k, v in line.items() if "per_sec" not in k} for line in history]


def test_the_second_start_takes_the_program_of_the_first(tmp_path):
    """To the bit; not one whose config or code differs, and not a damaged one."""
    config = tmp_path / "small.py"
    config.write_text(CONFIG)
    traced, first = train(config, tmp_path, "first")
    (program,) = (tmp_path / "cache").glob("*.program")
    assert traced and len(first) > 1
    traced, second = train(config, tmp_path, "second")
    assert not traced and losses(second) == losses(first)
    config.write_text(CONFIG.replace('"train.log_every": 1', '"train.log_every": 2'))
    assert train(config, tmp_path, "other")[0]  # its program is the same, which is known now
    assert not train(config, tmp_path, "again")[0]
    program.write_bytes(program.read_bytes()[:1000])
    assert train(config, tmp_path, "damaged")[0]
    assert not program.exists()


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """One device, and code that is as its files have it; gives the cache's folder."""
    monkeypatch.setattr(source_code, "_started", time.time() + 1000)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(kept_program.compilation_cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(kept_program, "_load", lambda file: file.name)
    return tmp_path


def keep(config, facts, key="key", is_new=True):
    kept_program.KeptProgram(config).keep(facts, key, None, is_new)
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)


def test_a_program_is_taken_for_the_data_that_it_was_made_for(alone, monkeypatch):
    monkeypatch.setattr(kept_program.serialize_executable, "serialize", lambda program: "text")
    keep(small_config(), None)
    keep(small_config(), "400 images", is_new=False)  # nobody has written it
    assert not kept_program.KeptProgram(small_config()).is_loading
    keep(small_config(), "400 images")
    assert kept_program.KeptProgram(small_config()).take("400 images") == "key.program"
    assert kept_program.KeptProgram(small_config()).take("401 images") is None
    assert not kept_program.KeptProgram(small_config(**{"loss.lambda_l1": 99.0})).is_loading
    monkeypatch.setattr(source_code, "_started", None)
    assert not kept_program.KeptProgram(small_config()).is_loading


def test_only_the_latest_are_kept(alone, monkeypatch):
    monkeypatch.setattr(kept_program.serialize_executable, "serialize", lambda program: "text")
    monkeypatch.setattr(kept_program, "MOST_PROGRAMS", 2)
    monkeypatch.setattr(kept_program, "MOST_NAMES", 3)
    for seed in range(4):
        keep(small_config(seed=seed), "facts", key=f"key{seed}")
        os.utime(alone / f"key{seed}.program", (seed, seed))
    there = [kept_program.KeptProgram(small_config(seed=seed)).is_loading for seed in range(4)]
    assert there == [False, True, True, True]
    assert {path.name for path in alone.glob("*.program")} == {"key2.program", "key3.program"}


class Recorder:
    """A `KeptProgram` that has nothing, and notes what it is to keep."""

    is_loading = False

    def __init__(self):
        self.facts, self.is_forgotten = [], False

    def take(self, facts):
        return None

    def keep(self, facts, key, program, is_new):
        self.facts.append(facts)

    def forget(self):
        self.is_forgotten = True


@pytest.mark.parametrize("weights", [100, 10_000])
def test_programs_with_weights_of_a_file_are_not_kept(weights):
    """The file can change, and nothing else with it."""
    constant, kept = jnp.ones(weights), Recorder()
    step = jax.jit(lambda state, cache, chunk, flags: (state + constant.sum(), cache))
    programs = compiling.Programs(small_config(), step, 6, kept)
    programs(jnp.ones(()), jnp.ones(3), jnp.ones((1, 3)), None)
    assert [facts is not None for facts in kept.facts] == [weights == 100]


def test_streamed_images_are_no_facts():
    kept = Recorder()
    step = jax.jit(lambda state, cache, chunk, flags: (state + chunk.sum(), cache))
    compiling.Programs(small_config(), step, 6, kept)(jnp.ones(()), None, jnp.ones((1, 3)), None)
    assert kept.facts == [None]


def test_a_program_that_fails_is_not_tried_again():
    kept = Recorder()

    def fail(*_):
        raise ValueError("Function not found")

    programs = compiling.Programs(small_config(), None, 6, kept)
    programs._compiled[1] = fail
    with pytest.raises(ValueError, match="not found"):
        programs(None, None, np.ones((1, 3)), None)
    assert kept.is_forgotten


def test_code_is_what_files_contain_and_what_is_installed(tmp_path, monkeypatch):
    assert source_code.digest() is None
    monkeypatch.setattr(source_code, "_started", time.time() + 1000)
    before = source_code.digest()
    assert source_code.digest() == before
    path = tmp_path / "own_method.py"
    path.write_text("FILTERS = 64\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_method  # noqa: F401

    monkeypatch.setitem(sys.modules, "own_method", sys.modules["own_method"])
    with_module = source_code.digest()
    path.write_text("FILTERS = 32\n")
    edited = source_code.digest()
    (tmp_path / "flax-0.0.1.dist-info").mkdir()
    assert len({before, with_module, edited, source_code.digest()}) == 4
    monkeypatch.setattr(source_code, "_started", path.stat().st_mtime - 1)
    assert source_code.digest() is None  # what was imported may be what was there before
