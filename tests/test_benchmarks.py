"""What the benchmarks count, against counting by hand; and the table that they fill."""

import sys

import pytest
import torch

from benchmarks import floor, plot
from benchmarks import input as input_benchmark


def test_operations_of_a_convolution_and_its_gradients():
    layer = torch.nn.Conv2d(3, 8, 4, stride=2, padding=1)
    x = torch.zeros(2, 3, 32, 32, requires_grad=True)
    products = 2 * 16 * 16 * 8 * 3 * 4 * 4  # images, output pixels, channels, taps
    assert floor.flops(lambda: layer(x)) == 2 * products
    assert floor.flops(lambda: layer(x).sum().backward()) == 3 * 2 * products


def test_ratios_of_the_table_are_those_of_its_times():
    text = (plot.ROOT / "benchmarks" / "README.md").read_text()
    rows = plot.ROW.findall(text)
    assert len(rows) == len(plot.rows()) >= 5
    for _, _, ours, *layouts, ratio, _, _, _ in rows:
        expected = float(ours) / min(map(float, layouts))
        assert float(ratio) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("images, batch", [(4, 8), (100, 64)])
def test_both_sides_of_the_input_read_the_same_pairs(images, batch, tmp_path, monkeypatch, capsys):
    """Ours would leave out the pairs of the last batch, and they would count as read."""
    flags = [f"--folder={tmp_path}", f"--images={images}", f"--batch={batch}"]
    monkeypatch.setattr(sys, "argv", ["input", *flags])
    with pytest.raises(SystemExit):
        input_benchmark.main()
    assert "--images is no multiple of --batch" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
