"""Times our training step (or translation) and PyTorch's on the same work, interleaved in one run.

    python -m benchmarks.train_step --batch=1
    python -m benchmarks.train_step --batch=8 --inference
    python -m benchmarks.train_step --batch=64 --dtype=bfloat16 --compile
    python -m benchmarks.train_step --config=cyclegan
    python -m benchmarks.train_step --config=fastcut

Each round runs one dispatch of ours (a step on CPU, 20 elsewhere), then one step of PyTorch's in
each memory layout; the table has medians over the rounds and our time of a step over that of
PyTorch's better layout. Each has a process of its own, as people run it: ours with the memory
settings of launch.py. Ours is what training dispatches: it takes images from the cached data set on
the device, crops and mirrors them, and trains. PyTorch's batch lies ready on the device.

"Floor" is the longer of two times: the operations of PyTorch's convolutions over the rate of a
large matrix product, and the bytes of state and images, read and written once, over the rate of
memory. "Memory" is the accelerator's peak, or the process's.
"""

import argparse
import functools
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from jax.sharding import AxisType, Mesh

from benchmarks import floor, torch_cut
from benchmarks import torch_baseline as baseline
from configs import cut, cyclegan, default
from pix2pix_jax.data import loading
from pix2pix_jax.dispatch import fused_steps, make_run_steps, shardings
from pix2pix_jax.methods.registry import METHODS, fresh_state, make_generate
from pix2pix_jax.runtime import host_memory, processes, xla_flags

