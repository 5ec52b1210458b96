"""The authors' published generators by name, from a server of this process in place of theirs."""

import errno
import functools
import hashlib
import http.server
import os
import pathlib
import threading

import numpy as np
import pytest
import torch

import pix2pix_jax
from benchmarks import torch_baseline as baseline
from configs import default, horse2zebra
from pix2pix_jax import pth_networks, weights
from pix2pix_jax.data import catalogue
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.pytorch import architectures, published
from tests import parity
from tests.conftest import small_config

SMALL = {
    "model.generator": "resnet_1blocks",
    "model.norm": "instance",
    "model.ngf": 4,
    "model.dropout": 0.0,
}


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.endswith("zebra2horse.pth"):  # breaks off
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"PK")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with its `folder` of CycleGAN's generators, and what was `asked` of it."""
    folder = tmp_path / "host" / "cyclegan" / "pretrained_models"
    folder.mkdir(parents=True)
    handler = functools.partial(Handler, directory=tmp_path / "host")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.folder = [], folder
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(published, "HOST", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """weights/ and checkpoints/ of this test alone, and generators of small networks."""
    monkeypatch.setattr(published, "FOLDER", tmp_path / "weights")
    monkeypatch.setattr(published, "THEIR_FOLDER", tmp_path / "checkpoints")
    small = {name: value for name, value in SMALL.items() if name != "model.dropout"}
    own = published.Published.fields
    fields = property(lambda generator: own.fget(generator) | small)
    monkeypatch.setattr(published.Published, "fields", fields)
    return own


def save(path, seed=0):
    net = baseline.init_weights(baseline.ResnetGenerator(ngf=4, num_blocks=1), seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), path)
    return net


def test_the_table_agrees_with_pytorchs_networks_and_our_configs(place):
    """Layers of the authors' default networks, data sets of ours; 23 files at as many addresses."""
    with torch.device("meta"):
        nets = {True: baseline.UnetGenerator(), False: baseline.ResnetGenerator()}
    for generator in published.GENERATORS.values():
        fields = place.fget(generator)
        assert fields.items() <= architectures.describe(nets[generator.paired].state_dict()).items()
        sets = catalogue.PAIRED if generator.paired else catalogue.UNPAIRED
        assert generator.data_set in sets
    assert len({generator.url for generator in published.GENERATORS.values()}) == 23
    architectures.check_fields(
        place.fget(published.GENERATORS["horse2zebra"]), horse2zebra.get_config()
    )
    architectures.check_fields(place.fget(published.GENERATORS["sat2map"]), default.get_config())


def test_a_generator_is_downloaded_once_and_is_pytorchs(server, capsys):
    net = save(server.folder / "horse2zebra.pth")
    fields = {"data.crop_size": (32, 32)}
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with torch.no_grad():
        expected = net(parity.nchw(image[None] / np.float32(127.5) - 1))
    expected = np.round((parity.nhwc(expected)[0] + 1) * 127.5)
    for _ in range(2):
        found = pix2pix_jax.load("horse2zebra", fields=fields)(image)
        assert np.abs(found - expected).max() <= 1
        assert "by the authors of CycleGAN at http://127" in capsys.readouterr().out
    assert server.asked == ["/cyclegan/pretrained_models/horse2zebra.pth"]
    path = published.GENERATORS["horse2zebra"].path
    digest = hashlib.sha256((server.folder / "horse2zebra.pth").read_bytes()).hexdigest()
    note = path.with_name(f"{path.name}.sha256")
    assert note.read_text() == f"{digest}  latest_net_G.pth\n"
    assert sorted(path.parent.iterdir()) == [path, note]


def test_what_has_changed_is_refused(server):
    save(server.folder / "apple2orange.pth")
    generator = published.GENERATORS["apple2orange"]
    path = published.fetch(generator)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not what was downloaded .* delete it"):
        published.fetch(generator)
    path.unlink()
    assert published.fetch(generator) == path
    path.unlink()
    save(server.folder / "apple2orange.pth", seed=1)
    with pytest.raises(ValueError, match="gives another file than at first"):
        published.fetch(generator)
    assert not path.exists()


def test_a_disk_that_is_full_when_the_digest_is_noted(server, monkeypatch):
    """Leaves no empty note, which the next start could not read."""
    save(server.folder / "apple2orange.pth")
    generator = published.GENERATORS["apple2orange"]

    def full(path, text):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(pathlib.Path, "write_text", full)
        published.fetch(generator)
    assert published.fetch(generator).is_file()


@pytest.mark.parametrize(
    "name, error, words",
    [
        ("zebra2horse", OSError, r"zebra2horse.pth could not be downloaded \(.* put the file at"),
        ("style_monet", OSError, r"could not be downloaded \(HTTP Error 404"),
        ("orange2apple", ValueError, "gives is no generator: it is not an intact PyTorch"),
    ],
)
def test_downloads_that_fail_leave_nothing(server, name, error, words):
    (server.folder / "orange2apple.pth").write_text("<html>Not today</html>")
    generator = published.GENERATORS[name]
    with pytest.raises(error, match=words) as found:
        published.fetch(generator)
    assert "\n" not in str(found.value)
    assert not list(generator.path.parent.iterdir())


def test_a_cyclegan_starts_from_both(tmp_path):
    """They lie where the authors' scripts put them; with data.direction=BtoA they change places."""
    nets = {
        name: save(tmp_path / f"checkpoints/{name}_pretrained/latest_net_G.pth", seed)
        for seed, name in enumerate(("horse2zebra", "zebra2horse"))
    }
    fields = {"method": "cyclegan", "init_from": "horse2zebra", **SMALL}
    fresh = fresh_state(small_config(**fields))
    for direction, names in (("AtoB", list(nets)), ("BtoA", list(nets)[::-1])):
        config = small_config(**fields, **{"data.direction": direction})
        found = weights.initialize(config, fresh).networks
        for network, name in zip(("G_A", "G_B"), names, strict=True):
            tree = parity.variables(nets[name], pth_networks.torch_keys(config, network))
            assert parity.worst(found[network].variables["params"], tree["params"]) == 0
    config = small_config(**fields, **{"data.direction": "AtoB", "eval.direction": "A2B"})
    found, origin = weights.load_generators(config, "")
    assert origin == "horse2zebra" and list(found) == ["G_A"]


@pytest.mark.parametrize(
    "fields, words",
    [
        (
            {"init_from": "horse2zebr"},
            r"of that name \(did you mean horse2zebra\?\). There are",
        ),
        (
            {"init_from": "horse2zebra", "model.generator": "unet_32"},
            "published horse2zebra: it holds a resnet_1blocks .* set --config.model.generator=res",
        ),
        (
            {"init_from": "facades_label2photo", "data.name": "facades", "data.direction": "AtoB"},
            "translates B of facades to A: set config.data.direction=BtoA",
        ),
        (
            {"init_from": "style_cezanne", "method": "cyclegan", "data.direction": "AtoB"},
            "translates B of cezanne2photo to A: no generator of the reverse .*eval.direction=B2A",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_a_download(fields, words):
    config = small_config(**{**SMALL, **fields})
    with pytest.raises((ValueError, OSError), match=words):
        weights.initialize(config, abstract_state(config))
    with pytest.raises(FileNotFoundError, match="there is no run monet, and no .* There are"):
        pix2pix_jax.load("monet")
    assert not pathlib.Path("monet").exists()
