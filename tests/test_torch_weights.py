"""PyTorch's files read and written, without torch on our side."""

import os
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import torch_baseline as baseline
from configs import cyclegan as cyclegan_config
from configs.default import get_config
from pix2pix_jax import exchange, pth_networks, weights
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.models import build
from pix2pix_jax.pytorch import architectures, layer_names, state_dicts
from pix2pix_jax.pytorch.pth_file import read_pth, write_pth
from pix2pix_jax.run import checkpoints
from tests import parity
from tests.conftest import small_config

NETWORKS = {
    "unet": (lambda: baseline.UnetGenerator(3, 2, 5, 4), layer_names.unet_keys(5)),
    "unet instance": (
        lambda: baseline.UnetGenerator(1, 3, 6, 4, "instance"),
        layer_names.unet_keys(6),
    ),
    "resnet": (lambda: baseline.ResnetGenerator(num_blocks=6), layer_names.resnet_keys(6, False)),
    "resnet dropout": (
        lambda: baseline.ResnetGenerator(norm="batch", dropout=True, num_blocks=2),
        layer_names.resnet_keys(2, True),
    ),
    "resnet zero": (
        lambda: baseline.ResnetGenerator(num_blocks=2, padding="zero"),
        layer_names.resnet_keys(2, False, "zero"),
    ),
    "patchgan": (lambda: baseline.NLayerDiscriminator(6, 4, 3), layer_names.patchgan_keys(3)),
    "pixel": (lambda: baseline.PixelDiscriminator(6, 4), layer_names.pixel_keys()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name, tmp_path):
    """torch -> .pth -> Flax -> .pth -> torch, strictly and exactly."""
    make, keys = NETWORKS[name]
    net = make()
    for legacy in (False, True):
        torch.save(net.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
        state = read_pth(tmp_path / "a.pth")
        assert list(state) == list(net.state_dict())
    write_pth(tmp_path / "b.pth", state_dicts.to_torch(state_dicts.to_flax(state, keys), keys))
    other = make()
    other.load_state_dict(torch.load(tmp_path / "b.pth", weights_only=True), strict=True)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_trees_are_those_of_our_modules():
    config = get_config()
    module = build.generator(config.model, 3)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    expected = jax.eval_shape(lambda: module.init(keys, jnp.zeros((1, 256, 256, 3))))
    with torch.device("meta"):
        net = baseline.UnetGenerator()
    state = {k: np.zeros(v.shape, np.float32) for k, v in net.state_dict().items()}
    found = state_dicts.to_flax(state, layer_names.unet_keys(8))
    shapes = lambda tree: jax.tree.map(lambda x: x.shape, tree)
    assert shapes(found) == shapes(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
@pytest.mark.parametrize("legacy", [False, True])
def test_types_and_views(dtype, legacy, tmp_path):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4
    tensors = {"whole": base, "transposed": base.t(), "row": base[2], "part": base[1:3, ::2]}
    tensors = {k: v.to(dtype) if k == "whole" else v for k, v in tensors.items()}
    torch.save(tensors, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    for name, array in read_pth(tmp_path / "a.pth").items():
        np.testing.assert_array_equal(array, tensors[name].to(torch.float64).numpy())


def test_prefixes_and_parameters(tmp_path):
    net = torch.nn.Linear(2, 3)
    state = {f"_orig_mod.module.{k}": torch.nn.Parameter(v) for k, v in net.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    assert list(read_pth(tmp_path / "a.pth")) == ["weight", "bias"]


class Evil:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_programs_are_refused_and_not_run(legacy, tmp_path):
    trap = tmp_path / "trap"
    torch.save({"a": Evil(trap)}, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r"is refused: .*mkdir"):
        read_pth(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(ValueError, match="is refused"):
        read_pth(tmp_path / "b.pth")
    assert not trap.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files(legacy, tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    for damaged in (content[:-500], content[: len(content) // 2], b"", b"not a file of torch"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.pth"):
            read_pth(path)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        read_pth(tmp_path / "none.pth")


def test_flipped_bits_are_found(tmp_path):
    path = tmp_path / "a.pth"
    write_pth(path, {"a": np.ones(1000, np.float32)})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("archive/data/0").header_offset
    content = bytearray(path.read_bytes())
    content[start + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged|Bad"):
        read_pth(path)


def test_stale_instance_norm_statistics_are_dropped():
    net = baseline.UnetGenerator(3, 3, 5, 4, "instance")
    state = parity.state_dict(net)
    clean = state_dicts.to_flax(state, layer_names.unet_keys(5))
    stale = {"running_mean": 16, "running_var": 16, "num_batches_tracked": ()}
    for leaf, shape in stale.items():
        state[f"model.model.1.model.2.{leaf}"] = np.zeros(shape)
    found = state_dicts.to_flax(state, layer_names.unet_keys(5))
    assert jax.tree.structure(found) == jax.tree.structure(clean)


@pytest.mark.parametrize(
    "make, expected",
    [
        (
            lambda: baseline.UnetGenerator(1, 2, 7, 8, "batch"),
            {"model.generator": "unet_128", "model.norm": "batch", "model.ngf": 8},
        ),
        (
            lambda: baseline.ResnetGenerator(3, 3, 8, "instance", True, 6),
            {"model.generator": "resnet_6blocks", "model.norm": "instance", "dropout": True},
        ),
        (
            lambda: baseline.ResnetGenerator(3, 3, 8, "batch", False, 9, "zero"),
            {"model.generator": "resnet_9blocks", "dropout": False, "zero_padding": True},
        ),
        (
            lambda: baseline.NLayerDiscriminator(6, 8, 4, "none"),
            {"model.n_layers": 4, "model.ndf": 8, "channels": 6, "model.norm": "none"},
        ),
        (
            lambda: baseline.PixelDiscriminator(4, 8, "batch"),
            {"model.discriminator": "pixel", "channels": 4, "model.norm": "batch"},
        ),
    ],
)
def test_networks_are_recognised_by_their_files(make, expected):
    found = architectures.describe(parity.state_dict(make()))
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    "fields",
    [
        {"model.num_d": 2, "model.norm": "none"},
        {"model.num_d": 2, "model.norm_d": "none", "model.d_padding": 2},
        {"model.norm": "instance", "model.norm_affine": True},
        {"model.norm": "none", "model.bias": "all"},
        {"model.norm": "instance", "model.bias": "last"},
    ],
)
def test_norms_are_recognised_in_our_own_files(fields):
    """A run's networks are those of its config, however few arrays say which norm they have."""
    config = small_config(**{"data.crop_size": (64, 64), "data.load_size": (64, 64), **fields})
    for name, network in weights.abstract_variables(config).items():
        tree = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), network)
        state = state_dicts.to_torch(tree, pth_networks.torch_keys(config, name))
        architectures.check_fields(architectures.describe(state), config)


def test_another_norm_is_refused():
    net = parity.state_dict(baseline.UnetGenerator(3, 3, 5, 4, "instance"))
    for norm in ("none", "batch"):
        with pytest.raises(ValueError, match=r"set --config\.model\.norm=instance"):
            config = small_config(**{"model.norm": norm})
            architectures.check_fields(architectures.describe(net), config)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "latest_net_G.pth"
    torch.save(baseline.ResnetGenerator(num_blocks=9).state_dict(), path)
    config = get_config()
    config.init_from = str(path)
    with pytest.raises(ValueError, match=r"latest_net_G\.pth.*model\.generator=resnet_9blocks"):
        weights.load_generators(config, "")
    torch.save({"a.weight": torch.ones(3)}, path)
    with pytest.raises(ValueError, match="no U-Net, ResNet"):
        weights.load_generators(config, "")
    torch.save(baseline.NLayerDiscriminator(6).state_dict(), path)
    with pytest.raises(ValueError, match="holds a discriminator: give the .pth of the generator"):
        weights.load_generators(config, "")


def cyclegan(path, direction="both"):
    config = cyclegan_config.base()
    config.update_from_flattened_dict(
        {
            "init_from": str(path),
            "eval.direction": direction,
            "data.crop_size": (32, 32),
            "model.generator": "resnet_1blocks",
            "model.ngf": 2,
            "model.ndf": 2,
        }
    )
    return config


@pytest.fixture
def generators(tmp_path):
    """latest_net_G{,_A,_B}.pth in folders single/ and pair/, and their networks by path."""
    files = {}
    for i, name in enumerate(("single/latest_net_G", "pair/latest_net_G_A", "pair/latest_net_G_B")):
        files[path := tmp_path / f"{name}.pth"] = baseline.init_weights(
            baseline.ResnetGenerator(ngf=2, num_blocks=1), i
        )
        path.parent.mkdir(exist_ok=True)
        torch.save(files[path].state_dict(), path)
    return files


def test_one_direction_of_cyclegan_takes_one_file(generators):
    single, pair_a, pair_b = generators

    def loaded(path, direction):
        """The names of the networks, and the file of each by its weights."""
        found, _ = weights.load_generators(cyclegan(path, direction), "")
        kernels = {name: tree["params"]["conv_in"]["kernel"] for name, tree in found.items()}
        return {
            name: file
            for name, kernel in kernels.items()
            for file, net in generators.items()
            if np.array_equal(kernel.transpose(3, 2, 0, 1), net.model[1].weight.detach())
        }

    assert loaded(single, "A2B") == {"G_A": single}
    assert loaded(single, "B2A") == {"G_B": single}
    assert loaded(pair_b, "A2B") == loaded(pair_a, "both") == {"G_A": pair_a, "G_B": pair_b}
    pair_b.unlink()
    assert loaded(pair_a, "A2B") == {"G_A": pair_a}
    for path, direction in ((single, "both"), (pair_a, "both"), (pair_a, "B2A")):
        with pytest.raises(ValueError, match=f"{path.name} is one .*set config.eval.direction=A2B"):
            loaded(path, direction)


@pytest.mark.parametrize("index, words", [(0, "give latest_net_G_A"), (1, "put latest_net_G_B")])
def test_training_cyclegan_takes_both_generators(generators, index, words):
    *files, pair_b = generators
    pair_b.unlink()
    with pytest.raises(ValueError, match=f"training starts from both: {words}"):
        weights.initialize(cyclegan(files[index], "A2B"), None)


def test_a_unet_that_joins_up_before_skip_takes_pytorchs_weights(tmp_path):
    """As facades.py:paper has it; the function is that of PyTorch's network, there and back."""
    net = baseline.init_weights(baseline.UnetGenerator(3, 3, 6, 4, dropout=False), 0)
    torch.save(net.state_dict(), tmp_path / "latest_net_G.pth")
    config = small_config(**{"model.generator": "unet_64", "data.load_size": 64})
    config.update_from_flattened_dict(
        {"data.crop_size": (64, 64), "model.skip_first": False, "model.dropout": 0.0}
    )
    config.init_from = str(tmp_path / "latest_net_G.pth")
    variables = weights.load_generators(config, "")[0]["G"]
    images = parity.images(1, 64, 64, 3)
    module = build.generator(config.model, 3)
    ours, _ = module.apply(variables, images, mutable=["batch_stats"])
    theirs = parity.nhwc(net(parity.nchw(images)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)

    exchange.import_pth(config, str(tmp_path / "run"))
    config.init_from = ""
    paths = exchange.export_pth(config, str(tmp_path / "run"), str(tmp_path / "out"))
    found = read_pth(next(path for path in paths if path.stem.endswith("net_G")))
    for name, tensor in read_pth(tmp_path / "latest_net_G.pth").items():
        np.testing.assert_array_equal(tensor, found[name], err_msg=name)


def test_pytorch_has_no_skips_that_leak():
    config = small_config(**{"model.skip_leaks": True})
    with pytest.raises(ValueError, match=r"skip_leaks=False"):
        pth_networks.torch_keys(config, "G")


def test_export_takes_the_run_and_says_which(tmp_path, capsys):
    """Not the one that it began with, whose name its config has."""
    for seed, name in enumerate(("other", "run")):
        with checkpoints.Checkpoints(tmp_path / name) as saver:
            saver.save(fresh_state(small_config(seed=seed)))
            saver.wait()
    config = small_config(seed=1, init_from=str(tmp_path / "other"))
    path = exchange.export_pth(config, str(tmp_path / "run"), str(tmp_path / "out"))[-1]
    assert f"net_G.pth with step 0 of {tmp_path / 'run'}" in capsys.readouterr().out
    expected = fresh_state(config).networks["G"].params["down_1"]["kernel"]
    found = read_pth(path)["model.model.0.weight"]
    np.testing.assert_array_equal(found, expected.transpose(3, 2, 0, 1))
