"""Eight virtual devices, and two real processes over jax.distributed."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from benchmarks import torch_baseline as baseline
from configs import quickstart
from pix2pix_jax import dispatch, train
from pix2pix_jax.data import loading
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.models import build
from pix2pix_jax.pytorch.layer_names import unet_keys
from pix2pix_jax.pytorch.state_dicts import to_flax
from pix2pix_jax.run import checkpoints, saved_steps
from pix2pix_jax.runtime import processes
from pix2pix_jax.runtime.devices import choose_devices
from tests import parity
from tests.conftest import small_config

ROOT = pathlib.Path(__file__).parents[1]
DEVICES = 8


def mesh_of(count):
    return Mesh(np.array(jax.devices()[:count]), ("data",))


@pytest.fixture(scope="module")
def net():
    """PyTorch's U-Net without dropout, and a batch for it."""
    net = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, "batch", dropout=False), 0)
    return net, parity.images(DEVICES, 32, 32, 3), parity.images(DEVICES, 32, 32, 3, seed=1)


def our_gradients(net, x, target, count, groups):
    """Of the mean L1 distance, over `count` devices."""
    config = small_config(**{"model.dropout": 0.0})
    generator = build.generator(config.model, 3, groups)
    variables = to_flax(parity.state_dict(net), unet_keys(5))

    def loss(params, x, target):
        output, _ = generator.apply(variables | {"params": params}, x, mutable=["batch_stats"])
        return jnp.abs(output - target).mean()

    whole, _ = dispatch.shardings(mesh_of(count))
    rows = jax.sharding.NamedSharding(whole.mesh, jax.sharding.PartitionSpec("data"))
    gradient = jax.jit(jax.grad(loss), in_shardings=(whole, rows, rows), out_shardings=whole)
    return jax.device_get(gradient(variables["params"], x, target))


def torch_gradients(net, x, target, replicas):
    """Those of DistributedDataParallel, by hand: every replica's own, and their mean."""
    net.zero_grad()
    for one, its_target in zip(np.split(x, replicas), np.split(target, replicas), strict=True):
        error = (net(parity.nchw(one)) - parity.nchw(its_target)).abs().mean()
        (error / replicas).backward()
    gradients = {name: p.grad.numpy() for name, p in net.named_parameters()}
    return to_flax(gradients, unet_keys(5))["params"]


def assert_close(ours, theirs, tolerance):
    """Largest difference, in parts of the array's largest value, or of its kind's."""
    for (path, a), (_, b) in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves_with_path(theirs), strict=True
    ):
        scale = max(np.abs(b).max(), 1e-2)
        assert np.abs(a - b).max() <= tolerance * scale, jax.tree_util.keystr(path)


@pytest.mark.parametrize("replicas", [1, DEVICES], ids=["synchronised", "each its own"])
def test_gradients_of_eight_devices(net, replicas):
    """Synchronised they are those of one device with the whole batch; else the replicas' mean."""
    net, x, target = net
    spread = our_gradients(net, x, target, DEVICES, replicas)
    assert_close(spread, our_gradients(net, x, target, 1, replicas), 5e-6)
    assert_close(spread, torch_gradients(net, x, target, replicas), 1e-4)


