"""Laws of the synthetic facades."""

import numpy as np
import pytest

from pix2pix_jax.data.synthetic import PALETTE, SyntheticFacades


def test_facades_are_reproducible_and_distinct():
    one, two = (SyntheticFacades("train", 400, 32, 7) for _ in range(2))
    seen = set()
    for i in range(400):
        record = one[i]
        seen.add((record["A"].tobytes(), record["B"].tobytes()))
        if i % 50 == 0:
            again = two[i]
            assert all((record[d] == again[d]).all() for d in "AB")
    assert len(seen) == 400
    assert len({labels for _, labels in seen}) > 380


def test_splits_and_seeds_share_nothing():
    sets = [SyntheticFacades("train", 40, 32, 0), SyntheticFacades("val", 40, 32, 0)]
    sets.append(SyntheticFacades("train", 40, 32, 1))
    seen = [{s[i]["A"].tobytes() for i in range(40)} for s in sets]
    assert len(set.union(*seen)) == 120


@pytest.mark.parametrize("size", [32, 64, 100])
def test_labels_have_the_colours_of_the_palette(size):
    colours = {
        tuple(c)
        for i in range(20)
        for c in SyntheticFacades("train", 20, size)[i]["B"].reshape(-1, 3)
    }
    assert colours <= set(PALETTE.values())
    assert len(colours) >= 9


def test_the_photograph_follows_from_the_labels():
    """The mean colour of each label within an image explains most of the image's variance."""
    explained = []
    for i in range(30):
        record = SyntheticFacades("train", 30, 64)[i]
        photo = record["A"].reshape(-1, 3).astype(float)
        _, label = np.unique(record["B"].reshape(-1, 3), axis=0, return_inverse=True)
        means = np.stack([photo[label == k].mean(0) for k in range(label.max() + 1)])
        explained.append(
            1 - ((photo - means[label]) ** 2).sum() / ((photo - photo.mean(0)) ** 2).sum()
        )
    assert np.mean(explained) > 0.5


def test_limits():
    with pytest.raises(IndexError):
        SyntheticFacades("train", 3, 32)[3]
    with pytest.raises(ValueError, match="at least 32"):
        SyntheticFacades("train", 3, 16)
