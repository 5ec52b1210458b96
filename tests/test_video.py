"""Videos, read and written by imageio-ffmpeg."""

import itertools
import pathlib
import re
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.translation import translate, video
from tests.conftest import small_config
from tests.test_command import ROOT

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
    monkeypatch.setattr(translate, "load", None)  # not even the model is
    again = translate.Options(skip_existing=True)
    video.translate_video(
        small_config(), "", str(tmp_path / "clip.mp4"), str(tmp_path / "out"), again
    )
    assert capsys.readouterr().out.endswith("out/clip.mp4 is there already\n")
    with pytest.raises(ValueError, match="would be overwritten: give another folder"):
        video.translate_video(small_config(), "", str(tmp_path / "clip.mp4"), str(tmp_path))


@pytest.fixture
def ffmpeg():
    """Calls ffmpeg with some arguments; gives what it says."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()

    def call(*arguments):
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
        return done.stderr

    return call


def test_pixels_stay_as_wide_as_they_were(tmp_path, ffmpeg):
    """Of an anamorphic video, whose pixels are 4/3 as wide as high."""
    source, target = tmp_path / "wide.mkv", tmp_path / "wide.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=48x32:r=8:d=1", "-vf", "setsar=4/3", source)
    found = video.look(source)
    assert found.pixel == "4/3"
    video.write(target, found, video.read(found))
    assert "SAR 4:3" in ffmpeg("-i", target)


@pytest.mark.parametrize("size", [(48, 32), (1280, 720)])
def test_colours_are_those_of_bt_709_and_the_file_says_so(size, tmp_path, ffmpeg):
    """Players guess, by the size, what a file does not say, and show another red."""
    source, target, luma = (tmp_path / name for name in ("in.mp4", "out.mp4", "luma.raw"))
    ffmpeg("-f", "lavfi", "-i", f"color=red:s={size[0]}x{size[1]}:r=4:d=1", source)
    red = np.full((*size[::-1], 3), (255, 0, 0), np.uint8)
    video.write(target, video.look(source), iter([red] * 4))
    assert re.search(r"yuv420p\(tv, bt709, ", ffmpeg("-i", target))
    ffmpeg("-i", target, "-f", "rawvideo", luma)
    levels = np.fromfile(luma, np.uint8, size[0] * size[1]).astype(int)
    assert np.abs(levels - (16 + 219 * 0.2126)).max() < 2  # BT.601 has 81
    assert np.abs(next(video.read(video.look(target))).astype(int) - red).max() < 4


def test_a_video_that_ends_early_is_said(tmp_path, ffmpeg, capsys):
    path = tmp_path / "clip.mp4"
    codec = ("-c:v", "libx264", "-movflags", "+faststart")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=8:d=4", *codec, path)
    assert len(list(video.read(video.look(path)))) == 32
    assert not capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-2000])
    assert len(list(video.read(video.look(path)))) < 32
    assert "clip.mp4 may be damaged, and lack frames" in capsys.readouterr().out


@pytest.mark.parametrize("failing", [False, True])
def test_why_a_video_is_not_written_is_said(failing, tmp_path, ffmpeg):
    """Also of frames that are small, of which the pipe still has a rest when it breaks."""
    source = tmp_path / "no_video.mp4"
    source.write_bytes(b"nothing")  # where the sound comes from: ffmpeg ends at once

    def frames():
        for _ in range(20):
            time.sleep(0.05)
            yield np.zeros((30, 30, 3), np.uint8)
        if failing:
            raise ValueError("no more frames")

    if failing:
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=48x32:r=8:d=1", "-y", source)
    error, words = (
        (ValueError, "no more") if failing else (OSError, "could not be written: .*input")
    )
    with pytest.raises(error, match=words):
        video.write(tmp_path / "out.mp4", video.Video(source, 30, 30, "8/1"), frames())
    assert not (tmp_path / "out.mp4").exists()


def test_names_that_look_like_addresses(tmp_path, ffmpeg, monkeypatch):
    """A colon in a name, and no folder before it: to ffmpeg that is a protocol."""
    monkeypatch.chdir(tmp_path)
    source, target = pathlib.Path("12:30.mp4"), pathlib.Path("file:out.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=48x32:r=8:d=1", str(tmp_path / source))
    found = video.look(source)
    assert video.write(target, found, iter(list(video.read(found)))) == 8
    assert len(frames_of(tmp_path / target)[1]) == 8


def test_standard_input_is_left_alone(tmp_path, ffmpeg):
    """A list of files in a shell's loop, say: ffmpeg would read it, and end at a q."""
    source, frames = str(tmp_path / "in.mp4"), 60
    ffmpeg("-nostdin", "-f", "lavfi", "-i", f"testsrc=s=640x480:r={frames}:d=1", source)
    code = f"""
import pathlib, sys, time
from pix2pix_jax.translation import video
found = video.read(video.look(pathlib.Path({source!r})))
print(sum(time.sleep(0.02) is None for _ in found), len(sys.stdin.buffer.raw.read(1000)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, input="q" * 500, capture_output=True, text=True)
    assert done.stdout.split() == [str(frames), "500"], done.stderr


def test_equal_frames_are_translated_once(tmp_path, monkeypatch):
    """A GIF of two pictures, 0.3 s each, as ffmpeg gives it: a frame each 1/100 s."""
    pytest.importorskip("imageio_ffmpeg")
    pictures = [Image.fromarray(frame(i)) for i in (0, 5)]
    path = tmp_path / "two.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=300)
    counts = []
    darker = Darker()
    run = darker.images
    darker.images = lambda images, *rest: counts.append(len(images)) or run(images, *rest)
    outputs = list(video.translated(darker, video.look(path), 2, 0))
    assert sum(counts) == 2 and len(outputs) > 10
    levels = [int(output.mean()) for output in outputs]
    assert sorted(set(levels)) == [10, 60] and levels == sorted(levels)


def test_what_is_no_video(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    ask = lambda name, *options: video.translate_video(
        small_config(), "", str(tmp_path / name), "out", *options
    )
    with pytest.raises(ValueError, match=r"bad.mp4 cannot be read as a video"):
        ask("bad.mp4")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.mp4"):
        ask("none.mp4")
    still = np.zeros((32, 48, 3), np.uint8)
    Image.fromarray(still).save(tmp_path / "still.gif")
    with pytest.raises(ValueError, match=r"still.gif has a single image, and is no video"):
        ask("still.gif")
    moving = Image.fromarray(still + 255)
    moving.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.fromarray(still)])
    assert video.look(tmp_path / "moving.gif")[1:3] == (48, 32)
    with pytest.raises(ValueError, match="leave out --image_format=jpg"):
        ask("bad.mp4", translate.Options("jpg"))


def test_videos_without_imageio_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match="pip install imageio-ffmpeg"):
        video.translate_video(small_config(), "", str(tmp_path / "clip.mp4"), "out")
