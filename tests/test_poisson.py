"""Poisson blending against scipy's sparse direct solver, OpenCV and analytic solutions."""

import re
import subprocess
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from PIL import Image
from scipy import ndimage
from skimage import draw

from pix2pix_jax.blending import __main__ as blending_command
from pix2pix_jax.blending import multigrid, poisson, polygons
from tests.test_command import ROOT


def picture(height, width, seed, smoothness=3):
    """A smooth random image with the whole range of levels."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (smoothness, smoothness, 0))
    return np.clip(smooth / smooth.std() * 45 + 128, 0, 255).astype(np.uint8)


def reference(foreground, background, mask, offset=(0, 0), mixed=False):
    """Equations 7, 11 and 12 of Perez et al., pixel by pixel, solved by scipy in float64."""
    x0, y0 = offset
    height, width = background.shape[:2]
    f, b = foreground.astype(float), background.astype(float)
    unknown = {}
    for y, x in np.argwhere(mask):
        if 0 <= y + y0 < height and 0 <= x + x0 < width:
            unknown[y + y0, x + x0] = len(unknown)
    matrix = scipy.sparse.lil_matrix((len(unknown), len(unknown)))
    right = np.zeros((len(unknown), 3))
    for (y, x), i in unknown.items():
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            qy, qx = y + dy, x + dx
            if not (0 <= qy < height and 0 <= qx < width):
                continue
            matrix[i, i] += 1
            here, there = (y - y0, x - x0), (qy - y0, qx - x0)
            inside = 0 <= there[0] < f.shape[0] and 0 <= there[1] < f.shape[1]
            guide = f[here] - f[there] if inside else np.zeros(3)
            if mixed:
                other = b[y, x] - b[qy, qx]
                guide = np.where(abs(other) > abs(guide), other, guide)
            right[i] += guide
            if (qy, qx) in unknown:
                matrix[i, unknown[qy, qx]] -= 1
            else:
                right[i] += b[qy, qx]
    values = scipy.sparse.linalg.spsolve(matrix.tocsc(), right).reshape(-1, 3)
    result = b.copy()
    for place, i in unknown.items():
        result[place] = values[i]
    return np.clip(result, 0, 255)


def disk(height, width):
    y, x = np.mgrid[:height, :width]
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 < (0.4 * min(height, width)) ** 2


def two_parts(height, width):
    mask = np.zeros((height, width), bool)
    mask[3:12, 4:30] = mask[20:41, 10:15] = mask[45, 40] = True
    return mask


def scattered(height, width):
    return disk(height, width) & (np.random.default_rng(0).random((height, width)) < 0.8)


MASKS = {"disk": disk, "parts": two_parts, "scattered": scattered}
CASES = {
    "disk": ("disk", (13, 7)),
    "parts": ("parts", (-3, 5)),
    "scattered": ("scattered", (20, 10)),
    "left of the background": ("disk", (-25, 10)),
    "above it": ("disk", (10, -22)),
    "beyond the corner": ("disk", (55, 45)),
    "a pixel is left": ("parts", (69 - 40, 63 - 45)),
}


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_multigrid_is_exact_to_a_level(case, mixed):
    name, offset = CASES[case]
    foreground, background = picture(50, 60, 1), picture(64, 70, 2, smoothness=8)
    mask = MASKS[name](50, 60)
    found = poisson.blend(foreground, background, mask, offset, mixed=mixed)
    expected = reference(foreground, background, mask, offset, mixed)
    assert found.image.dtype == np.uint8 and found.image.shape == background.shape
    assert np.abs(found.image - expected).max() <= 0.6  # a level's rounding, and a tenth
    assert found.residual <= poisson.TOLERANCE and found.iterations < 40
    moved = np.zeros(background.shape[:2], bool)
    for y, x in np.argwhere(mask) + np.array(offset)[::-1]:
        if 0 <= y < 64 and 0 <= x < 70:
            moved[y, x] = True
    np.testing.assert_array_equal(found.image[~moved], background[~moved])


def test_all_but_one_pixel():
    """The least that fixes a solution: three sides of the image are free."""
    foreground, background = picture(40, 50, 1), picture(40, 50, 2)
    mask = np.ones((40, 50), bool)
    mask[39, 20] = False
    found = poisson.blend(foreground, background, mask)
    expected = reference(foreground, background, mask)
    assert np.abs(found.image - expected).max() <= 1


def test_large_masks_need_no_more_iterations():
    """Multigrid: four times the size, about the same number of iterations."""
    iterations = []
    for size in (64, 256):
        images = picture(size, size, 1, size / 20), picture(size, size, 2, size / 8)
        iterations.append(poisson.blend(*images, disk(size, size)).iterations)
    assert max(iterations) <= 9


def test_the_right_answer_is_found_without_images():
    """A ramp pasted on a shifted ramp comes back as the ramp: both are harmonic."""
    ramp = np.add.outer(np.arange(40), 2 * np.arange(50))[..., None].repeat(3, -1)
    foreground, background = (ramp + 20).astype(np.uint8), (ramp + 90).astype(np.uint8)
    found = poisson.blend(foreground, background, disk(40, 50))
    assert np.abs(found.image.astype(int) - background).max() <= 1


def test_nothing_to_do():
    """The foreground is the background: no iteration, no change."""
    image = picture(40, 50, 1)
    found = poisson.blend(image, image, disk(40, 50))
    np.testing.assert_array_equal(found.image, image)
    assert found.iterations == 0


@pytest.mark.parametrize("mixed", [False, True])
def test_adam_reaches_the_exact_solution(mixed):
    """After 5000 steps."""
    foreground, background = picture(24, 30, 1), picture(40, 50, 2, smoothness=8)
    mask = disk(24, 30)
    found = poisson.blend(foreground, background, mask, (9, 30), "adam", mixed)
    expected = reference(foreground, background, mask, (9, 30), mixed)
    assert np.abs(found.image - expected).max() <= 1
    assert found.iterations == 5000 and found.residual < 0.01


def test_adam_takes_the_steps_of_pytorch(monkeypatch):
    """The first 30 iterations of the classical exercise, written with conv2d and torch's Adam."""
    import torch

    monkeypatch.setattr(poisson, "ADAM_ITERATIONS", 30)
    poisson._solve_adam.cache_clear()
    foreground, background = picture(24, 24, 1), picture(24, 24, 2)
    mask = disk(24, 24)
    found = poisson.blend(foreground, background, mask, solver="adam").image
    poisson._solve_adam.cache_clear()

    tensor = lambda x: torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    fg, bg, inside = tensor(foreground), tensor(background), torch.from_numpy(mask)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(3, 1, 3, 3)
    laplacian = lambda x: torch.nn.functional.conv2d(x, kernel, padding=1, groups=3)
    blended = torch.where(inside, 0.9 * bg + 0.1 * fg, bg).requires_grad_()
    optimizer = torch.optim.Adam([blended], lr=1e-2)
    for i in range(30):
        if i == 20:
            optimizer.param_groups[0]["lr"] *= 0.1
        image = torch.where(inside, blended, blended.detach())
        error = (laplacian(image) - laplacian(fg))[:, :, inside]
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
    expected = (blended.detach()[0].permute(1, 2, 0).clamp(0, 1) * 255).numpy()
    error = np.abs(found - expected)[mask]
    assert error.mean() < 0.3 and error.max() < 2  # rounding; a step where a gradient is about 0


