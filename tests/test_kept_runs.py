"""Runs of an earlier version, kept as that version wrote them in November 2026.

Two tiny runs of four steps, pix2pix and CycleGAN with full pools, and the metrics that their
evaluation gave then.
"""

import json
import pathlib
import shutil
import tarfile

import numpy as np
import pytest

from configs.default import get_config
from pix2pix_jax.evaluation.evaluate import evaluate
from pix2pix_jax.methods.registry import abstract_state
from pix2pix_jax.report import comparison
from pix2pix_jax.run.checkpoints import Checkpoints
from pix2pix_jax.run.config_file import read_config
from pix2pix_jax.train import train
from pix2pix_jax.translation.translate import translate

ARCHIVE = pathlib.Path(__file__).parent / "runs_2026_11.tar.gz"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_earlier_runs_have_a_row_in_the_table(kept, tmp_path):
    """Their configs lack fields that have come since; runs of one name go by their workdirs."""
    lines = (kept / "pix2pix" / "metrics.jsonl").read_text().splitlines()
    last = next(row for row in map(json.loads, reversed(lines)) if "val/l1" in row)
    shutil.copytree(kept / "pix2pix", tmp_path / "copy")
    workdirs = [str(kept / "pix2pix"), str(tmp_path / "copy"), str(kept / "cyclegan")]
    table = comparison.table(workdirs).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    assert [row[0] for row in rows] == [*workdirs[:2], "cyclegan"]
    assert rows[0][4] == rows[1][4] == f"{last['val/l1']:.4f}"


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_an_earlier_run_evaluates_resumes_and_translates(kept, name):
    workdir = kept / name
    config = get_config()
    config.update(read_config(workdir))
    expected = json.loads((workdir / "expected_metrics.json").read_text())
    found = evaluate(config, str(workdir))
    # Rounding to uint8 turns a last bit into a level of a pixel: 1e-4 of these small images.
    assert found == pytest.approx(expected, rel=5e-4)
    if name == "cyclegan":
        with Checkpoints(workdir, best_metric="cycle_l1") as saver:
            pools = saver.restore(abstract_state(config), 4).extra["pools"]
        assert {domain: int(pool.count) for domain, pool in pools.items()} == {"A": 2, "B": 2}
        assert all(np.ptp(pool.images) > 0.5 for pool in pools.values())  # translations, not zeros

    config.train.num_steps = 6
    train(config, str(workdir))
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 4, 6, 6]
    output = kept / f"{name}_translated"
    assert not translate(config, str(workdir), str(workdir / "eval" / "images"), str(output))
    assert len(list(output.iterdir())) >= 6
