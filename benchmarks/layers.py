"""Times every convolution of the networks, ours and PyTorch's: forward and both gradients.

    python -m benchmarks.layers --network=unet --batch=1
    python -m benchmarks.layers --network=resnet --rounds=3

Each function runs alone, ours jitted; rounds are interleaved, figures are medians. PyTorch's is
the better of its two memory layouts. GFLOP/s count two operations for each multiplication. The
last column is what the layer costs a training step more than PyTorch's (weighted by how often it
comes).
"""

import argparse
import collections
import functools
from typing import Any, NamedTuple
from unittest import mock

from pix2pix_jax.runtime import host_memory, xla_flags

if __name__ == "__main__":  # as launch.py, before JAX computes
    host_memory.restart_with_settings()
    xla_flags.prepare()
    host_memory.prepare()
    host_memory.keep_freed()

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.train_step import measure
from configs import cyclegan, default
from pix2pix_jax.models import build, layers
from pix2pix_jax.models.convolution import form

TITLES = ("layer", "times", "pass", "ours, ms", "PyTorch, ms", "ours, GFLOP/s", "PyTorch, GFLOP/s")
TITLES += ("ratio", "lost, ms")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Layer(NamedTuple):
    """One convolution, or transposed convolution."""

    transposed: bool
    x: tuple[int, int, int, int]  # NHWC
    kernel: tuple[int, int, int, int]  # as `convolution` takes it
    stride: int
    padding: int
    output_padding: int

    def apply(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Our layer."""
        if self.transposed:
            extra = (self.stride, self.padding, self.output_padding)
            return form.convolve_transpose(x, w, *extra)
        return form.convolve(x, w, self.stride, self.padding)

    def apply_torch(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """PyTorch's."""
        if self.transposed:
            return F.conv_transpose2d(x, w, None, self.stride, self.padding, self.output_padding)
        return F.conv2d(x, w, None, self.stride, self.padding)

    def gflop(self) -> float:
        """Of one pass; both gradients take as many."""
        n, height, width, _ = self.x
        if not self.transposed:
            y = jax.eval_shape(self.apply, *map(_shape, (self.x, self.kernel)))
            height, width = y.shape[1:3]
        k, _, inputs, outputs = self.kernel
        return 2e-9 * n * height * width * k * k * inputs * outputs

    def __str__(self) -> str:
        k, _, inputs, outputs = self.kernel
        if self.transposed:
            inputs, outputs = outputs, inputs
        kind = "up" if self.transposed else "conv"
        return f"{kind} {k}x{k}/{self.stride} {inputs}->{outputs} at {self.x[1]}x{self.x[2]}"


def _shape(shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def layers_of(network: str, batch: int) -> collections.Counter:
    """Every convolution that a forward pass of the network calls, with how often."""
    config = cyclegan.base() if network == "resnet" else default.get_config()
    channels = 3
    if network == "patchgan":
        net, channels = build.discriminator(config.model), 6
    else:
        net = build.generator(config.model, 3)
    found = collections.Counter()

    def note(x, w, stride, padding):
        found[Layer(False, x.shape, w.shape, stride, padding, 0)] += 1
        return form.convolve(x, w, stride, padding)

    def note_transpose(x, w, stride, padding, output_padding=0):
        found[Layer(True, x.shape, w.shape, stride, padding, output_padding)] += 1
        return form.convolve_transpose(x, w, stride, padding, output_padding)

    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    x = _shape((batch, 256, 256, channels))
    variables = jax.eval_shape(net.init, keys, x)
    patches = {"convolve": note, "convolve_transpose": note_transpose}
    with mock.patch.multiple(layers, **patches):
        jax.eval_shape(
            lambda v, x: net.apply(v, x, rngs={"dropout": keys["dropout"]}, mutable=True),
            variables,
            x,
        )
    return found


def passes(layer: Layer) -> dict[str, dict[str, Any]]:
    """{pass: {who: function}}."""
    generator = np.random.default_rng(0)
    x, w = (generator.standard_normal(s).astype(np.float32) for s in (layer.x, layer.kernel))
    y = np.asarray(jax.jit(layer.apply)(x, w))
    ours = {
        "forward": (layer.apply, (x, w)),
        "weight gradient": (lambda x, w, y: jax.vjp(functools.partial(layer.apply, x), w)[1](y),
                            (x, w, y)),
        "input gradient": (lambda x, w, y: jax.vjp(lambda x: layer.apply(x, w), x)[1](y),
                           (x, w, y)),
    }  # fmt: skip
    table = {}
    for name, (function, arguments) in ours.items():
        jitted, arguments = jax.jit(function), jax.device_put(arguments)
        table[name] = {"ours": functools.partial(_run_ours, jitted, arguments)}
    for layout in (torch.contiguous_format, torch.channels_last):
        # Both kinds of kernel lie as [., ., K, K] there; ours is HWIO of the convolution.
        tensors = [
            torch.from_numpy(a.copy()).to(DEVICE, memory_format=layout)
            for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), y.transpose(0, 3, 1, 2))
        ]
        for name, functions in table.items():
            functions[str(layout)] = functools.partial(_run_torch, layer, name, *tensors)
    return table


def _run_ours(function, arguments):
    jax.block_until_ready(function(*arguments))


def _run_torch(layer, name, x, w, y):
    pads = [layer.padding] * 2
    with torch.no_grad():
        if name == "forward":
            layer.apply_torch(x, w)
        else:
            wanted = [name == "input gradient", name == "weight gradient", False]
            torch.ops.aten.convolution_backward(
                y, x, w, None, [layer.stride] * 2, pads, [1, 1], layer.transposed,
                [layer.output_padding] * 2, 1, wanted,
            )  # fmt: skip
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Prints a Markdown table, the costliest layers first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=["unet", "patchgan", "resnet"], default="unet")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for layer, times in layers_of(options.network, options.batch).items():
        for name, functions in passes(layer).items():
            found = measure(functions, dict.fromkeys(functions, 1), options.rounds, warmup=2)
            ours = found.pop("ours")
            best = min(found.values())
            gflop = layer.gflop()
            cells = [str(layer), str(times), name, f"{1e3 * ours:.1f}", f"{1e3 * best:.1f}"]
            cells += [f"{gflop / ours:.0f}", f"{gflop / best:.0f}", f"{ours / best:.2f}"]
            lost = times * (ours - best)
            rows.append((lost, [*cells, f"{1e3 * lost:.1f}"]))
    print(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}")
    for _, cells in sorted(rows, reverse=True):
        print(f"| {' | '.join(cells)} |")
    print(f"\nsum: {1e3 * sum(lost for lost, _ in rows):.0f} ms lost a pass over all")


if __name__ == "__main__":
    main()
