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


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        (("s/x/{}_sketch.png", "p/x/{}_photo.bmp"), ["--suffix_a=_sketch", "--suffix_b=_photo"]),
        (("s/{}_sketch.png", "p/{}.png"), ["--suffix_a=_sketch"]),
        (("d/{}_sketch.png", "d/{}_photo.bmp"), ["--suffix_a=_sketch", "--suffix_b=_photo"]),
        (("d/{}.png", "d/{}-photo.png"), ["--suffix_b=-photo"]),
        (("d/{}_line.png", "d/{}_outline.png"), ["--suffix_a=line", "--suffix_b=outline"]),
    ],
)
def test_pairs_whose_names_differ_in_a_suffix(tmp_path, names, flags):
    for i in range(3):
        for name, image in zip(names, (photo(i), 255 - photo(i)), strict=True):
            save(tmp_path / name.format(f"haus.{i}"), image)
    sources = [str(tmp_path / folder) for folder in dict.fromkeys(name[0] for name in names)]
    command = ["pair", *sources, *flags]
    main([*command, f"--output={tmp_path}/out"])
    written = sorted((tmp_path / "out").rglob("*.png"))
    assert [path.name[:6] for path in written] == ["haus.0", "haus.1", "haus.2"]
    for i, path in enumerate(written):
        expected = np.concatenate([photo(i), 255 - photo(i)], axis=1)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)

    save(tmp_path / names[0].format("alone"), photo(9))
    with pytest.raises(SystemExit, match=r"alone.* has no partner named (x/)?alone.*one of 1 file"):
        main([*command, f"--output={tmp_path}/out2"])
    other = tmp_path / names[0].format("alone").replace("line", "other").replace("sketch", "other")
    (tmp_path / names[0].format("alone")).rename(other)
    with pytest.raises(SystemExit, match=r"does not end in|has no partner named"):
        main([*command, f"--output={tmp_path}/out2"])
    assert not (tmp_path / "out2").exists()


def test_what_pairs_are_made_of_has_to_be_clear(tmp_path):
    for name in ("a/1_x.png", "b/1_y.png"):
        save(tmp_path / name, photo(1))
    a, b, out = f"{tmp_path}/a", f"{tmp_path}/b", f"--output={tmp_path}/out"
    for command, message in (
        ([a], "give a second folder, or --suffix_a"),
        ([a, b, "--rule=edges"], "give a second folder, or --suffix_a"),
        ([a, "--rule=edges", "--suffix_a=_x"], "give a second folder, or --suffix_a"),
        ([a, b], r"1_x\.png has no partner named 1_x in .*b .*give --suffix_a and --suffix_b"),
        ([a, a], "given for A and for B: tell them apart"),
        ([a, b, "--suffix_a=_x.png"], r"1_x\.png does not end in _x\.png before its \.png"),
        ([f"{a}/1_x.png", b], r"1_x\.png is a file: give the folder that it lies in"),
        ([a, f"{a}x"], "there is no folder .*ax; .* has a, b"),
    ):
        with pytest.raises(SystemExit, match=f"error: .*{message}"):
            main(["pair", *command, out])


def test_images_of_two_sizes_are_paired_at_one(tmp_path, capsys):
    """As `prepare` and the errors of training, of `check` and of `pair` say."""
    for i in range(3):
        save(tmp_path / f"data/A/{i}.png", photo(i, 32, 32))
        save(tmp_path / f"data/B/{i}.png", photo(i, 64 if i else 32, 48 if i else 32))
    data = tmp_path / "data"
    hint = r"python -m pix2pix_jax\.dataset prepare {} --size=256 --output=NEW"
    with pytest.raises(
        ValueError, match=rf"1\.png is 32x32.*48x64.*of 2 .*{hint.format('FOLDER')}"
    ):
        folders.paired_folder(data, "train", ("train", "val"))
    with pytest.raises(SystemExit, match=hint.format(data)):
        main(["check", str(data)])
    pair_them = ["pair", f"{data}/A", f"{data}/B"]
    for command in (pair_them, ["prepare", str(data)]):
        with pytest.raises(SystemExit, match=r"1\.png is 32x32.*48x64.*of 2 pairs.*--size=256"):
            main([*command, f"--output={tmp_path}/out"])
    main(["prepare", str(data), "--size=24", f"--output={tmp_path}/prepared"])
    main([*pair_them, "--size=24", f"--output={tmp_path}/paired"])
    for i in range(3):
        whole = (tmp_path / f"prepared/train/{i}.png", tmp_path / f"paired/{i}.png")
        prepared, paired = (np.asarray(Image.open(path)) for path in whole)
        np.testing.assert_array_equal(prepared, paired)
        assert paired.shape == (24, 48, 3)
    main(["check", f"{tmp_path}/prepared"])

    save(tmp_path / "odd/1.png", photo(1, 16, 33))
    with pytest.raises(SystemExit, match=r"1\.png has halves of 16x16 and 17x16 .*give a --size"):
        main(["prepare", f"{tmp_path}/odd", "--form=pairs", f"--output={tmp_path}/out"])


