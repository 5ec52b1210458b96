"""How far the two images of a pair are shifted against each other: correlation of their edges."""

import numpy as np
from PIL import Image

SIDE = 256  # both images are compared at this size
REACH = SIDE // 8  # shifts up to this many pixels of it are looked for
# A peak of so many standard deviations is no accident, for one pair and for the mean of many.
CLEAR = 9.0
ALIGNED = 2  # pixels of SIDE: smaller shifts are not worth a word


def surface(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How well the edges of two images agree at every shift of `b` against `a`.

    Between correlation and phase correlation (Kuglin and Hines 1975): the spectrum is divided by
    the root of its magnitude, which sharpens the peak and lets noise grow less.

    Args:
        a: uint8 [h, w, C].
        b: the same, perhaps of another size.

    Returns:
        float [2 REACH + 1, 2 REACH + 1], of mean 0 and standard deviation 1 unless an image is
        flat, then 0; the element [REACH + y, REACH + x] is for content of `b` that lies y pixels
        lower and x further right than in `a`, at the size SIDE.
    """
    spectra = [np.fft.rfft2(_edges(image)) for image in (a, b)]
    product = np.conj(spectra[0]) * spectra[1]
    product /= np.sqrt(np.abs(product)) + 1e-9
    correlation = np.fft.irfft2(product, (SIDE, SIDE))
    near = np.roll(correlation, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1]
    return (near - near.mean()) / max(near.std(), 1e-9)


def _edges(image):
    """Magnitude of the gradient, SIDE x SIDE, fading to the border, which is no edge."""
    gray = (
        Image.fromarray(image).convert("L")
        if image.shape[-1] == 3
        else Image.fromarray(image[..., 0])
    )
    gray = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    magnitude = np.hypot(*np.gradient(gray))
    return (magnitude - magnitude.mean()) * np.outer(np.hanning(SIDE), np.hanning(SIDE))


def shift_of(agreement: np.ndarray, height: int, width: int) -> tuple[int, int] | None:
    """The clear shift that a `surface` shows, or the mean of several; None if there is none.

    Args:
        agreement: a surface.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        (y, x), pixels of an image of that size.
    """
    y, x = np.unravel_index(agreement.argmax(), agreement.shape)
    peak = agreement[y, x] / max(agreement.std(), 1e-9)
    y, x = y - REACH, x - REACH
    if peak < CLEAR or max(abs(y), abs(x)) <= ALIGNED:
        return None
    return round(y * height / SIDE), round(x * width / SIDE)