def test_a_training_step_of_eight_devices_is_that_of_one():
    config = small_config(
        **{"train.batch_size": DEVICES, "model.sync_batch_norm": True, "optim.eps": 1.0}
    )
    results = []
    for count in (1, DEVICES):
        examples = loading.load_examples(config.data, config.seed, "train", train=True)
        run_steps = dispatch.make_run_steps(config, examples, mesh_of(count))
        state = jax.device_put(fresh_state(config), dispatch.shardings(mesh_of(count))[0])
        state, losses = run_steps(state, examples.cache, examples.chunk(0, 1, DEVICES), None)
        results.append(jax.device_get((state.networks, losses)))
    for a, b in zip(jax.tree.leaves(results[0]), jax.tree.leaves(results[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_each_device_judges_its_own_translations():
    """CycleGAN's pool takes a whole batch one by one; after it every device has its share again."""
    config = small_config(
        **{
            "method": "cyclegan",
            "data.synthetic_kind": "night",
            "model.generator": "resnet_1blocks",
            "model.norm": "instance",
            "model.ndf": 5,  # no other layer has this width
            "loss.pool_size": 8,
            "train.batch_size": DEVICES,
        }
    )
    examples = loading.load_examples(config.data, config.seed, "train", train=True, kind="sets")
    run_steps = dispatch.make_run_steps(config, examples, mesh_of(DEVICES))
    arguments = abstract_state(config), examples.cache, examples.chunk(0, 1, DEVICES), None
    program = run_steps.lower(*arguments).compile().as_text()
    assert "f32[1,16,16,5]" in program  # the discriminators' first layer, on one image
    assert "f32[8,16,16,5]" not in program


def test_processes_read_the_rows_of_one_order():
    """Side by side, the shares of any number of processes are the batch of one."""
    config = small_config(**{"train.batch_size": DEVICES})
    examples = loading.load_examples(config.data, config.seed, "train", train=True)
    whole = examples.chunk(3, 2, DEVICES)
    for count in (2, 4, 8):
        shares = [examples.chunk(3, 2, DEVICES, (i, count)) for i in range(count)]
        np.testing.assert_array_equal(np.concatenate(shares, axis=1), whole)


@pytest.mark.parametrize("batch, used", [(1, 1), (6, 6), (9, 3), (16, 8)])
def test_as_many_devices_as_divide_the_batch(batch, used, capsys):
    assert choose_devices(batch) == jax.devices()[:used]
    said = f"{used} of 8 devices used: config.train.batch_size is {batch}; a multiple of 8 uses all"
    assert capsys.readouterr().out == ("" if used == DEVICES else said + "\n")


def test_devices_that_are_asked_for(capsys, monkeypatch):
    assert choose_devices(6, 3) == jax.devices()[:3] and not capsys.readouterr().out
    for number in (9, -1):
        with pytest.raises(
            ValueError, match=f"num_devices is {number}, and the number of devices here is 8"
        ):
            choose_devices(8, number)
    with pytest.raises(ValueError, match="batch_size is 4, which 3 devices cannot share evenly"):
        choose_devices(4, 3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert choose_devices(8) == choose_devices(16, 8) == jax.devices()
    with pytest.raises(ValueError, match="batch_size is 4, which 8 devices .* multiple of 8"):
        choose_devices(4)
    with pytest.raises(ValueError, match="2 processes use all their 8 devices: set it to 0"):
        choose_devices(8, 4)


# Two processes of two devices each.

MARKED = """
import runpy, sys
from pix2pix_jax import train
make = train.make_run_steps
train.make_run_steps = lambda *arguments: print("compiles", flush=True) or make(*arguments)
sys.argv[0] = "launch.py"
runpy.run_path("launch.py", run_name="__main__")
"""  # launch.py, which prints a line before it compiles the first step

NEAR = 5e-5  # of parameters, which Adam moves by up to 2e-4 at each of twelve steps
FIELDS = {
    "model.generator": "resnet_1blocks",
    "model.ngf": 4,
    "model.ndf": 4,
    "model.n_layers": 1,
    "data.load_size": 18,
    "data.crop_size": 16,
    "data.synthetic_size": 32,
    "data.synthetic_train": 6,
    "data.synthetic_eval": 3,
    "optim.policy": "constant",  # for any number of steps
    "train.batch_size": 4,
    "train.checkpoint_every": 4,
    "train.eval_every": 4,
    "train.sample_every": 8,
    "train.log_every": 1,
    "train.num_samples": 2,
}


def settings(steps, **fields):
    return FIELDS | {"train.num_steps": steps} | fields


def run_here(workdir, steps):
    """Trains on four devices of this process."""
    config = quickstart.get_config()
    config.update_from_flattened_dict(settings(steps) | {"train.num_devices": 4})
    train.train(config, str(workdir))


def start(workdir, steps, **fields):
    """launch.py in two processes of two devices each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-c", MARKED),
        "--config=configs/quickstart.py",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in settings(steps, **fields).items()),
        *(f"--coordinator=127.0.0.1:{port}", "--num_processes=2"),
    ]
    flags = re.sub(r"(device_count)=\d+", r"\1=2", os.environ["XLA_FLAGS"])
    environment = os.environ | {"XLA_FLAGS": flags}
    return [
        subprocess.Popen(
            [*command, f"--process_id={i}"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for i in range(2)
    ]


def finish(processes):
    """Their output; they must have ended well."""
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def final_state(workdir, step):
    config = quickstart.get_config()
    config.update_from_flattened_dict(FIELDS)
    with checkpoints.Checkpoints(workdir) as saver:
        return saver.restore(abstract_state(config), step)


def worst(a, b):
    """Largest difference between two states' networks."""
    pairs = zip(jax.tree.leaves(a.networks), jax.tree.leaves(b.networks), strict=True)
    return max(np.abs(np.subtract(x, y, dtype=np.float64)).max() for x, y in pairs)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """A run of twelve steps on four devices of one process, and its copy after four."""
    workdir = tmp_path_factory.mktemp("processes") / "one"
    run_here(workdir, 4)
    shutil.copytree(workdir, workdir.parent / "two")
    run_here(workdir, 12)
    return workdir


def test_two_processes_go_on_as_one_would(one_process):
    """Four steps in one process, then eight in two: the networks and losses of twelve in one.

    In two the data are streamed.
    """
    workdir = one_process.parent / "two"
    outputs = finish(start(workdir, 12, **{"data.cache_mb": 0}))
    assert "resumed from step 4" in outputs[0]
    assert worst(final_state(workdir, 12), final_state(one_process, 12)) < NEAR
    rows = [(folder / "metrics.jsonl").read_text() for folder in (workdir, one_process)]
    numbers = [np.array(re.findall(r"-?\d+\.\d+", row), float) for row in rows]
    np.testing.assert_allclose(*numbers, rtol=1e-3)
    assert "step 12/12" in outputs[0] and "step" not in outputs[1]  # the first process reports
    names = lambda folder: {path.name.split(".")[0] for path in folder.iterdir()}
    assert names(workdir) == names(one_process)


def wait_for(path, processes):
    """Until the path exists; ends all processes if one ends before it, or in 200 s."""
    deadline = time.monotonic() + 200
    while not path.exists():
        if any(process.poll() is not None for process in processes) or time.monotonic() > deadline:
            for process in processes:
                process.kill()
            pytest.fail("\n".join(process.communicate()[0] for process in processes))
        time.sleep(0.05)


def test_a_signal_to_one_process_stops_both_at_one_step(one_process):
    """And they connect before they compile.

    On CPU a connection is given up after 30 s, and one process may compile for longer than the
    other. Gloo prints a line for each connection.
    """
    workdir = one_process.parent / "stopped"
    processes = start(workdir, 100_000)
    wait_for(workdir / "checkpoints" / "4", processes)
    processes[1].send_signal(signal.SIGTERM)
    output, _ = finish(processes)
    assert "connected to 3 peer ranks" in output.partition("compiles\n")[0]
    step = int(re.search(r"stopped and saved at step (\d+)", output)[1])
    assert 4 <= step < 100_000 and (workdir / "checkpoints" / str(step)).is_dir()


def test_a_killed_process_leaves_a_checkpoint_that_resumes(one_process, capsys):
    """Two processes save what one process would, and one process goes on from it."""
    workdir = one_process.parent / "killed"
    processes = start(workdir, 100_000, **{"train.checkpoint_every": 8})
    wait_for(workdir / "checkpoints" / "8", processes)
    processes[1].kill()
    time.sleep(1)
    assert processes[0].poll() is None  # waits for it: JAX gives up after a while (100 s)
    processes[0].kill()
    for process in processes:
        process.wait(60)
    assert saved_steps.newest_step(workdir) == 8
    run_here(workdir, 12)
    assert "resumed from step 8" in capsys.readouterr().out
    assert worst(final_state(workdir, 12), final_state(one_process, 12)) < NEAR


def test_arguments_that_do_not_go_together(tmp_path):
    with pytest.raises(
        ValueError, match="--coordinator=HOST:PORT, --num_processes and .* must all be given"
    ):
        processes.initialize("127.0.0.1:1", None, 0)
    command = [sys.executable, "launch.py", "--config=configs/quickstart.py", "--mode=eval"]
    result = subprocess.run(
        [*command, f"--workdir={tmp_path}", "--num_processes=2"],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert result.returncode == 1 and "only train and translate take several" in result.stderr
