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


def command(config: str, data: str, workdir: pathlib.Path) -> list[str]:
    """A training that reports every step."""
    flags = [f"--config={config}", f"--workdir={workdir}", "--config.train.log_every=1"]
    flags += [f"--config.data.dir={data}"] + ["--config.data.eval_split=test"] * bool(data)
    return [sys.executable, "launch.py", *flags]


def first_step(config: str, data: str, workdir: pathlib.Path) -> float:
    """Seconds until the first step is reported; the process is ended then."""
    began = time.perf_counter()
    with subprocess.Popen(
        command(config, data, workdir), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
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
            first_step(options.config, options.data, pathlib.Path(scratch) / name)
            for name in ("cold", "warm", "again")
        ]
    cells = [f"{seconds:.1f}" for seconds in (times[0], min(times[1:]))]
    print(
        f"| config | cold, s | warm, s |\n|---|---|---|\n| {options.config} | {' | '.join(cells)} |"
    )


if __name__ == "__main__":
    main()
