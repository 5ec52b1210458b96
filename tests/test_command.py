"""launch.py as a user calls it, and the configs that it takes."""

import ast
import importlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tomllib

import jax
import pytest
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import config_flags

from pix2pix_jax import __main__, command
from pix2pix_jax.runtime import compilation_cache, xla_flags
from pix2pix_jax.settings import config_checks, home, limits, subcommands
from tests.conftest import small_config

ROOT = pathlib.Path(__file__).parent.parent
VARIANTS = {
    "own": [],  # the images say the rest: test_own.py
    "facades": [
        "l1",
        "cgan",
        "l1_cgan",
        "gan",
        "l1_gan",
        "lambda10",
        "lambda125",
        "no_jitter",
        "paper",
    ],
    "horse2zebra": ["torch", "no_identity", "paper"],
    "cyclegan_tf": ["epochs5", "epochs10", "epochs200"],
    "cyclegan": ["apple2orange", "facades", "iphone2dslr_flower"],
    "maps": ["aerial2map", "map2aerial"],
    "cityscapes": ["l1_cgan", "l1", "cgan", "photo2label"],
    "night2day": ["day2night", "night2day", "lambda50"],
    "convdeconv": ["facades", "cityscapes", "synthetic"],
    "fcn": [
        "32s",
        "16s",
        "8s",
        "8s_fewer_conv",
        "8s_more_conv",
        "8s_more_deconv",
        "8s_synthetic",
    ],
    "inpaint": ["facades", "celebahq", "dtd", "places2", "folder", "synthetic"],
    "colorization": ["folder", "facades", "synthetic"],
}


def launch(*arguments):
    command = [sys.executable, "launch.py", *arguments]
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # one device, as users have
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=env)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "give an experiment"),
        (["--config=configs/quickstart.py", "--config.lambda_l1=1"], "config.loss.lambda_l1?"),
        (["--config", "configs/quickstart.py", "--mode=translate"], "--input"),
        (
            ["--config=configs/quickstart.py", "--mode=translate", "--input=x", "--output=y.png"],
            "--output=y.png would be a folder of that name: give a folder",
        ),
        (
            [
                *("--config=configs/quickstart.py", "--mode=translate"),
                *("--input=x.mp4", "--output=y", "--mask=z.png"),
            ],
            "x.mp4 is a video, and inpainting (--mask) takes images",
        ),
        (["--config=configs/quickstart.py", "seed=1"], "unexpected argument"),
        (["--config=configs/facades.py", "--config.data.dir=nowhere"], "no such folder"),
        (["--config=configs/quickstart.py", "--mode=eval", "--workdir=none"], "train first"),
    ],
)
def test_mistakes_get_one_line(arguments, words):
    result = launch(*arguments)
    assert result.returncode == 1
    assert words in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


def parse(*arguments):
    """The config that the flags describe, as launch.py parses them."""
    argv, values = ["launch.py", *arguments], flags.FlagValues()
    sys.modules.pop("config_config", None)  # else a file finds the names of the one before
    config_flags.DEFINE_config_file("config", None, flag_values=values, sys_argv=argv)
    for name in ("workdir", "mode"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    command.parse_flags(argv, values)
    return values["config"].value


@pytest.fixture
def from_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    "flag, field",
    [
        ("--crop_size=64", "data.crop_size"),
        ("--batch_size=4", "train.batch_size"),
        ("--netG=resnet_9blocks", "model.generator"),
        ("--config.optim.lr=1", "optim.learning_rate"),
        ("--config.train.batchsize=2", "train.batch_size"),
    ],
)
def test_flags_that_others_have_are_answered_with_ours(flag, field, from_root, capsys):
    with pytest.raises(SystemExit, match=rf"did you mean (--)?config\.{field}\?"):
        parse("--config=configs/quickstart.py", flag)


def test_the_home_folder_in_flags(from_root, monkeypatch):
    """Shells leave the ~ of --name=~/folder as it is."""
    monkeypatch.setenv("HOME", "/home/me")
    config = parse("--config=configs/quickstart.py", "--config.data.dir=~/facades")
    assert config.data.dir == "/home/me/facades"
    given = ["~", "--a=~", "-b=~/x y", "~/z", "~other", "--c=a~", "--d=~b", "x=~/y"]
    expected = ["/home/me", "--a=/home/me", "-b=/home/me/x y", "/home/me/z", *given[4:]]
    assert home.expanded(given) == expected
    parser = subcommands.parser("metrics", None)
    parser.add_argument("--weights")
    assert parser.parse_args(["--weights=~/w"]).weights == "/home/me/w"