CONFIGS = {
    "pix2pix": default.get_config,
    "cyclegan": cyclegan.base,
    "cut": cut.base,
    "fastcut": lambda: cut.base(fast=True),
}
LAYOUTS = {"PyTorch": torch.contiguous_format, "PyTorch channels_last": torch.channels_last}
SERVE = "from benchmarks import train_step; train_step.serve()"
PAUSE = 0.05  # seconds
SHARE = "0.4"  # of an accelerator's memory for ours; PyTorch's two take what they need
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def ours(options: argparse.Namespace, images: list[np.ndarray]) -> tuple[Callable, int]:
    """One dispatch of training; the bytes that a step must read and write."""
    config = CONFIGS[options.config]()
    config.train.batch_size = options.batch
    config.data.name, config.data.synthetic_kind = "synthetic", "night"
    config.data.synthetic_size, config.data.synthetic_train = options.size, max(4, options.batch)
    config.data.load_size = (options.size * 286 // 256,) * 2
    config.data.crop_size = (options.size, options.size)
    config.model.dtype = options.dtype
    data, kind = config.data, METHODS[config.method].data
    examples = loading.load_examples(data, config.seed, "train", train=True, kind=kind)
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",), axis_types=(AxisType.Auto,))
    state = processes.place(fresh_state(config), shardings(mesh)[0], donated=True)
    cache = processes.place(examples.cache, shardings(mesh)[0])
    steps = steps_per_call(options)
    chunk = lambda first: examples.chunk(first, steps, options.batch)
    lowered = make_run_steps(config, examples, mesh).lower(state, cache, chunk(0), None)
    host_memory.trim()  # as training does
    program = lowered.compile()
    firsts = itertools.count(0, steps)
    host_memory.keep_freed()

    def run():
        nonlocal state
        state, losses = program(state, cache, chunk(next(firsts)), None)
        host_memory.release_beyond()
        jax.block_until_ready((state, losses))

    return run, floor.nbytes(state, state, images)


def steps_per_call(options: argparse.Namespace) -> int:
    """Steps in a dispatch of ours, as training has it."""
    if options.inference:
        return 1
    return fused_steps(CONFIGS[options.config](), 80_000)


def our_translation(options: argparse.Namespace, images: list[np.ndarray]) -> tuple[Callable, int]:
    """The generator on a batch, every image with its own statistics and dropout; its bytes."""
    config = CONFIGS[options.config]()
    config.model.dtype = options.dtype
    method = METHODS[config.method]
    direction = method.directions(config)[0]
    variables = jax.device_put(fresh_state(config).networks[direction.generator].variables)
    keys = jax.random.split(jax.random.key(1), options.batch)
    generate, batch = jax.jit(make_generate(config, direction)), jax.device_put(images[0])
    jax.block_until_ready(generate(variables, batch, keys))
    host_memory.keep_freed()  # as translation does

    def run():
        jax.block_until_ready(generate(variables, batch, keys))

    return run, floor.nbytes(variables, batch, batch)


def their_translation(
    options: argparse.Namespace, images: list[np.ndarray], memory_format: torch.memory_format
) -> Callable[[], None]:
    """PyTorch's generator on a batch, in training mode as pix2pix tests it."""
    nets, _ = their_model(options.config)
    net = baseline.init_weights(nets[0], 0).to(DEVICE, memory_format=memory_format)
    if options.compile:
        net = torch.compile(net, mode="reduce-overhead")
    x = torch.from_numpy(images[0].transpose(0, 3, 1, 2)).to(DEVICE, memory_format=memory_format)
    autocast = torch.autocast(DEVICE, torch.bfloat16, enabled=options.dtype == "bfloat16")

    def run():
        with torch.no_grad(), autocast:
            net(x)
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return run


def their_model(name: str) -> tuple[list[torch.nn.Module], Callable]:
    """PyTorch's networks, the generator first, and what trains them."""
    if name == "pix2pix":
        return [baseline.UnetGenerator(), baseline.NLayerDiscriminator()], baseline.Pix2Pix
    if name == "cyclegan":
        nets = [baseline.ResnetGenerator() for _ in range(2)]
        nets += [baseline.NLayerDiscriminator(3, norm="instance") for _ in range(2)]
        return nets, baseline.CycleGAN
    nets = [torch_cut.ResnetGenerator(), torch_cut.NLayerDiscriminator()]
    nets.append(torch_cut.PatchProjection())
    if name == "cut":
        return nets, torch_cut.CUT
    mirror = lambda: random.random() < 0.5
    return nets, functools.partial(torch_cut.CUT, lambda_nce=10.0, identity=False, mirror=mirror)


def theirs(
    options: argparse.Namespace, images: list[np.ndarray], memory_format: torch.memory_format
) -> Callable[[], None]:
    """One step of the PyTorch baseline."""
    nets, make_model = their_model(options.config)
    nets = [
        baseline.init_weights(net, i).to(DEVICE, memory_format=memory_format)
        for i, net in enumerate(nets)
    ]
    if options.compile:
        nets = [torch.compile(net, mode="reduce-overhead") for net in nets]
    model = make_model(*nets)
    tensors = [
        torch.from_numpy(image.transpose(0, 3, 1, 2)).to(DEVICE, memory_format=memory_format)
        for image in images
    ]
    autocast = torch.autocast(DEVICE, torch.bfloat16, enabled=options.dtype == "bfloat16")

    def run():
        if options.compile:  # what the last step's CUDA graphs returned may go
            torch.compiler.cudagraph_mark_step_begin()
        with autocast:
            model.step(*tensors)
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return run


def measure(
    runs: dict[str, Callable[[], None]], steps: dict[str, int], rounds: int, warmup: int
) -> dict[str, float]:
    """Median seconds of a step of each, over rounds in which every one runs its `steps` once.

    Between them a pause: threads of one library that wait for more work would slow the other.
    """
    seconds = {name: [] for name in runs}
    for i in range(warmup + rounds):
        for name, run in runs.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            run()
            if i >= warmup:
                seconds[name].append((time.perf_counter() - began) / steps[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


class Contestant:
    """Us or PyTorch in another process, which runs one step at every call."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        command = [sys.executable, "-c", SERVE, name, *arguments]
        pipe = subprocess.PIPE
        environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": SHARE} | os.environ
        environment |= host_memory.SETTINGS if name == "ours" else {}
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        )
        self._answer()

    def __call__(self) -> None:
        """One step, to its end."""
        self.ask("step")

    def ask(self, what: str) -> Any:
        """Runs one of the things of `serve`; returns its result."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        if not (line := self.process.stdout.readline()):
            sys.exit("a process of the benchmark ended; its error is above")
        return json.loads(line)


def serve() -> None:
    """The other end of a contestant: builds it, and does what every line asks for."""
    name, options = sys.argv[1], parse(sys.argv[2:])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    generator = np.random.default_rng(0)
    shape = (options.batch, options.size, options.size, 3)
    images = [generator.uniform(-1, 1, shape).astype(np.float32) for _ in range(2)]
    if name == "ours":
        xla_flags.prepare()  # as launch.py
        host_memory.prepare()
        run, moved = (our_translation if options.inference else ours)(options, images)
        parts = {"bytes": lambda: moved, "rates": lambda: floor.rates(options.dtype)}
        parts["steps"] = lambda: steps_per_call(options)
    else:
        make = their_translation if options.inference else theirs
        run = make(options, images, LAYOUTS[name])
        eager = argparse.Namespace(**vars(options) | {"compile": False})
        parts = {"flops": lambda: floor.flops(make(eager, images, LAYOUTS[name]))}
    parts |= {"step": run, "memory": lambda: floor.peak_memory(ours=name == "ours")}
    print(json.dumps("built"), flush=True)
    for line in sys.stdin:
        print(json.dumps(parts[line.strip()]()), flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", choices=CONFIGS, default="pix2pix")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile the baseline")
    parser.add_argument("--inference", action="store_true", help="translate, do not train")
    parser.add_argument("--layout", choices=LAYOUTS, help="PyTorch's only one, to save memory")
    return parser.parse_args(arguments)


def least(our: Contestant, their: Contestant) -> float:
    """The floor in seconds."""
    operations, memory = our.ask("rates")
    return max(their.ask("flops") / operations, our.ask("bytes") / memory)


def milliseconds(seconds: float) -> str:
    """As text, with two decimals where these say something."""
    return f"{1000 * seconds:.{0 if seconds > 0.1 else 2}f}"


def main() -> None:
    """Prints one Markdown row."""
    options = parse(sys.argv[1:])
    layouts = [options.layout] if options.layout else list(LAYOUTS)
    runs = {name: Contestant(name, sys.argv[1:]) for name in ("ours", *layouts)}
    steps = dict.fromkeys(runs, 1) | {"ours": runs["ours"].ask("steps")}
    found = measure(runs, steps, options.rounds, options.warmup)
    best = min(layouts, key=found.get)
    peaks = [runs[name].ask("memory") / 2**20 for name in ("ours", best)]
    print(
        f"{platform.processor() or platform.machine()}, {DEVICE}, torch {torch.__version__}, "
        f"jax {jax.__version__}, {torch.get_num_threads()} threads"
    )
    print(
        "| config | batch | size | dtype | "
        + " | ".join(f"{name}, ms" for name in found)
        + " | ratio | floor, ms | memory of ours, MiB | of PyTorch's better, MiB |"
    )
    print("|" + "---|" * (len(found) + 8))
    cells = [options.config, str(options.batch), str(options.size), options.dtype]
    cells += [milliseconds(value) for value in found.values()]
    cells += [f"{found['ours'] / found[best]:.2f}", milliseconds(least(runs["ours"], runs[best]))]
    cells += [f"{peak:,.0f}" for peak in peaks]
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
