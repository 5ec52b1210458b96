"""Mistakes in the flags, or in the config file that they name, as one sentence."""

import difflib
import pathlib
import re
import traceback
from typing import Any

from absl import flags
from flax.traverse_util import flatten_dict

# Names that others give fields, and the PyTorch repository's options.
ALIASES = {
    "batch_size": "train.batch_size",
    "dataroot": "data.dir",
    "input_nc": "data.input_channels",
    "output_nc": "data.output_channels",
    "no_flip": "data.flip",
    "serial_batches": "data.shuffle",
    "max_dataset_size": "data.max_items",
    "netG": "model.generator",
    "netD": "model.discriminator",
    "n_layers_D": "model.n_layers",
    "no_dropout": "model.dropout",
    "lambda_L1": "loss.lambda_l1",
    "lambda_A": "loss.lambda_a",
    "lambda_B": "loss.lambda_b",
    "lr": "optim.learning_rate",
    "lr_policy": "optim.policy",
    "lr_decay_iters": "optim.decay_every",
    "n_epochs": "optim.epochs",
    "n_epochs_decay": "optim.epochs_decay",
}
ALL = "pix2pix_jax/settings/defaults.py lists all"  # fields
PLAIN = {  # Python's words for a value that cannot be taken
    r"invalid literal for int\(\) with base 10: .*": "it takes a whole number",
    r"could not convert string to float: .*": "it takes a number",
    r"\('Non-boolean argument to boolean flag', .*\)": "it takes True or False",
}


def flag_value(argv: list[str], name: str) -> str | None:
    """VALUE of the last --name=VALUE or --name VALUE; None without one."""
    value = None
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if match := re.fullmatch(rf"--?{name}(?:=(.*))?", argument):
            value = following if match[1] is None else match[1]
    return value


def config_path(argv: list[str]) -> pathlib.Path | None:
    """The file that --config names, without the variant after a colon."""
    name = (flag_value(argv, "config") or "").split(":")[0]
    return pathlib.Path(name) if name else None


def check_config_path(argv: list[str], folder: pathlib.Path) -> None:
    """Raises OSError if --config names no file; it lists those of `folder`."""
    path = config_path(argv)
    if path is not None and not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.py")))
        beside = f"; configs/ has {names}" if names else ""
        raise OSError(f"there is no file {path}{beside}")


def check_config(argv: list[str], config: Any, defaults: Any) -> None:
    """Raises what reading the config file raised, or ValueError if it gave no whole config."""
    path = config_path(argv)
    if path is None:
        return
    if not hasattr(config, "name"):
        raise ValueError(f"{path}: get_config() must return the config")
    known, found = (flatten_dict(each.to_dict(), sep=".").keys() for each in (defaults, config))
    if missing := known - found:
        raise ValueError(
            f"{path} has no config.{min(missing)}: let it change what configs.default.get_config() "
            "returns"
        )


def explain(argv: list[str], error: Exception, defaults: Any, folder: pathlib.Path) -> str:
    """One sentence on why the flags could not be parsed.

    Args:
        argv: the command line.
        error: what parsing it raised.
        defaults: a config with every field.
        folder: of the config files.
    """
    fields = flatten_dict(defaults.to_dict(), sep=".")
    for argument in argv[1:]:
        match = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
        if match and match[1] not in fields:
            return unknown_field(match[1], list(fields))
        if match and flag_value(argv, "config") is None:
            return f"{argument} changes an experiment: give it too, as --config=FILE"
    if isinstance(error, flags.UnrecognizedFlagError) and (found := _close(error.flagname, fields)):
        return f"there is no flag --{error.flagname}: did you mean --config.{found}?"
    path = config_path(argv)
    if "get_config() takes 0 positional arguments" in str(error):
        return f"{path} has no variants: leave out what follows the colon"
    if said := _in_config_file(path, folder, error):
        return said
    # ml_collections gives the file's module a name of its own.
    line = _last_line(error).replace("module 'config_config'", str(path))
    for words, plain in PLAIN.items():
        line = re.sub(words, plain, line)
    return line


def unknown_field(name: str, fields: list[str]) -> str:
    """One sentence on a name that none of the config's fields has."""
    if inside := [field for field in fields if field.startswith(f"{name}.")]:
        return f"config.{name} is a group of fields: set one of them, such as config.{inside[0]}"
    close = _close(name, fields)
    return f"there is no config.{name}: {f'did you mean config.{close}?' if close else ALL}"


def _close(name, fields):
    """The field that a name may mean; None if there is none."""
    last = name.rsplit(".", 1)[-1]
    if last in ALIASES:
        return ALIASES[last]
    by_last = {field.rsplit(".", 1)[-1]: field for field in reversed(list(fields))}
    if last in by_last:
        return by_last[last]
    close = difflib.get_close_matches(name, fields, 1, cutoff=0.8)
    similar = difflib.get_close_matches(last, by_last, 1, cutoff=0.75)
    return next(iter(close or [by_last[found] for found in similar]), None)


def _in_config_file(path, folder, error):
    """'FILE, line N: what' of an error in a config file; None of any other."""
    cause = error
    while cause is not None:
        if isinstance(cause, SyntaxError):
            return f"{cause.filename}, line {cause.lineno}: SyntaxError: {cause.msg}"
        for frame in reversed(traceback.extract_tb(cause.__traceback__)):
            file = pathlib.Path(frame.filename)
            if folder in file.parents or (path and file.resolve() == path.resolve()):
                if isinstance(cause, ValueError) and (frame.line or "").startswith("raise "):
                    return str(cause)  # the file's own words, such as which variants it has
                return f"{frame.filename}, line {frame.lineno}: {_what(cause)}"
        cause = cause.__cause__ or cause.__context__
    return None


def _what(error):
    if match := re.search(r'Key "(\w+)" does not exist', str(error)):  # of a locked ConfigDict
        close = re.search(r'Did you mean "(\w+)"', str(error))
        hint = f"did you mean {close[1]}?" if close else ALL
        return f"there is no field {match[1]}: {hint}"
    return f"{type(error).__name__}: {_last_line(error)}"


def _last_line(error):
    """A message without the traceback that ml_collections puts into it."""
    return re.sub(r"^\w*Error: ", "", (str(error).strip().splitlines() or [""])[-1].strip())
