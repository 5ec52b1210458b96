"""Validation during training, and --mode=eval: metrics, pictures and a page of a split."""

import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from pix2pix_jax import config_checks, weights
from pix2pix_jax.data import loading
from pix2pix_jax.images import files
from pix2pix_jax.images.levels import to_float, to_uint8
from pix2pix_jax.methods.contract import Translation
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import per_image
from pix2pix_jax.report import grids
from pix2pix_jax.report.html_page import html_page
from pix2pix_jax.runtime import few_shapes, processes

Translator = Callable[..., np.ndarray]


def make_translator(config: Any, out_channels: int) -> Translator:
    """The jitted translation of uint8 images, in batches of one shape.

    Returns:
        (variables, images uint8 [N, H, W, C], indices [N], sample) -> uint8 [N, H, W, O]. The
        noise of an image depends on the seed, its index and the sample's number alone, so the
        same images come out one by one as in batches of any size.
    """
    translate = METHODS[config.method].make_translate(config, out_channels)
    seed = jax.random.key(config.seed)

    @few_shapes.jit
    def run(variables, images, indices, sample):
        key = jax.random.fold_in(seed, sample)
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(indices)
        return to_uint8(translate(variables, to_float(images), keys))

    def translator(variables, images, indices, sample=0):
        outputs = []
        size = min(config.eval.batch_size, len(images))
        for first in range(0, len(images), size):
            # The last batch is filled up with repeats: one shape, one compilation.
            rows = np.minimum(np.arange(first, first + size), len(images) - 1)
            batch = run(variables, images[rows], np.asarray(indices)[rows], sample)
            outputs.append(np.asarray(batch)[: len(images) - first])
        return np.concatenate(outputs)

    return translator


@jax.jit
def compare(
    output: jax.Array, target: jax.Array, hole: jax.Array | None = None
) -> dict[str, jax.Array]:
    """Every metric of uint8 images [N, H, W, C] against their targets: {name: [N]}.

    With `hole`, [N, H, W, 1] and 255 in the hole, also those of the hole.
    """
    output, target = to_float(output), to_float(target)
    found = per_image.evaluate(output, target)
    if hole is not None:
        found |= per_image.in_hole(output, target, (hole > 127).astype(output.dtype))
    return found


