"""The notebook runs from its first cell to its last, with few steps."""

import base64
import io
import pathlib

import numpy as np
import pytest
from PIL import Image

import pix2pix_jax
from pix2pix_jax.data.synthetic import SyntheticFacades

NOTEBOOK = pathlib.Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"


def pictures(notebook):
    """What its cells show, as uint8 [H, W, 3]."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                with Image.open(io.BytesIO(base64.b64decode(png))) as image:
                    yield np.asarray(image.convert("RGB"))


def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = map(pytest.importorskip, ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("NOTEBOOK_STEPS", "2")
    monkeypatch.setenv("NOTEBOOK_WORKDIR", str(tmp_path / "run"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = nbclient.NotebookClient(notebook, kernel_name="python3", resources=place)
    client.startup_timeout = 300  # of a busy machine
    client.execute()
    pairs, samples, house, drawn = pictures(notebook)
    for shown in (pairs, house, drawn):
        assert shown.shape[0] == 3 * 64
    expected = SyntheticFacades("test", 1, 64)[0]
    label, photo, target = np.split(house[1::3, 1::3], 3, axis=1)
    np.testing.assert_array_equal(label, expected["B"])
    np.testing.assert_array_equal(target, expected["A"])
    np.testing.assert_array_equal(photo, pix2pix_jax.load(tmp_path / "run")(expected["B"]))
    stored = Image.open(tmp_path / "run/samples/step_0000002.png")
    np.testing.assert_array_equal(samples[::2, ::2], np.asarray(stored))
    assert NOTEBOOK.stat().st_size < 300_000  # as it is committed, with its pictures