def test_configs_of_the_clone_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("--config=configs/facades.py:l1").loss.lambda_gan == 0
    assert parse("--config", "configs/edges2shoes.py").data.name == "edges2shoes"
    text = (ROOT / "configs" / "facades.py").read_text()  # it imports its neighbour default
    (tmp_path / "mine.py").write_text(text)
    assert parse("--config=mine.py").data.name == "facades"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "edges2shoes.py").write_text(text)  # one's own comes first
    assert parse("--config=configs/edges2shoes.py").data.name == "facades"


@pytest.mark.parametrize(
    "name", ["--config=configs/facades.py:l1", "--config configs/facades.py:l1"]
)
def test_flags_come_in_any_order(name, from_root):
    fields = ["--config.seed=7", "--config.data.crop_size=128", "--mode=eval"]
    config = parse(*fields, *name.split(), "--config.optim.epochs=3")
    assert (config.seed, config.data.crop_size, config.optim.epochs) == (7, (128, 128), 3)
    assert config.loss.lambda_gan == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            "--config=configs/none.py",
            "there is no file configs/none.py; configs/ has browser",
        ),
        (
            "--config configs/none.py",
            "there is no file configs/none.py; configs/ has browser",
        ),
        ("--config=configs", "there is no file configs;"),
        ("--config", "Missing value for flag --config"),
        ("--config=configs/quickstart.py --config.loss.lamda_l1=1", "config.loss.lambda_l1?"),
        ("--config=configs/quickstart.py --noconfig.data.flp", "config.data.flip?"),
        (
            "--config=configs/quickstart.py --config.seed=one",
            "flag --config.seed=one: it takes a whole number",
        ),
        ("--config=configs/quickstart.py --config.data.crop_size=a", "config.data.crop_size is"),
        ("--config=configs/facades.py:l2", "there is no variant 'l2'; choose one of l1_cgan, l1"),
        ("--config=configs/cityscapes.py:l2", "lambda125, paper, no_jitter, photo2label"),
        ("--config=configs/quickstart.py:l1", "configs/quickstart.py has no variants"),
        ("--config.seed=1", "changes an experiment: give it too, as --config=FILE"),
    ],
)
def test_mistaken_flags_get_one_line(arguments, words, from_root):
    with pytest.raises(SystemExit) as error:
        parse(*arguments.split())
    message = str(error.value)
    assert message.startswith("error: ") and words in message and "\n" not in message


