"""Shared fixtures: two cores, one small run that several tests look at."""

import gc
import importlib.metadata
import os
import shutil
import tempfile

# Tests run on the CPU, wherever they are, but for the stage parity of
# benchmarks/on_accelerator.sh.
os.environ["JAX_PLATFORMS"] = os.environ.get("TEST_PLATFORM", "cpu")
# Most of the tests' time is compilation, and most of that would go into making short runs fast.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    # Later versions end at a flag that they don't know.
    + " --xla_cpu_use_fusion_emitters=false" * (importlib.metadata.version("jaxlib") < "0.11"),
)
# What one test, worker or process has compiled, the next one loads.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

import numpy as np
import pytest
import torch
from PIL import Image

from configs.default import get_config

torch.set_num_threads(1)
LONG_FILES = (
    "test_inpainting",
    "test_devices",
    "test_cyclegan",
    "test_regression",
    "test_train_step",
    "test_training",
    "test_networks",
    "test_kept_runs",
)


def small_config(**fields):
    """A tiny pix2pix on tiny synthetic facades; `fields` are dotted."""
    config = get_config()
    config.name = "small"
    config.update_from_flattened_dict(
        {
            "data.direction": "BtoA",
            "data.load_size": (36, 36),
            "data.crop_size": (32, 32),
            "data.synthetic_size": 32,
            "data.synthetic_train": 6,
            "data.synthetic_eval": 3,
            "model.generator": "unet_32",
            "model.ngf": 4,
            "model.ndf": 4,
            "model.n_layers": 2,
            "train.batch_size": 1,
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


def make_batch(config, examples, step, item):
    """The training batch at `step`, as the training step makes it."""
    from pix2pix_jax.runtime import random_streams

    key = random_streams.at_step(config.seed, random_streams.JITTER, np.int32(step))
    return examples.batch(key, examples.cache, item)


def pytest_collection_modifyitems(items):
    """Long files first: a worker that begins one last would leave the other idle."""
    position = {name: i for i, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: position.get(item.path.stem, len(position)))


def pytest_collection_finish():
    """Objects of the imports stay; the garbage collector need not look through them each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    if "PYTEST_XDIST_WORKER" in os.environ:  # one of several, which share it
        return
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """(config, workdir) of a small run that has been trained."""
    from pix2pix_jax.train import train

    config = small_config()
    workdir = tmp_path_factory.mktemp("finished")
    train(config, str(workdir))
    return config, workdir


@pytest.fixture
def pairs_folder(tmp_path):
    """root/{train,val}/ of side-by-side pairs 64x32 and the arrays they were made of."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        (tmp_path / split).mkdir()
        for i in range(count):
            array = generator.integers(0, 256, (32, 64, 3), np.uint8)
            Image.fromarray(array).save(tmp_path / split / f"{i + 1}.png")
    return tmp_path
