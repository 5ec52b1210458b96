"""The command: launch.py, and `pix2pix-jax` where the package is installed."""

import _thread
import os
import pathlib
import re
import signal
import sys
import threading
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

from pix2pix_jax.runtime import console, storage
from pix2pix_jax.settings import flag_errors, home
from pix2pix_jax.settings.defaults import get_config
from pix2pix_jax.settings.run_name import name_run
from pix2pix_jax.settings.size_field import last_of_each

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"  # of a clone
OWN_CONFIG = pathlib.Path(__file__).parent / "run" / "own_config.py"
FILE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".mp4", ".onnx", ".pth")  # of results
APPLYING = ("eval", "translate", "export")  # modes that take a run as it is
CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The experiment, a file of configs/ (configs/quickstart.py is a good first). With --workdir "
    "eval, translate and export can do without: the run knows its own.",
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run, or its address in object storage (s3://BUCKET/RUN, gs://BUCKET/RUN); "
    "runs/<config.name> if not given.",
)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval", "translate", "import", "export"], "What to do."
)
INPUT = flags.DEFINE_string("input", None, "translate: an image, a folder of images, or a video.")
MASK = flags.DEFINE_string("mask", None, "translate, inpainting: a mask, or a folder of masks.")
IMAGE_FORMAT = flags.DEFINE_enum(
    "image_format", "png", ["png", "jpg", "webp"], "translate: of the results."
)
FIXED_NOISE = flags.DEFINE_bool(
    "fixed_noise",
    False,
    "translate: all images of a folder get the same noise (dropout), so that frames of a video do "
    "not flicker; those of a video file always do.",
)
SKIP_EXISTING = flags.DEFINE_bool(
    "skip_existing",
    False,
    "translate: leave out images whose results are there, whatever made these; so a folder is "
    "continued.",
)
OUTPUT = flags.DEFINE_string("output", None, "translate, export: the folder for the results.")
FORMAT = flags.DEFINE_enum(
    "format", "pth", ["pth", "onnx", "stablehlo"], "export: for PyTorch, ONNX or JAX alone."
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "Several processes: HOST:PORT of the first one, the same for all."
)
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several processes: how many.")
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Several processes: which one this is, from 0."
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Several processes: ask the cluster (TPU pod, Slurm, Open MPI) for these."
)
COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    None,
    "Folder that keeps compiled programs for the next start; .compilation_cache beside the workdir "
    "if not given, off to keep none.",
)


def main(argv: list[str]) -> None:
    """Runs a mode; prints one line for an error that the user can fix."""
    _check_flags(argv)
    config = CONFIG.value
    workdir = name_run(config, WORKDIR.value)
    if MODE.value != "train":  # which answers it itself
        signal.signal(signal.SIGTERM, _stop)
    try:
        with console.opened():
            _start_jax(workdir)
            _fill_in(config, workdir)
            succeeded = _run(MODE.value, config, workdir)
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("", exc_info=True)
        text = f"{storage.message_of(error)}{_about_room(error, OUTPUT.value or workdir)}"
        sys.exit(f"error: {text}  (--verbosity=1 shows where)")
    sys.exit(0 if succeeded else 1)


def _stop(number, _):
    """Ends the program so that results in object storage, which are copied last, are not lost."""
    print("stopped", file=sys.stderr)
    raise SystemExit(128 + number)


def _about_room(error, folder):
    """The end of the message of an error that came from a full disk."""
    from pix2pix_jax.run.disk_space import no_room

    if not no_room(error) or "make room" in str(error):
        return ""
    return f": make room on the disk of {folder} and run the same command again"


