"""Metrics against scikit-image (float64) and hand-computed values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_jax.metrics import per_image


def _pairs(kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two uint8 batches of `shape`: (output, target)."""
    rng = np.random.default_rng(0)
    if kind == "random":
        return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
    if kind == "noisy":
        target = rng.integers(0, 256, shape)
        output = target + rng.integers(-9, 10, shape)
    elif kind == "white":  # drawings: nearly all white, where float32 variances cancel
        target = np.full(shape, 255)
        target[:, ::13] = 0
        output = np.full(shape, 254)
        output[:, :, ::17] = 0
    else:  # smooth gradients with an edge
        y, x = np.mgrid[: shape[1], : shape[2]]
        target = np.broadcast_to((3 * x + 2 * y + 80 * (x > 9))[None, :, :, None], shape)
        output = target * 0.9 + 11
    return tuple(np.clip(np.round(i), 0, 255).astype(np.uint8) for i in (output, target))


def _to_float(images: np.ndarray) -> jax.Array:
    return jnp.asarray(images, jnp.float32) / 127.5 - 1


@pytest.mark.parametrize("kind", ["random", "noisy", "white", "smooth"])
@pytest.mark.parametrize("shape", [(2, 32, 48, 3), (3, 40, 11, 1)])
def test_metrics_equal_scikit_image_on_uint8(kind, shape):
    output, target = _pairs(kind, shape)
    got = jax.jit(per_image.all_metrics)(_to_float(output), _to_float(target))
    assert set(got) == set(per_image.METRICS)
    assert all(values.shape == shape[:1] for values in got.values())
    for i, (a, b) in enumerate(zip(output, target, strict=True)):
        l1 = np.abs(a.astype(float) - b).mean() / 127.5
        ssim = structural_similarity(
            a, b, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        np.testing.assert_allclose(got["l1"][i], l1, atol=1e-6)
        l2 = ((a / 127.5 - b / 127.5) ** 2).mean()
        np.testing.assert_allclose(got["l2"][i], l2, rtol=1e-5)
        np.testing.assert_allclose(got["ssim"][i], ssim, atol=1e-5)
        np.testing.assert_allclose(
            got["psnr"][i], peak_signal_noise_ratio(b, a, data_range=255), rtol=1e-5
        )


def test_psnr_and_ssim_equal_scikit_image_on_floats():
    rng = np.random.default_rng(1)
    target = rng.uniform(-1, 1, (1, 24, 30, 3)).astype(np.float32)
    output = np.clip(target + rng.normal(0, 0.02, target.shape), -1, 1).astype(np.float32)
    want = peak_signal_noise_ratio(target[0], output[0], data_range=2)
    np.testing.assert_allclose(per_image.psnr(output, target)[0], want, rtol=1e-5)
    a, b = (output[0].astype(float) + 1) / 2, (target[0].astype(float) + 1) / 2
    want = structural_similarity(
        a, b, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    np.testing.assert_allclose(per_image.ssim(output, target)[0], want, atol=1e-5)


def test_identical_and_opposite_images():
    white, black = jnp.ones((1, 16, 16, 3)), -jnp.ones((1, 16, 16, 3))
    same = {name: float(v[0]) for name, v in per_image.all_metrics(white, white).items()}
    assert same == pytest.approx({"l1": 0, "l2": 0, "psnr": per_image.PSNR_CAP, "ssim": 1})
    opposite = {name: float(v[0]) for name, v in per_image.all_metrics(white, black).items()}
    # SSIM of constants: only the luminance is left, (2 * 1 * 0 + c1) / (1 + 0 + c1).
    assert opposite == pytest.approx({"l1": 2, "l2": 4, "psnr": 0, "ssim": 1e-4 / 1.0001}, abs=1e-6)


def test_each_image_is_measured_alone():
    output, target = (_to_float(i) for i in _pairs("noisy", (3, 16, 20, 3)))
    measure = jax.jit(per_image.all_metrics)
    together = measure(output, target)
    for i in range(3):
        alone = measure(output[i : i + 1], target[i : i + 1])
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-6)


def test_direction_of_improvement():
    output, target = (_to_float(i) for i in _pairs("noisy", (1, 16, 20, 3)))
    for function, higher_is_better in per_image.METRICS.values():
        measure = jax.jit(function)
        better = float(measure(target * 0.9 + output * 0.1, target)[0])
        assert (better > float(measure(output, target)[0])) == higher_is_better


def test_bfloat16_images_are_measured_in_float32():
    image = jnp.zeros((1, 16, 16, 1), jnp.bfloat16)
    assert all(
        v.dtype == jnp.float32 for v in jax.jit(per_image.all_metrics)(image, image).values()
    )


def test_errors_name_the_problem():
    image = jnp.zeros((1, 10, 16, 3))
    with pytest.raises(ValueError, match="at least 11x11 pixels, not 10x16"):
        per_image.ssim(image, image)
    with pytest.raises(ValueError, match="one shape"):
        per_image.l1(image, image[..., :1])
    with pytest.raises(ValueError, match="one shape"):
        per_image.psnr(image[0], image[0])
    with pytest.raises(ValueError, match="not uint8"):
        per_image.l1(image.astype(jnp.uint8), image)
