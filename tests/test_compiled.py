"""What is counted in compiled programs, against counting by hand."""

import importlib.util
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.compiled import counting, hlo, measure, report, targets
from benchmarks.compiled.operations import flops
from pix2pix_jax.models.convolution.stock import DIMENSIONS

# As XLA prints a program for a GPU: three steps, each a convolution, sums in an inner loop that
# runs twice, an update of one row, a gradient that all devices share, and a change of layout.
STEPS = 3
PROGRAM = """
HloModule jit_run_steps, is_scheduled=true

FileNames
1 "/home/me/pix2pix_jax/dispatch.py"
2 "/site-packages/flax/linen/linear.py"

FunctionNames
1 "run_steps"

FileLocations
1 {file_name_id=1 function_name_id=1 line=41 end_line=41 column=1 end_column=9}
2 {file_name_id=2 function_name_id=1 line=7 end_line=7 column=1 end_column=9}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

%fused_sum (p: f32[8,8,4], i: s32[]) -> f32[4] {
  %p = f32[8,8,4]{2,1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = f32[] constant(0)
  %zero_index = s32[] constant(0)
  %row = f32[1,8,4]{2,1,0} dynamic-slice(%p, %i, %zero_index, %zero_index)
  ROOT %r = f32[4]{0} reduce(%row, %zero), dimensions={0,1}, to_apply=%sum
}

%fused_update (p: f32[20,4], q: f32[4], i: s32[]) -> f32[20,4] {
  %p = f32[20,4]{1,0} parameter(0)
  %q = f32[4]{0} parameter(1)
  %i = s32[] parameter(2)
  %b = f32[1,4]{1,0} bitcast(%q)
  %zero_index = s32[] constant(0)
  ROOT %u = f32[20,4]{1,0} dynamic-update-slice(%p, %b, %i, %zero_index)
}

%inner (t: (s32[], f32[8,8,4], f32[4])) -> (s32[], f32[8,8,4], f32[4]) {
  %t = (s32[], f32[8,8,4]{2,1,0}, f32[4]{0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %p = f32[8,8,4]{2,1,0} get-tuple-element(%t), index=1
  %s = f32[4]{0} fusion(%p, %i), kind=kInput, calls=%fused_sum
  ROOT %out = (s32[], f32[8,8,4]{2,1,0}, f32[4]{0}) tuple(%i, %p, %s)
}

%body (t: (s32[], f32[20,4])) -> (s32[], f32[20,4]) {
  %t = (s32[], /*index=1*/f32[20,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %rows = f32[20,4]{1,0} get-tuple-element(%t), index=1
  %x = f32[1,16,16,3]{3,2,1,0} constant({...})
  %w = f32[4,4,4,3]{3,2,1,0} constant({...})
  %conv = (f32[1,8,8,4]{3,2,1,0}, u8[0]{0}) custom-call(%x, %w), \
window={size=4x4 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward", \
metadata={op_name="jit(run_steps)/while/body/closed_call/down_1/conv(x)" stack_frame_id=2}
  %y = f32[1,8,8,4]{3,2,1,0} get-tuple-element(%conv), index=0
  %p = f32[8,8,4]{2,1,0} bitcast(%y)
  %four = f32[4]{0} constant({1, 2, 3, 4})
  %start = (s32[], f32[8,8,4]{2,1,0}, f32[4]{0}) tuple(%i, %p, %four)
  %loop = (s32[], f32[8,8,4]{2,1,0}, f32[4]{0}) while(%start), condition=%condition, body=%inner, \
backend_config={"known_trip_count":{"n":"2"}}
  %s = f32[4]{0} get-tuple-element(%loop), index=2
  %start.1 = f32[4]{0} all-reduce-start(%s), channel_id=1, replica_groups={{0,1}}, to_apply=%sum
  %done = f32[4]{0} all-reduce-done(%start.1)
  %new = f32[20,4]{1,0} fusion(%rows, %done, %i), kind=kLoop, calls=%fused_update
  %copy = f32[20,4]{0,1} copy(%new)
  ROOT %out = (s32[], f32[20,4]{1,0}) tuple(%i, %copy)
}

%condition (t: (s32[])) -> pred[] {
  ROOT %true = pred[] constant(true)
}

ENTRY %main (rows: f32[20,4]) -> f32[20,4] {
  %rows = f32[20,4]{1,0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[20,4]{1,0}) tuple(%zero, %rows)
  %while = (s32[], f32[20,4]{1,0}) while(%start), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"3"}}
  ROOT %out = f32[20,4]{1,0} get-tuple-element(%while), index=1
}
"""