def _check_flags(argv):
    """Ends the program if flags are missing or left over."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}: flags are written --name=value")
    if CONFIG.value is None:
        trained = " or --workdir=FOLDER of a trained run" if MODE.value in APPLYING else ""
        if os.path.exists(f"{WORKDIR.value}/config.json"):
            trained = f"; to train on in {WORKDIR.value}, the one that it was begun with"
        sys.exit(f"error: give an experiment, for example --config=configs/quickstart.py{trained}")
    if MODE.value == "translate" and not (INPUT.value and OUTPUT.value):
        sys.exit("error: --mode=translate takes --input=FILE_OR_FOLDER and --output=FOLDER")
    if MODE.value == "export" and not OUTPUT.value:
        sys.exit("error: --mode=export takes --output=FOLDER")
    output = pathlib.PurePath(OUTPUT.value or "")
    if output.suffix.lower() in FILE_ENDINGS and not os.path.isdir(output):
        sys.exit(
            f"error: --output={output} would be a folder of that name: give a folder, into which "
            "results are written under names of their own"
        )


def _fill_in(config, workdir):
    """Chooses what the config leaves to the images; loads JAX."""
    from pix2pix_jax.own_data import fill_in

    fill_in(config, workdir)


def _run(mode, config, workdir):
    """Runs a mode, whose modules load now; returns whether all of it succeeded."""
    if mode == "train":
        from pix2pix_jax.train import train

        train(config, workdir)
    elif mode == "eval":
        from pix2pix_jax.evaluation.evaluate import evaluate

        evaluate(config, workdir)
    elif mode == "import":
        from pix2pix_jax.exchange import import_pth

        import_pth(config, workdir)
    elif mode == "export":
        _exporter(FORMAT.value)(config, workdir, OUTPUT.value)
    else:
        from pix2pix_jax.translation.translate import Options, translate
        from pix2pix_jax.translation.video import is_video, translate_video

        options = Options(IMAGE_FORMAT.value, FIXED_NOISE.value, SKIP_EXISTING.value)
        if is_video(INPUT.value) and not pathlib.Path(INPUT.value).is_dir():
            if MASK.value:
                raise ValueError(f"{INPUT.value} is a video, and inpainting (--mask) takes images")
            translate_video(config, workdir, INPUT.value, OUTPUT.value, options)
            return True
        return not translate(config, workdir, INPUT.value, OUTPUT.value, MASK.value, options)
    return True


def _exporter(file_format):
    """The function that writes files of a format."""
    if file_format == "onnx":
        from pix2pix_jax.export.onnx_file import export_onnx

        return export_onnx
    if file_format == "stablehlo":
        from pix2pix_jax.export.stablehlo import export_stablehlo

        return export_stablehlo
    from pix2pix_jax.exchange import export_pth

    return export_pth


def _start_jax(workdir):
    """Sets up memory, the compiler, its cache and other processes, before JAX computes."""
    from pix2pix_jax.runtime import host_memory, xla_flags

    xla_flags.prepare()
    host_memory.prepare()
    from pix2pix_jax.runtime import compilation_cache, processes

    chosen = COMPILATION_CACHE.value or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen == "off":
        compilation_cache.disable()
    else:
        here = not storage.is_remote(workdir)
        beside = pathlib.Path(workdir).parent if here else storage.cache_folder()
        compilation_cache.enable(chosen or beside / compilation_cache.NAME)
    process = (COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    if DISTRIBUTED.value or any(value is not None for value in process):
        if MODE.value not in ("train", "translate"):
            raise ValueError(
                f"--mode={MODE.value} takes one process: only train and translate take several"
            )
        processes.initialize(*process)
        if MODE.value == "train" and not processes.is_first():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # only the first prints


def parse_flags(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parses the flags and loads the config file; prints one line for an error in either."""
    logging.set_verbosity(logging.FATAL)  # without --verbosity; what libraries log they raise too
    sys.unraisablehook = _print_exception
    argv[:] = _config_first(home.expanded(argv))  # in place, for ml_collections looks into sys.argv
    argv = last_of_each(_with_own_config(argv))
    try:
        flag_errors.check_config_path(argv, CONFIGS)
        if path := flag_errors.config_path(argv):
            # A config file imports its neighbours: from configs import default.
            sys.path += [str(path.resolve().parents[1]), str(CONFIGS.parent)]
        rest = flag_values(argv)
        flag_errors.check_config(argv, flag_values["config"].value, get_config())
        return rest
    except Exception as error:  # a config file can raise anything
        if any(re.fullmatch(r"--?(v|verbosity)=[1-9]\d*", argument) for argument in argv):
            traceback.print_exc()
        sys.exit(f"error: {flag_errors.explain(argv, error, get_config(), CONFIGS)}")


def _print_exception(unraisable):
    """Prints an exception that nobody can catch, unless it only follows from another.

    When the disk is full, tensorstore has one for every file that orbax no longer waits for. Ctrl-C
    that falls into a callback, such as JAX's of the garbage collector, comes again a little later.
    """
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.01, _thread.interrupt_main).start()
    elif str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _with_own_config(argv):
    """The command line with the config of its --workdir, where it needs one and names none."""
    config, mode, workdir = (
        flag_errors.flag_value(argv, name) for name in ("config", "mode", "workdir")
    )
    if config is not None or mode not in APPLYING or not workdir:
        return argv
    return [argv[0], f"--config={OWN_CONFIG}:{workdir}", *argv[1:]]


def _config_first(argv):
    """The command line with --config before its fields, as ml_collections wants it.

    Where there is no such file, configs/NAME.py is that of the clone: the command is installed for
    use from any folder.
    """
    first, rest, arguments = [], [], iter(argv[1:])
    for argument in arguments:
        if match := re.fullmatch(r"--?config(?:=(.*))?", argument):
            value = next(arguments, None) if match[1] is None else match[1]
            first.append("--config" if value is None else f"--config={_in_clone(value)}")
        else:
            rest.append(argument)
    return [argv[0], *first, *rest]


def _in_clone(value):
    path = value.split(":")[0]
    there = not os.path.exists(path) and (CONFIGS.parent / path).is_file()
    return f"{CONFIGS.parent}/{value}" if there else value


def run() -> None:
    """Runs the command with the arguments of this program."""
    for flag in flags.FLAGS.flags_by_module_dict()[__name__]:  # those that --help shows
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    console.print_any_name()
    console.stop_in_a_line()
    app.run(main, flags_parser=parse_flags)