FIELD = "from configs import default\n\ndef get_config():\n    c = default.get_config()\n    c.{}\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("def get_config(:\n", ", line 1: SyntaxError: invalid syntax"),
        ("import nothing\n", ", line 1: ModuleNotFoundError: No module named 'nothing'"),
        (FIELD.format("seed = one"), ", line 5: NameError: name 'one' is not defined"),
        (FIELD.format("data.cropsize = 64"), ", line 5: there is no field cropsize: did you mean"),
        (FIELD.format("data.flip = 'maybe'"), ", line 5: TypeError: Could not override field"),
        (FIELD.format("data.crop_size = '64'"), ", line 5: ValueError: config.data.crop_size is"),
        (FIELD.format("name = open('/nowhere')"), ", line 5: FileNotFoundError: [Errno 2]"),
        (FIELD.format("seed = 1"), ": get_config() must return the config"),
        (
            FIELD.format("unlock()\n    del c.data.flip\n    return c"),
            " has no config.data.flip: let it change what configs.default.get_config() returns",
        ),
        ("seed = 1\n", " has no attribute 'get_config'"),
    ],
)
def test_mistakes_in_a_config_file_name_its_line(text, words, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(SystemExit) as error:
        parse(f"--config={tmp_path}/mine.py")
    assert f"error: {tmp_path}/mine.py{words}" in str(error.value)
    assert "\n" not in str(error.value) and not capsys.readouterr().err


def test_a_run_knows_its_own_config(tmp_path):
    """Flags change it; fields that the run did not know yet have their defaults."""
    config = small_config()
    stored = json.loads(config.to_json_best_effort())
    del stored["eval"]["fit"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    found = parse("--mode", "eval", f"--workdir={tmp_path}", "--config.eval.dropout=False")
    assert found.model == config.model and found.data.crop_size == (32, 32)
    assert found.eval.fit == "resize"
    assert not found.eval.dropout and config.eval.dropout
    chosen = parse(f"--workdir={tmp_path}", "--mode=eval", f"--config={ROOT}/configs/quickstart.py")
    assert chosen.name == "quickstart"
    assert parse("--mode=train", f"--workdir={tmp_path}") is None


@pytest.mark.parametrize("content, words", [(None, "no trained run"), ("{", "is damaged")])
def test_a_workdir_without_a_config(content, words, tmp_path):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(SystemExit) as error:
        parse(f"--workdir={tmp_path}", "--mode=eval")
    message = str(error.value)
    assert words in message and "give --config=FILE" in message and "\n" not in message


def test_what_pip_installs():
    """The console command is there, and setuptools finds every folder of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    point = importlib.metadata.EntryPoint("", project["project"]["scripts"]["pix2pix-jax"], "")
    assert point.load() is __main__.main
    folders = {path.parent for path in (ROOT / "pix2pix_jax").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_verbosity_shows_where_a_config_file_failed(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("import nothing\n")
    with pytest.raises(SystemExit):
        parse("--verbosity=1", f"--config={tmp_path}/mine.py")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("size, pair", [("64", (64, 64)), ("64,", (64, 64)), ("32,64", (32, 64))])
def test_sizes_as_flags(size, pair, from_root):
    config = parse("--config=configs/default.py", f"--config.data.crop_size={size}")
    assert config.data.crop_size == pair


@pytest.mark.parametrize("first", [["--config.data.crop_size=32"], ["-config.data.crop_size", "8"]])
def test_the_last_of_two_sizes_counts(first, from_root):
    size, load = "--config.data.crop_size=64,96", "--config.data.load_size=99"
    config = parse("--config=configs/default.py", *first, load, size)
    assert config.data.crop_size == (64, 96) and config.data.load_size == (99, 99)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("optim.policy", "liner", "did you mean linear"),
        ("data.load_size", (30, 40), "smaller than config.data.crop_size"),
        ("data.input_channels", 4, "1 or 3 channels"),
        ("loss.update_order", "alternating", "pix2pix has torch, simultaneous"),
        ("data.crop_size", (36, 30), "multiples of 32, not 36x30"),
        ("model.n_layers", 5, "at least 128x128"),
        ("loss.lambda_l1", float("inf"), "config.loss.lambda_l1 is inf: it must be finite"),
        ("eval.noise_samples", 0, "config.eval.noise_samples is 0: it must be at least 1"),
        ("data.crop_size", (0, 0), r"crop_size is \(0, 0\): all its numbers must be at least 1"),
        ("data.load_size", (-8, 40), "load_size is"),
        ("data.mask_share", (0.3,), "takes 2 numbers"),
        ("model.fcn_convs", (1, 1, 0, 1, 1), "model.fcn_convs is"),
        ("model.ngf", 0, "model.ngf is 0"),
        ("model.dropout", 1.0, "model.dropout is 1.0: it must be at least 0 and below 1"),
        ("model.norm_eps", 0.0, "model.norm_eps is 0.0: it must be above 0"),
        ("loss.lambda_l1", -1.0, "loss.lambda_l1 is -1.0"),
        ("loss.lambda_l1", float("inf"), "loss.lambda_l1 is inf"),
        ("optim.learning_rate", -1e-4, "optim.learning_rate is -0.0001"),
        ("optim.learning_rate", float("nan"), "optim.learning_rate is nan"),
        ("optim.beta1", 2.0, "optim.beta1 is 2.0"),
        ("optim.epochs", -1, "optim.epochs is -1"),
        ("optim.decay_every", 0, "optim.decay_every is 0"),
        ("train.num_steps", -1, "train.num_steps is -1"),
        ("train.steps_per_call", -1, "train.steps_per_call is -1"),
        ("train.log_every", 0, "train.log_every is 0"),
        ("train.eval_every", -4, "train.eval_every is -4"),
        ("seed", 2**32, "seed is 4294967296"),
    ],
)
def test_fields_no_run_could_work_with(field, value, words):
    config = small_config(**{field: value})
    with pytest.raises(ValueError, match=words):
        config_checks.check(config)


def test_fields_that_are_wrong_beside_each_other():
    with pytest.raises(ValueError, match="epoch_count is 4, and the last epoch is 3"):
        config_checks.check(
            small_config(
                **{
                    "train.num_steps": 0,
                    "optim.epochs": 1,
                    "optim.epochs_decay": 2,
                    "optim.epoch_count": 4,
                }
            )
        )
    with pytest.raises(ValueError, match="the cosine policy takes at least 1"):
        config_checks.check(small_config(**{"optim.policy": "cosine", "optim.epochs": 0}))


def test_every_number_has_a_range():
    """A new field must be given one, or be listed here with the check that it has elsewhere."""
    ranges = {name for names in limits.RANGES.values() for name in names}
    elsewhere = {
        "data.synthetic_size",
        "data.value_range",
        "eval.set_metrics",
        "loss.diff_augment",
        "loss.nce_layers",
    }
    fields = flatten_dict(small_config().to_dict(), sep=".")
    numbers = {n for n, v in fields.items() if type(v) in (int, float, tuple)}
    assert numbers == ranges | elsewhere


@pytest.mark.parametrize("size, pair", [(64, (64, 64)), ((64,), (64, 64)), ([32, 64], (32, 64))])
def test_one_number_is_a_square(size, pair):
    config = small_config()
    config.data.crop_size = size
    assert config.data.crop_size == pair
    for wrong in ("64", 6.4, (1, 2, 3), True):
        with pytest.raises(ValueError, match="crop_size is .*: give one whole number, or"):
            config.data.crop_size = wrong


def config_files():
    names = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "__init__")
    return [(name, variant) for name in names for variant in VARIANTS.get(name, [None])]


@pytest.mark.parametrize("name, variant", config_files())
def test_every_config_describes_networks_that_can_be_built(name, variant):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config(variant) if variant else module.get_config()
    discriminators = [n for n in config_checks.check(config).networks if n.startswith("D")]
    assert bool(discriminators) == (config.loss.lambda_gan > 0)
    if name != "default":
        assert f"--config=configs/{name}.py" in module.__doc__


def test_every_field_has_a_comment():
    source = (ROOT / "pix2pix_jax" / "settings" / "defaults.py").read_text()
    lines = source.splitlines()
    fields = [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and "ConfigDict" not in ast.unparse(node.value)
    ]
    assert len(fields) > 60
    bare = [lines[n - 1] for n in fields if "  # " not in lines[n - 1]]
    assert not bare


def test_tensorflow_is_never_imported():
    code = (
        "import launch, sys; from pix2pix_jax import train, exchange;"
        "from pix2pix_jax.translation import translate;"
        "from pix2pix_jax.data import tfds_builders; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


@pytest.mark.parametrize(
    "given, then",
    [
        ("", xla_flags.LATE_COPIES),
        ("--xla_a=1", f"--xla_a=1 {xla_flags.LATE_COPIES}"),
        ("--xla_backend_extra_options=own", "--xla_backend_extra_options=own"),
    ],
)
def test_flags_of_xla(monkeypatch, given, then):
    """The user's stay; XLA takes options of this name once."""
    monkeypatch.setenv("XLA_FLAGS", given)
    xla_flags.prepare()
    assert os.environ["XLA_FLAGS"] == then


def test_a_compilation_cache_that_others_can_write_is_not_used(tmp_path, monkeypatch, capsys):
    """JAX runs what lies there."""
    chosen = {}
    monkeypatch.setattr(jax.config, "update", chosen.__setitem__)
    assert compilation_cache.enable(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert chosen["jax_compilation_cache_dir"] == str(tmp_path / "new")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    chosen.clear()
    assert not compilation_cache.enable(tmp_path / "open") and not chosen
    assert "users other than you can write to" in capsys.readouterr().out
    (tmp_path / "file").touch()
    assert not compilation_cache.enable(tmp_path / "file") and not chosen