def test_kernels_of_one_step_and_what_they_move():
    module = hlo.parse(PROGRAM)
    name, repeats = counting.one_step(module, STEPS)
    assert (name, repeats) == ("body", 1)
    found = list(counting.kernels(module, name))
    kinds = {kernel.kind: (kernel.times, kernel.nbytes) for kernel in found}
    assert len(found) == len(kinds)
    assert kinds == {
        counting.CONVOLUTION: (1, 4 * (16 * 16 * 3 + 4 * 4 * 4 * 3 + 8 * 8 * 4)),
        counting.REDUCTION: (2, 4 * (8 * 4 + 1 + 4)),  # of a slice
        counting.COLLECTIVE: (1, 4 * (4 + 4)),
        counting.FUSION: (1, 4 * (4 + 1 + 4)),  # one row is replaced in place
        counting.COPY: (1, 4 * 2 * 20 * 4),
    }
    assert counting.collectives(found) == {"all-reduce": (1, 16)}
    lines = report.listing(found, module).splitlines()
    assert lines[0].split() == ["convolution:", "1", "0.0", "MB"]
    assert lines[1].split()[3:] == ["down_#/conv(x)", "pix2pix_jax/dispatch.py:41", "f32[1,8,8,4]"]


def test_steps_in_a_loop_that_holds_several():
    module = hlo.parse(PROGRAM)
    assert counting.one_step(module, 6) == ("body", 2)
    assert counting.one_step(module, 1) == ("main", 1)
    with pytest.raises(ValueError, match="no loop of 7 steps"):
        counting.one_step(module, 7)


def operations_of(function, *arrays):
    module = hlo.parse(jax.jit(function).lower(*arrays).as_text(dialect="hlo"))
    return flops(module, module.entry)


@pytest.mark.parametrize(("stride", "padding"), [(2, 1), (1, 0), (1, 1), (2, 0)])
def test_operations_of_a_convolution_and_its_gradients(stride, padding):
    x, w = jnp.zeros((2, 10, 12, 3)), jnp.zeros((4, 4, 3, 8))
    conv = lambda x, w: jax.lax.conv_general_dilated(
        x, w, (stride, stride), ((padding, padding),) * 2, dimension_numbers=DIMENSIONS
    )
    pairs = 2 * 3 * 8  # images, channels in and out
    for size in (10, 12):
        outputs = range((size + 2 * padding - 4) // stride + 1)
        pairs *= sum(0 <= o * stride + k - padding < size for o in outputs for k in range(4))
    assert operations_of(conv, x, w) == 2 * pairs
    # Both gradients pair the same pixels and taps, though they are written as larger convolutions.
    gradient = jax.grad(lambda x, w: jnp.sum(conv(x, w) ** 2), (0, 1))
    assert operations_of(gradient, x, w) == 3 * 2 * pairs


def test_operations_of_products_in_a_loop():
    def repeated(a):
        return jax.lax.scan(lambda a, _: (jax.jit(jnp.matmul)(a, a), None), a, None, length=5)

    assert operations_of(repeated, jnp.zeros((16, 16))) == 5 * 2 * 16**3


def test_collectives_of_a_program_for_several_devices():
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    total = jax.jit(lambda x: x.sum(0), in_shardings=split, out_shardings=whole)
    module = hlo.parse(total.lower(jnp.zeros((8, 33))).compile().as_text())
    found = list(counting.kernels(module, module.entry))
    assert counting.collectives(found) == {"all-reduce": (1, 33 * 4)}


def row(batch, memory, **fields):
    case = {"target": "h200", "config": "pix2pix", "work": "step", "dtype": "bfloat16"}
    return case | {"batch": batch, "memory": memory} | fields


def test_floor_and_largest_batch():
    chip = targets.TARGETS["h200"]
    counts = {"kernels": {"copy": 2, "prefetch": 9}, "collectives": {"all-reduce": [1, 5 * 10**6]}}
    bound_by_memory = row(1, 2e9, operations=1, moved=int(chip.memory_rate / 1000), **counts)
    assert report.floor(bound_by_memory) == pytest.approx(1e-3)
    operations = int(chip.flops["bfloat16"] / 500)
    bound_by_operations = row(5, 4e9, operations=operations, moved=1, **counts)
    assert report.floor(bound_by_operations) == pytest.approx(2e-3)
    rows = [bound_by_memory, bound_by_operations, row(1, 2e9, dtype="float32")]
    fits = int(1 + (chip.memory - 2e9) / 5e8)
    assert report.largest_batch(rows[0], rows) == str(fits)
    lines = report.table(rows).splitlines()
    assert "| 2 | 0 | 0 | 0 | 2 | 0 | 5 |" in lines[2]
    assert "does not fit" in lines[4]


def test_rows_are_kept_in_a_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert measure.read(path) == {}
    for name in "ab":
        measure.append(path, row(1, 5, program=name))
    assert list(measure.read(path)) == ["a", "b"]


@pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="needs libtpu")
def test_a_program_for_four_tpus(monkeypatch):
    monkeypatch.setitem(os.environ, "TPU_SKIP_MDS_QUERY", "1")
    chips = targets.devices(targets.TARGETS["v5e-4"])
    mesh = Mesh(np.array(chips), ("data",))
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    loss = lambda w, x: jnp.sum(
        jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=DIMENSIONS) ** 2
    )
    gradient = jax.jit(jax.grad(loss), in_shardings=(whole, split), out_shardings=whole)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3, 3, 4, 8), (4, 16, 16, 4))]
    module = hlo.parse(gradient.lower(*shapes).compile().as_text())
    found = list(counting.kernels(module, module.entry))
    assert any(kernel.kind == counting.CONVOLUTION for kernel in found)
    assert counting.collectives(found) == {"all-reduce": (1, 3 * 3 * 4 * 8 * 4)}
