"""The forms of a user's folder, what is held out of it, and what is wrong with it."""

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.data import folders, held_out, loading, sources
from pix2pix_jax.dataset import __main__ as dataset_tool
from tests.conftest import small_config

SPLITS = ("train", "val")
WHOLE = ("train", "train")  # nothing held out


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write(folder, names, height=8, width=8):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(picture(height, width)).save(folder / f"{name}.png")


def names_of(source):
    return [sources.header_of(source, i)[0] for i in range(len(source))]


@pytest.mark.parametrize("form", ["{split}/{domain}", "{domain}/{split}"])
def test_two_folders_equal_side_by_side(form, pairs_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    for path in (pairs_folder / "train").iterdir():
        pair = np.asarray(Image.open(path))
        for domain, half in (("A", pair[:, :32]), ("B", pair[:, 32:])):
            folder = root / form.format(split="train", domain=domain)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(half).save(folder / path.name)
    one, two = (folders.paired_folder(f, "train", WHOLE) for f in (pairs_folder, root))
    assert len(one) == len(two) == 4
    for i in range(4):
        for domain in "AB":
            np.testing.assert_array_equal(one[i][domain], two[i][domain])


def test_wrong_folders_are_named(pairs_folder):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        folders.paired_folder(pairs_folder / "nowhere", "train", SPLITS)
    file = next((pairs_folder / "train").iterdir())
    with pytest.raises(NotADirectoryError, match=f"{file}, a file: give the folder that it lies"):
        folders.paired_folder(file, "train", SPLITS)
    with pytest.raises(FileNotFoundError, match=r"test; .* has train, val.*train_split"):
        folders.paired_folder(pairs_folder, "test", ("test", "val"))
    for i in range(20):
        (pairs_folder / f"{i}").mkdir()
    with pytest.raises(FileNotFoundError, match=r"tran; [^ ]+ has train, and others\. Name"):
        folders.paired_folder(pairs_folder, "tran", ("tran", "val"))
    (pairs_folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no images"):
        folders.paired_folder(pairs_folder, "empty", ("empty", "val"))


@pytest.mark.parametrize("name", ["test", "val"])
def test_images_of_a_split_are_not_trained_on(name, tmp_path):
    """In a folder without any other, which is not taken for a flat one."""
    for folder in (tmp_path, tmp_path / name):
        write(folder, ["1", "2"], 8, 16)
    message = rf"there is no .*folder [^ ]+/train; .* has {name}"
    with pytest.raises(FileNotFoundError, match=message):
        folders.paired_folder(tmp_path, "train", SPLITS)
    with pytest.raises(FileNotFoundError, match=message):
        folders.image_folder(tmp_path, "train", SPLITS, 3)


def test_wrong_pairs_are_named(tmp_path):
    for domain in "AB":
        (tmp_path / "train" / domain).mkdir(parents=True)
        Image.fromarray(picture(8, 8)).save(tmp_path / "train" / domain / "1.png")
    Image.fromarray(picture(8, 8)).save(tmp_path / "train" / "A" / "2.png")
    with pytest.raises(ValueError, match=r"2\.png has no partner"):
        folders.paired_folder(tmp_path, "train", WHOLE)
    Image.fromarray(picture(8, 6)).save(tmp_path / "train" / "B" / "2.png")
    with pytest.raises(ValueError, match=r"2\.png is 8x8, but its partner .* is 6x8"):
        folders.paired_folder(tmp_path, "train", WHOLE)
    Image.fromarray(picture(8, 8)).save(tmp_path / "train" / "A" / "1.bmp")
    with pytest.raises(ValueError, match=r"1\.bmp and .*1\.png have the same name"):
        folders.paired_folder(tmp_path, "train", WHOLE)


@pytest.mark.parametrize("kind", ["pairs", "sets"])
@pytest.mark.parametrize("names", [("sketches", "photos"), ("a", "b"), ("A", "b"), ("a", "B")])
@pytest.mark.parametrize("form", ["{}", "{}/train", "train/{}"])
def test_two_folders_of_other_names_are_recognised(tmp_path, capsys, kind, names, form):
    """In training and by `check`; of a split only a and b, for its pairs may lie in any others."""
    for name in names:
        write(tmp_path / form.format(name), ["1", "2"], 8, 8)
    if form == "train/{}" and names == ("sketches", "photos"):
        assert len(folders.paired_folder(tmp_path, "train", SPLITS)) > 0
        assert "Are these single images?" in capsys.readouterr().out
        return
    where = tmp_path / "train" if form == "train/{}" else tmp_path
    message = f"{where} has two folders, {' and '.join(sorted(names))}: rename them A and B, or "
    message += "make pairs with python -m pix2pix_jax.dataset pair"
    with pytest.raises(FileNotFoundError, match=f"^{message}$"):
        examples_of(tmp_path, capsys, kind)
    with pytest.raises(SystemExit, match=f"^error: {message}; or if these are single images"):
        dataset_tool.main(["check", str(tmp_path)])
    dataset_tool.main(["check", str(tmp_path), "--form=single"])


@pytest.mark.parametrize(
    ("folder", "width"), [("day", 16), ("training", 8), ("a", 16), ("x/A", 8), (".a", 8)]
)
def test_other_folders_are_none_of_these(tmp_path, folder, width):
    """Splits of other names, of images A|B or with folders A and B; one folder alone."""
    write(tmp_path / folder, ["1", "2"], 8, width)
    write(tmp_path / folder.replace("A", "B"), ["1", "2"], 8, width)
    write(tmp_path / ("night/A" if folder == "x/A" else "night"), ["1", "2"], 8, width)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*train; .* has .*night"):
        folders.paired_folder(tmp_path, "train", SPLITS)
    assert not folders.misnamed(tmp_path)


def test_partners_are_compared_as_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for domain, size, tag in (("A", (8, 12), {"exif": exif}), ("B", (12, 8), {})):
        (tmp_path / "train" / domain).mkdir(parents=True)
        Image.fromarray(picture(*size)).save(tmp_path / "train" / domain / "1.jpg", **tag)
    pair = folders.paired_folder(tmp_path, "train", WHOLE)[0]
    assert pair["A"].shape == pair["B"].shape == (12, 8, 3)


def test_halves_are_split_and_resized_as_by_pytorch(tmp_path, capsys):
    """PyTorch's aligned data set: w2 = int(w / 2), a crop on either side of it, then a resize."""
    for name, (width, height) in {"a": (64, 32), "b": (66, 33), "c": (63, 32)}.items():
        write(tmp_path / "train", [name], height, width)
    config = small_config(
        **{"data.dir": str(tmp_path), "data.eval_split": "train", "data.direction": "AtoB"}
    )
    training = loading.load_examples(config.data, config.seed, "train", train=True).cache
    evaluated = loading.load_examples(config.data, config.seed, "train", train=False)
    images = {key: evaluated.images(key, np.arange(3)) for key in ("input", "target")}
    for i, name in enumerate(evaluated.names(np.arange(3))):
        pair = Image.open(tmp_path / "train" / f"{name}.png")
        w, h = pair.size
        boxes = {"input": (0, 0, w // 2, h), "target": (w // 2, 0, w, h)}
        for key, box in boxes.items():
            half = pair.crop(box)
            expected = half.resize((36, 36), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(training[key].pixels[i], np.asarray(expected))
            expected = half.resize((32, 32), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(images[key][i], np.asarray(expected))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("preprocess", ["crop", "scale_width_and_crop", "none"])
def test_odd_widths_are_refused_where_halves_would_differ_in_size(tmp_path, preprocess):
    write(tmp_path / "train", ["a"], 32, 65)
    fields = {"data.dir": str(tmp_path), "data.eval_split": "train"}
    config = small_config(**fields, **{"data.preprocess": preprocess})
    for train in (True, False):
        with pytest.raises(ValueError, match=r"a\.png is 65x32, .* differ in width.*_and_crop"):
            loading.load_examples(config.data, config.seed, "train", train=train)


@pytest.mark.parametrize("size, lines", [((48, 64), 1), ((32, 32), 1), ((32, 80), 0)])
def test_single_images_taken_for_pairs_get_one_line(tmp_path, capsys, size, lines):
    write(tmp_path / "train", ["a", "b"], *size)
    config = small_config(**{"data.dir": str(tmp_path)})
    loading.load_examples(config.data, config.seed, "train", train=True)
    out = capsys.readouterr().out
    loading.load_examples(config.data, config.seed, "val", train=False)  # of the same folder
    assert "aspect ratio" not in capsys.readouterr().out
    assert out.count("\n") == lines
    if lines:
        halves = f"{size[1] // 2}x{size[0]}"
        assert "a.png: its halves" in out and f"{halves}, far from the aspect ratio of 36x36" in out
        assert "(2 of 2 files" in out


# Held out


NAMES = [f"{i:04}" for i in range(400)]


class Named:
    """A source of nothing but names."""

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def header(self, index):
        return self.names[index], (8, 8)


def held_of(names):
    training, held = held_out.hold_out(Named(names), "x")
    training, held = set(names_of(training)), set(names_of(held))
    assert not training & held and training | held == set(names) and training and held
    return held


def test_a_name_decides_on_each_image_alone():
    held = held_of(NAMES)
    assert 8 <= len(held) <= 35  # of 400 at 1 in 20: 20 +- 3.4 standard deviations of 4.4
    assert held_of([*NAMES[::3], "other"]) - {"other"} == held & set(NAMES[::3])
    for domain in "AB":  # partners go together, whatever tells their files apart
        assert held_of([f"{n}_{domain}.jpg" for n in NAMES]) == {f"{n}_{domain}.jpg" for n in held}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_at_least_one_image_is_held_out_and_one_stays(count):
    for first in range(100):
        assert 1 <= len(held_of(NAMES[first : first + count])) < count
    with pytest.raises(ValueError, match="x has one image only"):
        held_out.hold_out(Named(["a"]), "x")


def examples_of(root, capsys, kind="pairs", **fields):
    """Names in training, in validation and the line that is printed."""
    fields = {"data.dir": str(root), "data.direction": "AtoB", **fields}
    config = small_config(**fields)
    training = loading.load_examples(config.data, config.seed, "train", True, kind)
    said = capsys.readouterr().out
    assert said == "" or (kind == "sets" and "own.py:paired" in said and said.count("\n") == 1)
    validation = loading.load_examples(
        config.data, config.seed, config.data.eval_split, False, kind
    )
    line = capsys.readouterr().out
    sets = []
    for name in "AB" if kind == "sets" else ["input"]:
        both = (training, validation)
        sets.append([set(each.names(np.arange(each.count(name)), name)) for each in both])
    return training, validation, sets, line


@pytest.mark.parametrize("form", ["{split}", "{split}/{domain}", "{domain}/{split}"])
def test_without_a_validation_folder_training_leaves_a_share_for_it(tmp_path, capsys, form):
    for domain in "AB":
        folder = tmp_path / form.format(split="train", domain=domain)
        write(folder, NAMES[:40], 8, 16 if form == "{split}" else 8)
    *_, ((training, held),), line = examples_of(tmp_path, capsys)
    assert held == held_of(NAMES[:40]) and training == set(NAMES[:40]) - held
    assert line.count("\n") == 1 and "there is no folder" in line
    assert f"val; {tmp_path} has" in line and f": {len(held)} of 40 images of" in line
    *_, ((training, _),), line = examples_of(tmp_path, capsys, **{"data.eval_split": "train"})
    assert training == set(NAMES[:40]) and line == ""
    with pytest.raises(FileNotFoundError, match="there is no folder .*/other"):
        config = small_config(**{"data.dir": str(tmp_path), "data.train_split": "other"})
        loading.load_examples(config.data, config.seed, "other", True)


def test_sets_without_test_images_leave_a_share_of_each(tmp_path, capsys):
    write(tmp_path / "trainA", NAMES[:40])
    write(tmp_path / "trainB", NAMES[20:50])
    _, validation, sets, line = examples_of(tmp_path, capsys, "sets")
    for (training, held), names in zip(sets, (NAMES[:40], NAMES[20:50]), strict=True):
        assert held == held_of(names) and training == set(names) - held
    assert not validation.paired and line.count("\n") == 1
    assert "40 images of" in line and "30 images of" in line and "trainB" in line


def test_partners_in_two_sets_are_held_out_together(tmp_path, capsys):
    for domain in "AB":
        write(tmp_path / f"train{domain}", [f"{name}_{domain}" for name in NAMES[:40]])
    _, validation, (a, b), _ = examples_of(tmp_path, capsys, "sets")
    assert validation.paired
    assert {name[:-2] for name in a[1]} == {name[:-2] for name in b[1]} == held_of(NAMES[:40])


def test_pairs_for_cyclegan_are_held_out_too(tmp_path, capsys):
    write(tmp_path / "train", NAMES[:40], 8, 16)
    _, validation, (a, b), line = examples_of(
        tmp_path, capsys, "sets", **{"data.eval_split": "test"}
    )
    assert a == b and a[1] == held_of(NAMES[:40]) and validation.paired
    assert line.count("\n") == 1


def test_a_folder_without_splits_has_the_same_rule(tmp_path, capsys):
    write(tmp_path, NAMES[:40])
    fields = {"data.name": "folder", "data.direction": "BtoA"}
    names = []
    for split, train in (("train", True), ("val", False)):
        config = small_config(**{"data.dir": str(tmp_path), **fields})
        images = loading.load_examples(config.data, config.seed, split, train, "images")
        names.append(set(images.names(np.arange(len(images)))))
    assert names == [set(NAMES[:40]) - held_of(NAMES[:40]), held_of(NAMES[:40])]
    assert capsys.readouterr().out.count("\n") == 1


def test_unpaired_folders_given_to_a_paired_method_are_recognised(tmp_path):
    for domain in "AB":
        write(tmp_path / f"train{domain}", NAMES[:2])
    config = small_config(**{"data.dir": str(tmp_path)})
    for split, train in (("train", True), ("val", False)):
        with pytest.raises(FileNotFoundError, match=r"CycleGAN data.*configs/own\.py:unpaired"):
            loading.load_examples(config.data, config.seed, split, train)


@pytest.mark.parametrize("form", ["", "{domain}"])
def test_pairs_without_splits_are_divided_by_name(tmp_path, capsys, form):
    for domain in "AB":
        write(tmp_path / form.format(domain=domain), NAMES[:40], 8, 8 if form else 16)
    *_, ((training, held),), line = examples_of(tmp_path, capsys)
    assert held == held_of(NAMES[:40]) and training == set(NAMES[:40]) - held
    assert line.startswith(f"{tmp_path} has no folders train and val: {len(held)} of 40 images of")
    assert line.count("\n") == 1
    *_, ((everything, same),), line = examples_of(tmp_path, capsys, **{"data.eval_split": "train"})
    assert everything == same == set(NAMES[:40]) and line == ""
    *_, sets, line = examples_of(tmp_path, capsys, "sets", **{"data.eval_split": "test"})
    assert [each[1] for each in sets] == [held, held] and "no folders train and test" in line


def test_two_folders_of_unpaired_images_are_divided_by_name(tmp_path, capsys):
    write(tmp_path / "A", NAMES[:40])
    write(tmp_path / "B", NAMES[40:70])
    *_, sets, line = examples_of(tmp_path, capsys, "sets")
    for (training, held), names in zip(sets, (NAMES[:40], NAMES[40:70]), strict=True):
        assert held == held_of(names) and training == set(names) - held
    assert line.count("\n") == 1 and "40 images of" in line and "30 images of" in line
    config = small_config(**{"data.dir": str(tmp_path)})
    with pytest.raises(ValueError, match=r"no two files of one name.*configs/own\.py:unpaired"):
        loading.load_examples(config.data, config.seed, "train", True)


def test_pairs_given_to_an_unpaired_method_are_recognised(pairs_folder, capsys):
    config = small_config(**{"data.dir": str(pairs_folder)})
    loading.load_examples(config.data, config.seed, "train", True, "sets")
    line = capsys.readouterr().out
    assert "draws their two sides apart" in line and "--config=configs/own.py:paired" in line
    loading.load_examples(config.data, config.seed, "val", False, "sets")
    assert capsys.readouterr().out == ""


def test_a_domain_without_the_other_is_named(tmp_path):
    write(tmp_path / "train" / "A", NAMES[:2])
    with pytest.raises(FileNotFoundError, match="train/A but no .*train/B"):
        folders.paired_folder(tmp_path, "train", WHOLE)