def test_nearer_to_the_equations_than_opencv():
    """seamlessClone solves on the mask's box with other edges: like ours, with a larger error."""
    size = 120
    foreground, background = picture(size, size, 1, 4), picture(size, size, 2, 12)
    mask = disk(size, size)
    ys, xs = np.nonzero(mask)
    center = tuple(int(v.min() + v.max() + 1) // 2 for v in (xs, ys))
    theirs = cv2.seamlessClone(
        foreground, background, mask.astype(np.uint8) * 255, center, cv2.NORMAL_CLONE
    )
    ours = poisson.blend(foreground, background, mask).image
    exact = reference(foreground, background, mask)
    errors = [np.abs(x - exact)[mask].mean() for x in (ours, theirs, background)]
    assert errors[0] < 0.3 < errors[1] < errors[2]


def test_former_names_of_the_solvers(monkeypatch):
    for level, name in ((10, "multigrid"), (20, "adam")):
        solution = lambda problem, level=level, **_: (
            np.full(problem.background.shape, level),
            0,
            0,
        )
        monkeypatch.setattr(poisson, f"_solve_{name}", solution)
    images = picture(20, 30, 0), picture(20, 30, 1), disk(20, 30)
    for solver, level in (("direct", 10), ("multigrid", 10), ("gradient", 20), ("adam", 20)):
        assert (poisson.blend(*images, solver=solver).image[disk(20, 30)] == level).all()
    with pytest.raises(ValueError, match="'jacobi'; choose one of multigrid, adam"):
        poisson.blend(*images, solver="jacobi")


def test_multigrid_is_a_symmetric_positive_preconditioner():
    """As conjugate gradient needs it: checked as a matrix, column by column."""
    inside = scattered(16, 13).astype(np.float32)
    count = np.full(inside.shape, 4, np.float32)
    count[0] -= 1
    levels = multigrid.hierarchy(jnp.asarray(inside), jnp.asarray(count))
    units = np.eye(inside.size, dtype=np.float32)[np.flatnonzero(inside)].reshape(-1, *inside.shape)
    columns = jax.jit(jax.vmap(lambda unit: multigrid.v_cycle(levels, unit)))(units)
    matrix = np.asarray(columns)[:, inside > 0]
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    assert np.linalg.eigvalsh(matrix).min() > 0


# Polygons, files, mistakes


def test_polygons():
    corners = [(5, 4), (50.5, 10), (30, 35), (12, 28)]
    found = polygons.polygon_mask(corners, 40, 60)
    rows, columns = draw.polygon([y for _, y in corners], [x for x, _ in corners], (40, 60))
    expected = np.zeros((40, 60), bool)
    expected[rows, columns] = True
    assert not (found ^ expected)[ndimage.binary_erosion(expected)].any()
    assert not (found & ~ndimage.binary_dilation(expected, np.ones((3, 3)))).any()
    for wrong, words in (
        (corners[:2], "at least 3 corners, not 2"),
        (corners * 500, "more than 1000 corners"),
        ([*corners, (float("nan"), 1)], "nan,1 of the polygon is out of reach"),
        ([*corners, (1, -1e300)], "1,-1e"),
    ):
        with pytest.raises(ValueError, match=words):
            polygons.polygon_mask(wrong, 40, 60)


@pytest.mark.parametrize(
    "text, words",
    [
        ("1,2\nnan,3", "line 2 of f is 'nan,3', which is out of reach: give numbers"),
        ("1,2\n3 inf", "line 2 of f is '3 inf', which is out of reach"),
        ("1e9,2", "line 1 of f is '1e9,2', which is out of reach"),
        ("1,2\n" * 1001, "f has more than 1000 corners: leave some out"),
    ],
)
def test_corners_out_of_reach(text, words):
    with pytest.raises(ValueError, match=words) as error:
        polygons.parse_points(text, "f")
    assert "\n" not in str(error.value)


def test_points_of_a_file(tmp_path):
    path = tmp_path / "points.txt"
    path.write_text("# corners\n1,2\n3.5 4\n\n5; 6  # the last\n")
    assert polygons.read_points(path) == [(1, 2), (3.5, 4), (5, 6)]
    path.write_text("1,2\n3,4\n", "utf-8-sig")  # of a spreadsheet
    assert polygons.read_points(path) == [(1, 2), (3, 4)]
    path.write_text("1,2\n3,four\n")
    with pytest.raises(ValueError, match=r"line 2 of .*'3,four'"):
        polygons.read_points(path)
    path.write_bytes(b"\xff\xfe1,2")
    with pytest.raises(ValueError, match="points.txt is no text file"):
        polygons.read_points(path)
    with pytest.raises(FileNotFoundError, match="none.txt"):
        polygons.read_points(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "mask, offset, words",
    [
        (np.zeros((20, 30), np.uint8), (0, 0), "mask is empty"),
        (np.full((20, 30), 127, np.uint8), (0, 0), "no pixel over 127"),
        (np.ones((21, 30), bool), (0, 0), "mask is 30x21, and the foreground 30x20"),
        (np.ones((20, 30), bool), (30, 0), "30,0 moves the whole mask out.*30x20"),
        (np.ones((20, 30), bool), (0, -20), "moves the whole mask out"),
        (np.ones((20, 30), bool), (0, 0), "covers the whole background"),
        (np.ones((20, 30), bool), (float("nan"), 0), "offset nan,0 is out of reach"),
        (np.ones((20, 30), bool), (0, 10**30), "is out of reach"),
    ],
)
def test_masks_that_no_blend_could_take(mask, offset, words):
    with pytest.raises(ValueError, match=words):
        poisson.blend(picture(20, 30, 0), picture(20, 30, 1), mask, offset)


def run(folder, *arguments, output="out.png"):
    command = [sys.executable, "-m", "pix2pix_jax.blending", *arguments]
    command += [f"--foreground={folder}/f.png", f"--background={folder}/b.png"]
    command += [f"--output={folder}/{output}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_command(tmp_path):
    foreground, background = picture(30, 40, 0), picture(50, 60, 1)
    Image.fromarray(foreground).save(tmp_path / "f.png")
    Image.fromarray(background).save(tmp_path / "b.png")
    (tmp_path / "points.txt").write_text("5,5\n35,5\n35,25\n5,25\n")
    result = run(tmp_path, f"--polygon={tmp_path}/points.txt", "--offset=-3,9", "--mixed")
    assert result.returncode == 0, result.stderr
    mask = np.zeros((30, 40), bool)
    mask[5:26, 5:36] = True
    expected = reference(foreground, background, mask, (-3, 9), mixed=True)
    assert np.abs(np.asarray(Image.open(tmp_path / "out.png")) - expected).max() <= 0.6
    assert "relative residual" in result.stdout

    # The end of a name is no format but for those of images; and a name need be no text.
    result = run(tmp_path, f"--polygon={tmp_path}/points.txt", output="lambda_1.5\udce9")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "lambda_1.5\udce9.png").exists()

    result = run(tmp_path, f"--mask={tmp_path}/none.png")
    assert result.returncode == 1 and len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.endswith("none.png cannot be read as an image: there is no such file\n")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--output={}/f.png"], "f.png is an image to blend: give another --output"),
        (["--output={}/folder.png"], "folder.png is a folder: give a PNG file in it"),
        (["--output={}"], "is a folder: give a PNG file in it"),
        (["--output=s3://bucket/x.png"], "s3://bucket/x.png is an address: give a path on this"),
        (["--output={}/b.jpg"], "results are PNG files, and .*b.png is there already"),
        (["--output=."], r"\. is a folder: give a PNG file in it"),
        (["--output={}/b.png/new.png"], "cannot write to .*b.png .Not a directory"),
        (["--polygon={}/far.txt"], "far.txt lies outside the foreground, which is 40x30"),
        (["--polygon={}/none.txt"], "there is no file .*none.txt of a polygon's corners"),
        (["--offset=7"], "blending: error: .*'7' is not two whole numbers, such as 120,40"),
    ],
)
def test_mistakes_are_told_before_blending(arguments, words, tmp_path, monkeypatch, capsys):
    Image.fromarray(picture(30, 40, 0)).save(tmp_path / "f.png")
    Image.fromarray(picture(50, 60, 1)).save(tmp_path / "b.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "points.txt").write_text("5,5\n35,5\n35,25\n")
    (tmp_path / "far.txt").write_text("500,5\n535,5\n535,25\n")
    before = (tmp_path / "f.png").read_bytes()
    defaults = ["--foreground={}/f.png", "--background={}/b.png", "--output={}/out.png"]
    if not arguments[0].startswith("--polygon"):
        defaults.append("--polygon={}/points.txt")
    command = [argument.format(tmp_path) for argument in [*defaults, *arguments]]
    monkeypatch.setattr(sys, "argv", ["blending", *command])
    monkeypatch.setattr(blending_command, "blend", lambda *_: pytest.fail("it was blended"))
    with pytest.raises(SystemExit) as ended:
        blending_command.main()
    assert re.search(words, f"{ended.value.code}{capsys.readouterr().err}")
    assert (tmp_path / "f.png").read_bytes() == before
