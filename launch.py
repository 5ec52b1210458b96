"""Trains, evaluates or applies an image-to-image translator.

python launch.py --config=configs/facades.py                      train (resumes by itself)
python launch.py --config=configs/facades.py --mode=eval          metrics and pages of a split
python launch.py --config=configs/facades.py --mode=translate --input=photos --output=results
python launch.py --config=configs/facades.py --mode=import --config.init_from=latest_net_G.pth
python launch.py --config=configs/facades.py --mode=export --output=weights
python launch.py --config=configs/facades.py --distributed        one process a host, on a cluster
"""

import difflib
import os
import pathlib
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment, a file of configs/ (configs/quickstart.py is a good first)."
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run; runs/<config.name> if not given."
)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval", "translate", "import", "export"], "What to do."
)
INPUT = flags.DEFINE_string("input", None, "translate: an image, or a folder of images.")
MASK = flags.DEFINE_string("mask", None, "translate, inpainting: a mask, or a folder of masks.")
OUTPUT = flags.DEFINE_string("output", None, "translate, export: the folder that results go to.")
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "Several processes: HOST:PORT of the first, the same for all."
)
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several processes: their number.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Several processes: this one's, from 0.")
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Several processes: ask the cluster (TPU pod, Slurm, Open MPI) for these."
)
COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    None,
    "Folder that keeps compiled programs for the next start; .compilation_cache beside the workdir "
    "if not given, off for none.",
)


def main(argv: list[str]) -> None:
    """Runs one mode; prints one line for what a user can mend."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}: flags are written --name=value")
    if CONFIG.value is None:
        sys.exit("error: give an experiment, for example --config=configs/quickstart.py")
    if MODE.value == "translate" and not (INPUT.value and OUTPUT.value):
        sys.exit("error: --mode=translate takes --input=FILE_OR_FOLDER and --output=FOLDER")
    if MODE.value == "export" and not OUTPUT.value:
        sys.exit("error: --mode=export takes --output=FOLDER")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # the libraries' warnings are not the user's
    config = CONFIG.value
    workdir = WORKDIR.value or f"runs/{config.name}"
    try:
        # Imported here: a mistaken flag is told at once, not after the libraries have loaded.
        _start_jax(workdir)
        if MODE.value == "train":
            from pix2pix_jax.train import train

            train(config, workdir)
        elif MODE.value == "eval":
            from pix2pix_jax.evaluate import evaluate

            evaluate(config, workdir)
        elif MODE.value == "import":
            from pix2pix_jax.exchange import import_pth

            import_pth(config, workdir)
        elif MODE.value == "export":
            from pix2pix_jax.exchange import export_pth

            export_pth(config, workdir, OUTPUT.value)
        else:
            from pix2pix_jax.translate import translate

            failed = translate(config, workdir, INPUT.value, OUTPUT.value, MASK.value)
            sys.exit(1 if failed else 0)
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("", exc_info=True)
        sys.exit(f"error: {error}  (--verbosity=1 shows where)")


def _start_jax(workdir):
    """What JAX must know before it computes."""
    from pix2pix_jax.runtime import host_memory

    host_memory.keep_freed()
    from pix2pix_jax.runtime import compilation_cache, processes

    chosen = COMPILATION_CACHE.value or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen != "off":
        beside = pathlib.Path(workdir).parent / compilation_cache.NAME
        compilation_cache.enable(chosen or beside)
    process = (COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    if DISTRIBUTED.value or any(value is not None for value in process):
        if MODE.value != "train":
            raise ValueError(f"--mode={MODE.value} takes one process: only training takes several")
        processes.initialize(*process)
        if not processes.is_first():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the first reports


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the flags; turns an unknown config field into a line with the nearest right one."""
    for argument in argv[1:]:
        path = pathlib.Path(argument.removeprefix("--config=").split(":")[0])
        if argument.startswith("--config=") and not path.is_file():
            names = ", ".join(
                sorted(p.stem for p in pathlib.Path(__file__).parent.glob("configs/*.py"))
            )
            sys.exit(f"error: there is no file {path}; configs/ has {names}")
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        sys.exit(f"error: {_explain(argv, error)}")


def _explain(argv, error):
    """One sentence on why the config's flags could not be parsed."""
    from configs.default import get_config

    fields = _fields(get_config())
    for argument in argv[1:]:
        if not (match := re.match(r"--config\.([\w.]+)", argument)):
            continue
        name = match[1]
        if name not in fields:
            last = name.rsplit(".", 1)[-1]
            close = difflib.get_close_matches(name, fields, 1) or [
                field for field in fields if field.rsplit(".", 1)[-1] == last
            ]
            hint = f"did you mean config.{close[0]}?" if close else "configs/default.py lists all"
            return f"there is no config.{name}: {hint}"
    # A config file's own error comes as the last line of a traceback in absl's message.
    last = str(error).strip().splitlines()[-1].strip()
    return re.sub(r"^\w*Error: ", "", last)


def _fields(config, prefix=""):
    names = []
    for name, value in config.items():
        nested = hasattr(value, "items")
        names += _fields(value, f"{prefix}{name}.") if nested else [prefix + name]
    return names


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
