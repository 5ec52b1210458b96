"""--mode=eval: metrics, pictures and a page of a split."""

import json
import re
from typing import Any

import numpy as np

from pix2pix_jax import weights
from pix2pix_jax.data import loading
from pix2pix_jax.evaluation.evaluator import Evaluator, Row
from pix2pix_jax.evaluation.summary import Summary
from pix2pix_jax.images.files import read_image, save_png
from pix2pix_jax.images.levels import to_picture
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.report import grids
from pix2pix_jax.report.html_page import html_page
from pix2pix_jax.runtime import storage
from pix2pix_jax.runtime.whole_file import whole_file
from pix2pix_jax.settings import config_checks


def evaluate(config: Any, workdir: str) -> dict[str, float]:
    """Evaluates a checkpoint (or `init_from`) on data.eval_split; writes workdir/eval/.

    metrics.json has the means and every image's values, index.html every image, grid.png some. On
    this machine images of the evaluation before go, unless this one has them too.
    `workdir` may be an address in object storage; then they appear there at the end.

    Returns:
        Mean metrics by name.

    Raises:
        ValueError, OSError: bad config, data or checkpoint; one sentence saying what to do.
    """
    config_checks.check(config)
    storage.check_writable(f"{workdir}/eval")
    data, kind = config.data, METHODS[config.method].data
    examples = loading.load_examples(data, config.seed, data.eval_split, train=False, kind=kind)
    variables, origin = weights.load_generators(config, workdir)
    evaluator = Evaluator(config, examples)
    summary = Summary(config, evaluator, examples)
    rows = []
    with storage.output_folder(f"{workdir}/eval") as folder:
        (folder / "images").mkdir(exist_ok=True)
        earlier = _images_of_earlier(folder)
        for row in evaluator.rows(variables, "evaluation"):
            summary.add(row)
            rows.append(_write_images(folder, row, data.shown_channels))
            if len(rows) == config.train.num_samples:
                print(storage.shown(f"the first images are in {folder / 'images'}"), flush=True)
        means = summary.means()
        facts = {
            "checkpoint": origin,
            "split": config.data.eval_split,
            "norm_mode": config.eval.norm_mode,
            "dropout": config.eval.dropout,
            "noise_samples": config.eval.noise_samples,
            "num_images": len(rows),
        }
        _write_report(config, folder, rows, means, facts)
        for path in earlier - {folder / image for row in rows for _, image in row["images"]}:
            path.unlink()
    line = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    line = line or "no metrics, for these images have no truth to compare with"
    print(f"{len(rows)} images of {config.data.eval_split}, {origin}: {line}", flush=True)
    files = [folder / name for name in ("index.html", "grid.png", "metrics.json")]
    print(storage.shown(f"see {', '.join(map(str, files))}"))
    return means


def _images_of_earlier(folder):
    """Images of the evaluation before, which would count as this one's: in FID of the folder, say.

    Those of a report that cannot be read stay.
    """
    try:
        rows = json.loads((folder / "metrics.json").read_bytes())["images"]
        names = {row["name"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    image = re.compile(r"(.+)_(input|output(_\d+)?|reconstructed|target)\.png")
    found = {name: image.fullmatch(name) for name in storage.files_below(folder / "images")}
    return {
        folder / "images" / name for name, match in found.items() if match and match[1] in names
    }


def _write_images(folder, row: Row, shown=()) -> dict[str, Any]:
    """Writes the images of a row as pictures; what the page takes of it."""
    paths = [(title, f"images/{row.name}_{title}.png") for title in row.columns]
    (folder / paths[0][1]).parent.mkdir(parents=True, exist_ok=True)
    for (_, path), image in zip(paths, row.columns.values(), strict=True):
        save_png(folder / path, to_picture(image, shown))
    size = row.columns["output"].shape[:2]
    return {"name": row.name, "images": paths, "size": size, "metrics": row.metrics}


def _write_report(config, folder, rows, means, facts):
    """metrics.json, index.html and grid.png."""
    images = [{"name": row["name"], **row["metrics"]} for row in rows]
    report = json.dumps({**facts, "mean": means, "images": images}, indent=2)
    with whole_file(folder / "metrics.json") as temporary:
        temporary.write_text(report + "\n")
    title = f"{config.name}: {config.data.eval_split}"
    html_page(folder / "index.html", title, rows, {**means, **facts}, str(config))
    count = min(config.train.num_samples, len(rows))
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int)]
    columns = [
        (label, [read_image(folder / row["images"][i][1], 3) for row in chosen])
        for i, (label, _) in enumerate(chosen[0]["images"])
    ]
    save_png(folder / "grid.png", grids.grid(columns))
