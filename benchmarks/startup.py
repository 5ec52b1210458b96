"""Times launch.py from the command to its first step, with an empty and a filled compilation cache.

python -m benchmarks.startup
python -m benchmarks.startup --config=configs/facades.py --data=FOLDER
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]


def first_step(config: str, data: str, folder: pathlib.Path, name: str) -> float:
    """Seconds until the first step is reported; the process is ended then."""
    command = [sys.executable, "launch.py", f"--config={config}", f"--workdir={folder / name}"]
    command += ["--config.train.log_every=1", f"--config.data.dir={data}"]
    command += ["--config.data.eval_split=test"] if data else []
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("step 1/"):
                process.kill()
                return time.perf_counter() - began
    sys.exit(f"{config} ended before its first step")


def main() -> None:
    """Prints a Markdown row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/quickstart.py")
    parser.add_argument("--data", default="", help="folder of the data set")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        times = [
            first_step(options.config, options.data, pathlib.Path(scratch), name)
            for name in ("cold", "warm", "again")
        ]
    cells = [f"{seconds:.1f}" for seconds in (times[0], min(times[1:]))]
    print(
        f"| config | cold, s | warm, s |\n|---|---|---|\n| {options.config} | {' | '.join(cells)} |"
    )


if __name__ == "__main__":
    main()