class Evaluator:
    """Translates examples in every direction of a method, and measures the results."""

    def __init__(self, config: Any, examples: Any):
        self._config, self._examples = config, examples
        self.translations: list[Translation] = METHODS[config.method].translations(config)
        used = [t for t in self.translations for t in (t, t.inverse) if t]
        self._translators = {t.out_channels: make_translator(config, t.out_channels) for t in used}

    def count(self, translation: Translation) -> int:
        """Images that can be translated in this direction."""
        return len(self._examples.domain(translation.source))

    def translate(
        self, variables: dict[str, Any], translation: Translation, indices: np.ndarray
    ) -> tuple[list[str], list[tuple[str, np.ndarray]], dict[str, np.ndarray]]:
        """Translates some examples, eval.noise_samples times.

        Returns:
            their names; columns (label, uint8 [N, H, W, C]): input, output, output_2, ..., target
            where there is one, reconstruction where the method has an inverse; and the metrics
            {name: [N]}, means over the samples.
        """
        images, names = self._examples.domain(translation.source).eval_batch(indices)
        source = images[translation.source]
        columns, scores = [("input", translation.show_input(source))], []
        target = None
        if self._examples.paired:
            if translation.target not in images:
                images, _ = self._examples.domain(translation.target).eval_batch(indices)
            target = images[translation.target]
        hole = source[..., -1:] if METHODS[self._config.method].DATA == "masked" else None
        for sample in range(self._config.eval.noise_samples):
            output = self._run(variables, translation, source, indices, sample)
            columns.append((f"output_{sample + 1}" if sample else "output", output))
            score = {} if target is None else dict(self._compare(output, target, hole))
            if translation.inverse:
                back = self._run(variables, translation.inverse, output, indices, sample)
                score["cycle_l1"] = self._compare(back, source)["l1"]
                if not sample:
                    columns.append(("reconstructed", back))
            scores.append(score)
        if target is not None:
            columns.append(("target", target))
        means = {name: np.mean([score[name] for score in scores], axis=0) for name in scores[0]}
        return names, columns, means

    def _run(self, variables, translation, images, indices, sample):
        translator = self._translators[translation.out_channels]
        return translator(variables[translation.generator], images, indices, sample)

    def _compare(self, output, target, hole=None):
        """`compare` in batches of one shape."""
        size, n = self._config.eval.batch_size, len(output)
        rows = np.minimum(np.arange(-(-n // size) * size), n - 1)
        images = (output, target) if hole is None else (output, target, hole)
        found = [
            jax.device_get(compare(*(x[rows[i : i + size]] for x in images)))
            for i in range(0, len(rows), size)
        ]
        return {name: np.concatenate([f[name] for f in found])[:n] for name in found[0]}

    def rows(self, variables: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Every image in every direction: {"name", "columns": [(label, image)], "metrics"}."""
        size = self._config.eval.batch_size
        for translation in self.translations:
            prefix = f"{translation.name}_" if translation.name else ""
            count = self.count(translation)
            for first in range(0, count, size):
                indices = np.arange(first, min(first + size, count))
                # Filled up with repeats at the end: the shapes stay the same.
                fill = np.minimum(np.arange(first, first + size), count - 1)
                names, columns, scores = self.translate(variables, translation, fill)
                for i in range(len(indices)):
                    yield {
                        "name": prefix + names[i],
                        "direction": translation.name,
                        "columns": [(label, images[i]) for label, images in columns],
                        "metrics": {name: float(values[i]) for name, values in scores.items()},
                    }


def mean_metrics(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over all images, and where there are two directions over those of each."""
    directions = sorted({row["direction"] for row in rows})
    groups = {"": rows}
    if len(directions) > 1:
        groups |= {f"{d}_": [row for row in rows if row["direction"] == d] for d in directions}
    return {
        f"{prefix}{name}": float(np.mean([row["metrics"][name] for row in group]))
        for prefix, group in groups.items()
        for name in group[0]["metrics"]
    }


class Validator:
    """Validates a state in training: metrics of the whole split, and grids of fixed images."""

    def __init__(self, config: Any, examples: Any, folder: pathlib.Path):
        self._evaluator = Evaluator(config, examples)
        self._count, self._folder = config.train.num_samples, folder

    def metrics(self, state: Any) -> dict[str, float]:
        """Mean metrics over the split."""
        rows = [
            {"direction": row["direction"], "metrics": row["metrics"]}
            for row in self._evaluator.rows(self._variables(state))
        ]
        return mean_metrics(rows)

    def samples(self, state: Any, step: int) -> dict[str, np.ndarray]:
        """Writes samples/step_<step>.png, or one for each direction, and returns them by name."""
        pictures = {}
        self._folder.mkdir(exist_ok=True)
        for translation in self._evaluator.translations:
            count = self._evaluator.count(translation)
            # Spread over the split, for neighbours are often alike.
            fixed = np.linspace(0, count - 1, min(self._count, count)).astype(int)
            _, columns, _ = self._evaluator.translate(self._variables(state), translation, fixed)
            suffix = f"_{translation.name}" if translation.name else ""
            grid = pictures[f"samples{suffix}"] = grids.grid(columns)
            files.save_png(self._folder / f"step_{step:07}{suffix}.png", grid)
        return pictures

    def _variables(self, state):
        networks = state.networks.items()
        return processes.local({name: network.variables for name, network in networks})


def evaluate(config: Any, workdir: str) -> dict[str, float]:
    """Evaluates a checkpoint (or `init_from`) on data.eval_split; writes workdir/eval/.

    metrics.json has the means and every image's values, index.html every image, grid.png some.

    Returns:
        Mean metrics by name.

    Raises:
        ValueError, OSError: bad config, data or checkpoint; one sentence saying what to mend.
    """
    config_checks.check(config, 1)
    kind = METHODS[config.method].DATA
    examples = loading.load_examples(config, config.data.eval_split, train=False, kind=kind)
    variables, origin = weights.load_generators(config, workdir)
    folder = pathlib.Path(workdir) / "eval"
    (folder / "images").mkdir(parents=True, exist_ok=True)

    rows = []
    for row in Evaluator(config, examples).rows(variables):
        stem = row["name"].replace("/", "_")
        row["images"] = [(label, f"images/{stem}_{label}.png") for label, _ in row["columns"]]
        for (_, path), (_, image) in zip(row["images"], row.pop("columns"), strict=True):
            files.save_png(folder / path, image)
        rows.append(row)
        if len(rows) == config.train.num_samples:
            print(f"the first images are in {folder / 'images'}", flush=True)

    means = mean_metrics(rows)
    summary = {
        "checkpoint": origin,
        "split": config.data.eval_split,
        "norm_mode": config.eval.norm_mode,
        "dropout": config.eval.dropout,
        "noise_samples": config.eval.noise_samples,
        "num_images": len(rows),
    }
    images = [{"name": row["name"], **row["metrics"]} for row in rows]
    report = json.dumps({**summary, "mean": means, "images": images}, indent=2)
    (folder / "metrics.json").write_text(report + "\n")
    title = f"{config.name}: {config.data.eval_split}"
    html_page(folder / "index.html", title, rows, {**means, **summary}, str(config))
    _write_grid(folder, rows, config.train.num_samples)
    line = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    print(f"{len(rows)} images of {config.data.eval_split}, {origin}: {line}", flush=True)
    print(f"see {folder / 'index.html'}, {folder / 'grid.png'}, {folder / 'metrics.json'}")
    return means


def _write_grid(folder, rows, count):
    """eval/grid.png: some images side by side, read back from what was written."""
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    columns = [
        (label, [files.read_image(folder / row["images"][i][1], 3) for row in chosen])
        for i, (label, _) in enumerate(chosen[0]["images"])
    ]
    files.save_png(folder / "grid.png", grids.grid(columns))
