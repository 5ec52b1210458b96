"""Validation during training, and --mode=eval: metrics, pictures and a page of a split."""

import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from pix2pix_jax import config_checks, data, metrics, visualize, weights
from pix2pix_jax.data.augment import to_float, to_uint8
from pix2pix_jax.html_page import html_page
from pix2pix_jax.methods import METHODS


def make_translator(config: Any) -> Callable[..., np.ndarray]:
    """The jitted translation of uint8 images, in batches of one shape.

    Returns:
        (variables, images uint8 [N, H, W, I], indices [N], sample) -> uint8 [N, H, W, O]. The
        noise of an image depends on the seed, its index and the sample's number alone, so the
        same images come out one by one as in batches of any size.
    """
    translate = METHODS[config.method].make_translate(config)
    seed = jax.random.key(config.seed)

    @jax.jit
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
def compare(output: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Every metric of uint8 images [N, H, W, C] against their targets: {name: [N]}."""
    return metrics.evaluate(to_float(output), to_float(target))


def evaluate_examples(
    config: Any, translator: Callable[..., np.ndarray], variables: Any, examples: data.Examples
) -> Iterator[dict[str, Any]]:
    """Translates every example, batch by batch, eval.noise_samples times.

    Yields:
        For each example its "name", "input", "target" (uint8 HWC), "outputs" (one a sample) and
        "metrics", their means over the samples.
    """
    size = config.eval.batch_size
    for first in range(0, len(examples), size):
        indices = np.arange(first, min(first + size, len(examples)))
        images, names = examples.eval_batch(indices)
        # Whole batches also at the end: the shape stays the same.
        fill = np.minimum(np.arange(size), len(indices) - 1)
        inputs, targets = images["input"][fill], images["target"][fill]
        outputs, scores = [], []
        for sample in range(config.eval.noise_samples):
            output = translator(variables, inputs, indices[fill], sample)
            outputs.append(output)
            scores.append(jax.device_get(compare(output, targets)))
        for i, name in enumerate(names):
            yield {
                "name": name,
                "input": inputs[i],
                "target": targets[i],
                "outputs": [output[i] for output in outputs],
                "metrics": {k: float(np.mean([s[k][i] for s in scores])) for k in scores[0]},
            }


def mean_metrics(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over images."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


class Validator:
    """Validates a state in training: metrics of the whole split, and a grid of fixed images."""

    def __init__(self, config: Any, examples: data.Examples, folder: pathlib.Path):
        self._config, self._examples, self._folder = config, examples, folder
        self._translator = make_translator(config)
        self._generators = METHODS[config.method].GENERATORS
        count = min(config.train.num_samples, len(examples))
        # Spread over the split, for neighbours are often alike.
        self._fixed = np.linspace(0, len(examples) - 1, count).astype(int)

    def metrics(self, state: Any) -> dict[str, float]:
        """Mean metrics over the split."""
        rows = evaluate_examples(
            self._config, self._translator, self._variables(state), self._examples
        )
        return mean_metrics([row["metrics"] for row in rows])

    def samples(self, state: Any, step: int) -> np.ndarray:
        """Writes samples/step_<step>.png (input | output | target) and returns it."""
        images, _ = self._examples.eval_batch(self._fixed)
        outputs = self._translator(self._variables(state), images["input"], self._fixed)
        columns = [("input", images["input"]), ("output", outputs), ("target", images["target"])]
        grid = visualize.grid(columns)
        self._folder.mkdir(exist_ok=True)
        visualize.save_png(self._folder / f"step_{step:07}.png", grid)
        return grid

    def _variables(self, state):
        return {name: state.networks[name].variables for name in self._generators}


def evaluate(config: Any, workdir: str) -> dict[str, float]:
    """Evaluates a checkpoint (or `init_from`) on data.eval_split; writes workdir/eval/.

    metrics.json has the means and every image's values, index.html every image, grid.png some.

    Returns:
        Mean metrics by name.

    Raises:
        ValueError, OSError: bad config, data or checkpoint; one sentence saying what to mend.
    """
    config_checks.check(config, 1)
    examples = data.load(config, config.data.eval_split, train=False)
    variables, origin = weights.load_generators(config, workdir)
    folder = pathlib.Path(workdir) / "eval"
    (folder / "images").mkdir(parents=True, exist_ok=True)

    rows, pages = [], []
    for example in evaluate_examples(config, make_translator(config), variables, examples):
        labelled = [("input", example["input"])]
        for i, output in enumerate(example["outputs"]):
            labelled.append((f"output_{i + 1}" if i else "output", output))
        labelled.append(("target", example["target"]))
        stem = example["name"].replace("/", "_")
        paths = [(label, f"images/{stem}_{label}.png") for label, _ in labelled]
        for (_, path), (_, image) in zip(paths, labelled, strict=True):
            visualize.save_png(folder / path, image)
        rows.append({"name": example["name"], **example["metrics"]})
        pages.append({"name": example["name"], "images": paths, "metrics": example["metrics"]})
        if len(rows) == config.train.num_samples:
            print(f"first of {len(examples)} images written to {folder / 'images'}", flush=True)

    means = mean_metrics([page["metrics"] for page in pages])
    summary = {
        "checkpoint": origin,
        "split": config.data.eval_split,
        "norm_mode": config.eval.norm_mode,
        "dropout": config.eval.dropout,
        "noise_samples": config.eval.noise_samples,
        "num_images": len(rows),
    }
    report = json.dumps({**summary, "mean": means, "images": rows}, indent=2)
    (folder / "metrics.json").write_text(report + "\n")
    title = f"{config.name}: {config.data.eval_split}"
    html_page(folder / "index.html", title, pages, {**means, **summary}, str(config))
    _write_grid(folder, pages[: config.train.num_samples])
    line = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    print(f"{len(rows)} images of {config.data.eval_split}, {origin}: {line}", flush=True)
    print(
        f"see {folder / 'index.html'}, {folder / 'grid.png'}, {folder / 'metrics.json'}", flush=True
    )
    return means


def _write_grid(folder, pages):
    """eval/grid.png: the first images side by side, read back from what was written."""
    labels = [label for label, _ in pages[0]["images"]]
    columns = [
        (label, [visualize.read_image(folder / page["images"][i][1]) for page in pages])
        for i, label in enumerate(labels)
    ]
    visualize.save_png(folder / "grid.png", visualize.grid(columns))