def test_new_images_do_not_come_among_the_old_ones(tmp_path, monkeypatch):
    """The next run would take them for further images."""
    for name in ("data/A/1.png", "data/B/1.png", "other/1.png"):
        save(tmp_path / name, photo(1, 16, 16))
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for command in (
        ["prepare", "data", "--output=data/small"],
        ["prepare", "data", "--output=data"],
        ["prepare", "link", "--output=data/A/small"],
        ["prepare", ".", "--output=new"],
        ["pair", "data/A", "data/B", "--output=data/B/pairs"],
        ["pair", "data", "--rule=edges", "--output=data/edges"],
    ):
        with pytest.raises(SystemExit, match="would lie in .*: give an --output outside it"):
            main(command)
    main(["pair", "data/A", "data/B", "--output=data/pairs"])  # beside them
    main(["prepare", "data/A", "--output=data-small"])


@pytest.mark.parametrize("size", ["big", "1,2,3", "0", "64,", "64x64", "-3"])
def test_what_is_no_size_is_told_what_one_is(tmp_path, capsys, size):
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path), f"--size={size}", f"--output={tmp_path}/out"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(
        f"error: argument --size: {size!r} is no size: give pixels, as 256 for 256x256, or "
        "HEIGHT,WIDTH as 256,512"
    )


def test_other_words_in_the_place_of_numbers(tmp_path, capsys):
    for command, message in (
        (["prepare", "x", "--output=y", "--val=some"], "'some' is no share from 0 to below 1"),
        (["prepare", "x", "--output=y", "--val=1"], "'1' is no share from 0 to below 1"),
        (["sheet", "x", "--output=y.png", "--count=all"], "'all' is no whole number"),
        (["sheet", "x", "--output=y.png", "--count=0"], "0 is not at least 1"),
    ):
        with pytest.raises(SystemExit):
            main(command)
        assert message in capsys.readouterr().err
    path = save(tmp_path / "1.jpg", photo(1))
    with pytest.raises(SystemExit, match=r"1\.jpg is a file: give the folder that it lies in"):
        main(["check", str(path)])


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


@pytest.mark.parametrize("verb", ["pair", "prepare", "rule"])
@pytest.mark.parametrize("bytes_left", [20, 0.5])  # of the header, and of the pixels
def test_all_damaged_images_are_named(tmp_path, capsys, verb, bytes_left):
    for domain, damaged in (("A", {1, 3}), ("B", {3, 4})):
        for i in range(6):
            path = save(tmp_path / f"data/{domain}/{i}.png", photo(i, 16, 16))
            if i in damaged:
                content = path.read_bytes()
                left = bytes_left if bytes_left > 1 else int(bytes_left * len(content))
                path.write_bytes(content[:left])
    data = tmp_path / "data"
    command = {
        "pair": ["pair", f"{data}/A", f"{data}/B"],
        "prepare": ["prepare", str(data)],
        "rule": ["pair", str(data), "--rule=grayscale"],
    }[verb]
    with pytest.raises(SystemExit) as error:
        main([*command, f"--output={tmp_path}/out"])
    first, *lines = str(error.value).splitlines()
    assert first == "error: nothing is written, for 4 images cannot be read:"
    paths = {f"{data}/{name}.png" for name in ("A/1", "A/3", "B/3", "B/4")}
    assert {line.split(" cannot be read as an image")[0] for line in lines} == paths
    assert len(lines) == 4 and not (tmp_path / "out").exists()


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
