"""Videos, read and written by imageio-ffmpeg."""

import itertools
import sys

import cv2
import numpy as np
import pytest

from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.translation import translate, video
from tests.conftest import small_config

SIZE, FPS, COUNT = (48, 32), 8, 10  # width and height


class Darker:
    """Stands for a translator: half as bright, and a little more for other noise."""

    direction = Direction("", "A", "B", "G", 3, 3)

    def images(self, images, indices, sample=0):
        return [image // 2 + index for image, index in zip(images, indices, strict=True)]


def frame(i):
    """Gray, brighter from frame to frame."""
    return np.full((*SIZE[::-1], 3), 20 * i + 20, np.uint8)


def frames_of(path):
    """By OpenCV."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (found := capture.read())[0]:
        frames.append(found[1])
    return capture.get(cv2.CAP_PROP_FPS), np.stack(frames)


def test_a_video_is_translated_frame_by_frame(tmp_path, monkeypatch, capsys):
    """Size, rate, number and order of its frames stay; the noise is that of the first."""
    pytest.importorskip("imageio_ffmpeg")
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), codec, FPS, SIZE)
    for i in range(COUNT):
        writer.write(frame(i))
    writer.release()
    monkeypatch.setattr(translate, "load", lambda *arguments: ([Darker()], "nothing"))
    video.translate_video(small_config(), "", str(tmp_path / "clip.mp4"), str(tmp_path / "out"))
    assert f"{COUNT} frames translated with nothing" in capsys.readouterr().out
    rate, found = frames_of(tmp_path / "out" / "clip.mp4")
    assert rate == FPS and found.shape == (COUNT, *SIZE[::-1], 3)
    expected = np.stack([frame(i) // 2 for i in range(COUNT)]).astype(int)
    assert np.abs(found - expected).mean() < 3  # the codec's loss
    assert all((b > a).mean() > 0.9 for a, b in itertools.pairwise(found))
    with pytest.raises(ValueError, match="is the video itself: give another folder"):
        video.translate_video(small_config(), "", str(tmp_path / "clip.mp4"), str(tmp_path))


def test_what_is_no_video(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    ask = lambda name: video.translate_video(small_config(), "", str(tmp_path / name), "out")
    with pytest.raises(ValueError, match=r"bad.mp4 cannot be read as a video"):
        ask("bad.mp4")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.mp4"):
        ask("none.mp4")


def test_videos_without_imageio_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match="pip install imageio-ffmpeg"):
        video.translate_video(small_config(), "", str(tmp_path / "clip.mp4"), "out")
