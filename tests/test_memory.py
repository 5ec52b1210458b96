"""What long runs hold: neither many sizes of images nor many validations add up."""

import gc
import tracemalloc

import jax
import numpy as np
import pytest

from pix2pix_jax import train
from pix2pix_jax.blending import poisson
from pix2pix_jax.methods import pix2pix
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import few_shapes
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translator import Translator
from tests.conftest import small_config


def programs():
    """Compiled programs that XLA holds."""
    gc.collect()
    return len(jax.devices()[0].client.live_executables())


@pytest.mark.parametrize("kept", [1, 3])
def test_programs_of_the_last_shapes_are_kept(kept):
    compiled = []

    @lambda function: few_shapes.jit(function, kept)
    def scale(x, by):
        compiled.append(x.shape)
        return {"scaled": x["image"] * by} if isinstance(x, dict) else x * by

    before = programs()
    for size in (*range(1, 20), 19, 19):
        np.testing.assert_array_equal(scale(np.ones(size, np.float32), by=3), 3)
    assert compiled == [(n,) for n in range(1, 20)]
    assert programs() - before <= kept
    assert scale(np.ones(19, np.float32), by=4)[0] == 4  # compiled in, so it is another program
    assert scale(np.ones(19, np.int8), by=4).dtype == np.int8
    assert len(compiled) == 21


def test_images_of_many_sizes_are_translated_with_few_programs(monkeypatch):
    """eval.fit=pad compiles for each size; the network is replaced by a cheap function."""
    cheap = lambda config, direction: lambda variables, images, keys: -images
    monkeypatch.setitem(METHODS, "pix2pix", pix2pix.METHOD._replace(make_generate=cheap))
    config = small_config(**{"eval.fit": "pad"})
    (direction,) = pix2pix.directions(config)
    translator = translate.TrainedTranslator(direction, Translator(config, direction), {})
    before = programs()
    for i in range(1, 15):
        image = np.full((32 * i, 32, 3), i, np.uint8)
        assert (translator(image) == 255 - i).all()
    # One more is for the arguments that are not images.
    assert programs() - before <= few_shapes.KEPT + 1


def test_images_of_many_sizes_are_blended_with_few_programs(monkeypatch):
    """The solver is replaced by one that compiles at once."""

    @few_shapes.jit
    def cheap(problem, mixed, tolerance):
        return problem.background.astype(np.float32) + 1, 0, 0

    assert poisson._solve_multigrid.cache_info().maxsize == few_shapes.KEPT
    assert poisson._solve_adam.cache_info().maxsize == few_shapes.KEPT
    monkeypatch.setattr(poisson, "_solve_multigrid", cheap)
    images, before = np.zeros((2, 1000, 64, 3), np.uint8), programs()
    for height in range(60, 1000, 64):
        mask = np.zeros((1000, 64), bool)
        mask[:height, 3:60] = True
        assert (poisson.blend(*images, mask).image[mask] == 1).all()
    assert programs() - before <= few_shapes.KEPT


def test_validations_and_checkpoints_do_not_add_up(tmp_path, monkeypatch):
    """What Python and JAX hold after 5 of them is what they hold after 10."""
    held = []
    report, save = train.Reporter.validation, train.checkpoints.Checkpoints.save

    def validation(self, step, metrics):
        report(self, step, metrics)
        if step == 6:
            tracemalloc.start()  # not from the start: it is slow
        if step in (10, 20):
            found = programs(), len(jax.live_arrays())
            # TensorStore's to_json leaks four short strings for each array that is saved.
            others = tracemalloc.Filter(False, "*tensorstore*")
            traces = tracemalloc.take_snapshot().filter_traces([others]).traces
            held.append((*found, sum(trace.size for trace in traces)))

    def save_and_wait(self, *args, **settings):
        save(self, *args, **settings)
        self.wait()

    monkeypatch.setattr(train.Reporter, "validation", validation)
    monkeypatch.setattr(train.checkpoints.Checkpoints, "save", save_and_wait)
    every = {f"train.{name}_every": 2 for name in ("log", "sample", "eval", "checkpoint")}
    try:
        train.train(small_config(**every, **{"train.num_steps": 20}), str(tmp_path))
    finally:
        tracemalloc.stop()
    (compiled, arrays, size), later = held
    assert later[0] <= compiled and later[1] <= arrays
    assert later[2] - size < 300_000  # bytes; keeping each checkpoint would be 5 times 1 MB
