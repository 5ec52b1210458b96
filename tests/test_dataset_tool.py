"""python -m pix2pix_jax.dataset: what it finds, pairs, prepares and shows."""

import os

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage
from skimage import feature

from pix2pix_jax.data import folders
from pix2pix_jax.dataset import alignment, check, pair, prepare
from pix2pix_jax.dataset.__main__ import main
from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, SINGLE, TWO_FILES, find_parts


def photo(seed, height=96, width=96):
    """Boxes of many colours: uint8 [height, width, 3] with edges in all directions."""
    generator = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.uint8)
    for _ in range(40):
        y, x, h, w = generator.integers(0, (height, width, height // 3, width // 3))
        image[y : y + h + 3, x : x + w + 3] = generator.integers(0, 256, 3)
    return image


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def inverted(image, y=0, x=0):
    """What is to be recognised in spite of other colours: the negative, `y` and `x` further on."""
    return np.roll(255 - image, (y, x), (0, 1))


def test_check_counts_and_names_what_is_wrong(tmp_path, capsys):
    for i in range(6):
        a = photo(i)
        save(tmp_path / f"train/A/{i}.png", a)
        save(tmp_path / f"train/B/{i}.png", inverted(a, 7, -4) if i == 2 else inverted(a))
    save(tmp_path / "train/B/1.png", photo(1))  # alike
    save(tmp_path / "train/A/5.png", np.zeros((8, 8, 3), np.uint8))  # another size
    save(tmp_path / "train/A/7.png", photo(7))  # no partner
    (tmp_path / "train/A/4.png").write_bytes((tmp_path / "train/A/4.png").read_bytes()[:500])
    for domain in "AB":  # a pair of the training set, in another format
        image = np.asarray(Image.open(tmp_path / f"train/{domain}/3.png"))
        save(tmp_path / f"val/{domain}/x.bmp", image)
    gray = ImageOps.grayscale(Image.fromarray(photo(9)))
    gray.save(tmp_path / "val/A/y.png")
    save(tmp_path / "val/B/y.png", inverted(photo(9)))

    report = check.check(tmp_path)
    assert [row[:5] for row in report.rows] == [
        ["train", TWO_FILES, "6", "8x8 to 96x96", "RGB"],
        ["val", TWO_FILES, "2", "96x96", "RGB, gray and RGB"],
    ]
    assert [row[5:] for row in report.rows] == [list("111011"), list("000100")]
    named = {column: " ".join(lines) for column, lines in report.findings.items()}
    for column, file in {
        "damaged": "train/A/4.png cannot be read",
        "no partner": "train/A/7.png",
        "other size": "5.png: 8x8 and 96x96",
        "duplicates": "x.bmp has the pixels of",
        "alike": "train/A/1.png",
        "shifted": "2.png: B lies 7 pixels lower and 4 pixels further left than A",
    }.items():
        assert file in named[column]
    with pytest.raises(SystemExit, match="training refuses"):
        main(["check", str(tmp_path)])
    table = capsys.readouterr().out
    assert table.startswith("part") and "\ndamaged: " in table


def test_check_speaks_of_pairs_where_two_sets_would_do(tmp_path):
    """CycleGAN takes two sets with some names in common, which training on pairs refuses."""
    for i in range(3):
        save(tmp_path / f"A/{i}.png", photo(i))
        save(tmp_path / f"B/{i + 1}.png", photo(i + 10))
    with pytest.raises(SystemExit, match="error: training on pairs refuses"):
        main(["check", str(tmp_path)])
    with pytest.raises(ValueError, match="has no partner"):
        folders.paired_folder(tmp_path, "train", ("train", "val"))
    sets, correspond = folders.two_sets(tmp_path, "train", ("train", "val"))
    assert not correspond and [len(sets[domain]) for domain in "AB"] == [2, 2]


def test_shifts_are_found_whatever_the_colours_and_small_ones_are_let_be():
    """Against the shift that was made, in pixels of images of several sizes."""
    for seed, (height, width, y, x) in enumerate(
        [(96, 96, 5, 3), (256, 128, -20, 9), (120, 400, 0, -30), (64, 64, 0, 0), (256, 256, 1, -1)]
    ):
        a = photo(seed, height, width)
        found = alignment.shift_of(alignment.surface(a, inverted(a, y, x)), height, width)
        if max(abs(y), abs(x)) < 2:
            assert found is None
        else:
            np.testing.assert_allclose(found, (y, x), atol=1)
    others = alignment.surface(photo(20), photo(21))
    assert alignment.shift_of(others, 96, 96) is None
    flat = np.zeros((32, 32, 1), np.uint8)
    assert alignment.shift_of(alignment.surface(flat, flat), 32, 32) is None


def test_edges_are_cannys():
    """At least 19 of 20 edge pixels lie within one of scikit-image's, and the reverse."""
    image = np.asarray(Image.fromarray(photo(3)).resize((128, 128), Image.Resampling.BICUBIC))
    ours = pair.edges(image)[..., 0] == 0
    gray = np.asarray(Image.fromarray(image).convert("L"), float)
    thresholds = 8 * pair.WEAK, 8 * pair.STRONG  # its Sobel filter is not divided by 8
    theirs = feature.canny(gray, pair.SIGMA, *thresholds, mode="nearest")
    near = lambda mask: ndimage.binary_dilation(mask, np.ones((3, 3)))
    assert 0.02 < theirs.mean() < 0.3
    assert ours[near(theirs)].sum() >= 0.95 * ours.sum()
    assert theirs[near(ours)].sum() >= 0.95 * theirs.sum()


@pytest.mark.parametrize("rule", [*pair.RULES, None])
def test_pairs_of_a_rule_or_of_two_folders(tmp_path, rule):
    for i in range(2):
        save(tmp_path / f"photos/{i}.png", photo(i))
        save(tmp_path / f"sketches/{i}.bmp", 255 - photo(i))
    source = ["pair", str(tmp_path / "photos")]
    source += [f"--rule={rule}"] if rule else [str(tmp_path / "sketches")]
    main([*source, f"--output={tmp_path}/out"])
    for i in range(2):
        a, b = np.split(np.asarray(Image.open(tmp_path / f"out/{i}.png")), 2, axis=1)
        if rule is None:
            a, b = b, a
            np.testing.assert_array_equal(a, 255 - photo(i))
        elif rule == "grayscale":
            gray = ImageOps.grayscale(Image.fromarray(photo(i)))
            np.testing.assert_array_equal(a[..., 1], np.asarray(gray))
        elif rule == "coarse":
            assert (a[:8, 8:16] == a[0, 8]).all() and len(np.unique(a.reshape(-1, 3), axis=0)) > 9
        np.testing.assert_array_equal(b, photo(i))
    with pytest.raises(SystemExit, match="out is there already"):
        main([*source, f"--output={tmp_path}/out"])


def test_prepared_pairs_are_trained_on(tmp_path):
    """Crops keep the middle of what PIL scales; shares are exact, and drawn from the seed."""
    for i in range(20):
        save(tmp_path / f"raw/{i}.png", np.concatenate([photo(i, 48, 60), photo(i + 1, 48, 60)], 1))
    command = ["prepare", f"{tmp_path}/raw", "--size=32", "--val=0.2", "--test=0.1"]
    for seed in (0, 1):
        main([*command, f"--output={tmp_path}/{seed}", f"--seed={seed}"])
    splits = {}
    for split, count in {"train": 14, "val": 4, "test": 2}.items():
        source = folders.paired_folder(tmp_path / "0", split, ("train", "val"))
        splits[split] = {source[i]["name"]: source[i] for i in range(count)}
        assert len(source) == count
    together = splits["train"] | splits["val"] | splits["test"]
    assert len(together) == 20
    for name, record in together.items():
        for domain, number in (("A", int(name)), ("B", int(name) + 1)):
            scaled = Image.fromarray(photo(number, 48, 60)).resize((40, 32), Image.BICUBIC)
            np.testing.assert_array_equal(record[domain], np.asarray(scaled)[:, 4:36])
    other = {path.stem for path in (tmp_path / "1" / "val").iterdir()}
    assert other != splits["val"].keys()
    with pytest.raises(SystemExit, match="has val already: leave out --val"):
        main(["prepare", f"{tmp_path}/0", "--val=0.1", f"--output={tmp_path}/2"])
    with pytest.raises(SystemExit, match="nothing is left to train on"):
        main(["prepare", f"{tmp_path}/raw", "--val=0.5", "--test=0.5", f"--output={tmp_path}/2"])


def test_prepared_sets_stay_apart_and_few_images_move(tmp_path):
    for domain, first, count in (("A", 0, 6), ("B", 100, 9)):
        for i in range(first, first + count):
            save(tmp_path / f"raw/{domain}/{i}.png", photo(i, 16, 16))
    written = prepare.prepare(tmp_path / "raw", tmp_path / "out", shares={"test": 0.34})
    assert written == {"trainA": 4, "testA": 2, "trainB": 6, "testB": 3}
    found, _ = folders.two_sets(tmp_path / "out", "train", ("train", "test"))
    assert [len(found[d]) for d in "AB"] == [4, 6]

    items = [(f"{i}", SINGLE) for i in range(101)]
    named = [(prepare.Item(name, ()), form) for name, form in items]
    before = {item.name for item, _ in prepare.draw(named[:-1], {"val": 0.2}, 0)["val"]}
    after = {item.name for item, _ in prepare.draw(named, {"val": 0.2}, 0)["val"]}
    assert len(before) == len(after) == 20 and len(before & after) >= 19


def test_forms_are_told_apart(tmp_path):
    save(tmp_path / "wide/1.png", photo(0, 16, 32))
    save(tmp_path / "photos/1.png", photo(0, 16, 28))
    save(tmp_path / "sets/trainA/1.png", photo(0, 16, 32))
    save(tmp_path / "sets/trainB/2.png", photo(0, 16, 16))
    forms = {
        name: [(part.name, part.form) for part in find_parts(tmp_path / name)]
        for name in ("wide", "photos", "sets")
    }
    assert forms == {
        "wide": [("", SIDE_BY_SIDE)],
        "photos": [("", SINGLE)],
        "sets": [("trainA", SINGLE), ("trainB", SINGLE)],
    }
    assert find_parts(tmp_path / "photos", SIDE_BY_SIDE)[0].form == SIDE_BY_SIDE
    with pytest.raises(SystemExit, match="no folder .*nowhere; .* has photos, sets, wide"):
        main(["check", f"{tmp_path}/nowhere"])


def test_a_sheet_has_every_image(tmp_path, capsys):
    for i in range(5):
        save(tmp_path / f"data/{i}.png", np.full((20, 40, 3), 40 * i, np.uint8))
    main(["sheet", f"{tmp_path}/data", f"--output={tmp_path}/sheet.png", "--side=20"])
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    for i in range(5):
        assert (page == 40 * i).all(axis=-1).sum() >= 20 * 40
    assert "5 of the images" in capsys.readouterr().out


def test_a_very_tall_image_does_not_make_the_sheet_so(tmp_path):
    save(tmp_path / "data/1.png", np.zeros((3000, 2, 3), np.uint8))
    save(tmp_path / "data/2.png", np.zeros((20, 20, 3), np.uint8))
    main(["sheet", f"{tmp_path}/data", f"--output={tmp_path}/sheet.png", "--side=20"])
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.height < 2 * 4 * 20 + 100


def test_letters_of_names_are_told_apart_on_a_sheet(tmp_path):
    """A font without them draws the same box for each."""
    names = "äüßéłжλ"
    for name in names:
        save(tmp_path / f"data/{name}.png", np.full((20, 20, 3), 255, np.uint8))
    main(["sheet", f"{tmp_path}/data", f"--output={tmp_path}/sheet.png", "--side=20"])
    page = Image.open(tmp_path / "sheet.png").convert("L")
    cell, columns = (20 + 6, 20 + 13 + 6), (page.width - 6) // (20 + 6)
    drawn = set()
    for i in range(len(names)):
        left, top = 6 + i % columns * cell[0], 6 + i // columns * cell[1]
        drawn.add(page.crop((left, top, left + 20, top + 13)).tobytes())
    assert len(drawn) == len(names)


@pytest.mark.parametrize("name", ["sheet.jpg", "data", "data/1.png", ""])
def test_a_sheet_is_a_file_of_its_own(tmp_path, name):
    path = save(tmp_path / "data/1.png", np.full((8, 8, 3), 7, np.uint8))
    with pytest.raises(SystemExit, match=r"error: .*(give FILE\.png|give another file)"):
        main(["sheet", f"{tmp_path}/data", f"--output={name and tmp_path / name}"])
    assert (np.asarray(Image.open(path)) == 7).all()


def test_folders_for_splits_come_before_images_beside_them(tmp_path):
    """As in training: validation images would become training images."""
    save(tmp_path / "preview.png", photo(0, 16, 32))
    for split, number in (("train", 1), ("val", 2)):
        save(tmp_path / f"{split}/{number}.png", photo(number, 16, 32))
    assert [part.name for part in find_parts(tmp_path)] == ["train", "val"]
    assert len(folders.paired_folder(tmp_path, "train", ("train", "val"))) == 1


def test_folders_that_links_lead_to_are_looked_into_and_hidden_ones_are_not(tmp_path):
    for domain in "AB":
        save(tmp_path / f"disk/{domain}/1.png", photo(1, 16, 16))
    save(tmp_path / "data/.ipynb_checkpoints/1-checkpoint.png", photo(2, 16, 16))
    (tmp_path / "data/train").mkdir()
    for domain in "AB":
        (tmp_path / f"data/train/{domain}").symlink_to(tmp_path / f"disk/{domain}")
    (part,) = find_parts(tmp_path / "data")
    assert (part.name, part.form, len(part.items)) == ("train", TWO_FILES, 1)


def test_an_image_of_one_column_is_no_pair(tmp_path):
    save(tmp_path / "data/1.png", photo(1, 16, 32))
    narrow = save(tmp_path / "data/2.png", np.zeros((16, 1, 3), np.uint8))
    report = check.check(tmp_path / "data", SIDE_BY_SIDE)
    assert report.refused and str(narrow) in report.findings["damaged"][0]
    with pytest.raises(SystemExit, match=r"2\.png is one pixel wide"):
        main(["prepare", f"{tmp_path}/data", "--form=pairs", "--size=8", f"--output={tmp_path}/o"])


@pytest.mark.parametrize("file_format", ["png", "array_record"])
def test_a_damaged_image_leaves_no_half_of_a_folder(tmp_path, file_format):
    """So the same command can be given again."""
    for i in range(6):
        save(tmp_path / f"data/{i}.png", photo(i, 16, 32))
    broken = tmp_path / "data/5.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    run = lambda: prepare.prepare(
        tmp_path / "data", tmp_path / "out", form=SIDE_BY_SIDE, file_format=file_format
    )
    with pytest.raises(ValueError, match=r"5\.png"):
        run()
    assert not (tmp_path / "out").exists()
    broken.write_bytes(whole)
    assert run() == {"train": 6}


def test_every_image_is_written_whatever_their_names(tmp_path):
    """Endings that are left out, and bytes that are no UTF-8."""
    names = ["a.png", "a.bmp", "a.png.png", os.fsdecode(b"\xff.png")]
    for i, name in enumerate(names):
        save(tmp_path / "data" / name, np.full((8, 16, 3), 50 * i, np.uint8))
    written = prepare.prepare(tmp_path / "data", tmp_path / "out", shares={"val": 0.25})
    paths = list((tmp_path / "out").rglob("*.png"))
    assert sum(written.values()) == len(paths) == len(names)
    assert {int(np.asarray(Image.open(path)).max()) for path in paths} == {0, 50, 100, 150}


@pytest.mark.parametrize("verb", [["pair", "a", "b"], ["prepare", "a"], ["sheet", "a"]])
def test_results_are_not_written_to_a_folder_called_s3(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "1.png")
    with pytest.raises(SystemExit):
        main([*verb, "--output=s3://bucket/data.png"])
    assert "s3://bucket/data.png is an address: give a path" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
