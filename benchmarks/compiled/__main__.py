"""Compiles training and translation for accelerators that are not here, and counts what they do.

    pip install -r benchmarks/requirements-compiled.txt        (large: a CUDA and a TPU compiler)
    python -m benchmarks.compiled --batch 1 4 64 --dtype bfloat16 float32
    python -m benchmarks.compiled --target h200x8 v5e-4 --config pix2pix cyclegan
    python -m benchmarks.compiled --config cyclegan --list

The programs are the real ones: a dispatch of 20 training steps (examples from the cache on the
device, jitter, step), and a batch through the generator. No driver and no card are needed, and
nothing runs: the columns say what the compiled program would do in one step, on each device.

"Kernels" counts what is launched in the body of the loop; `--list` shows every one with its source.
"Moved" is what all kernels read from the chip's memory and write to it, "operations" those of the
convolutions, and the floor the longer of the times that these two take at the chip's peak rates
(`targets.py`): where a cache serves a read, or a library needs fewer multiplications, less is
possible. "Memory" is what XLA reserves; cuDNN's workspaces, which are chosen on the card, come on
top. The largest batch follows from it, along the line through the two largest batches compiled.
"""

import argparse
import os
import pathlib
import sys

os.environ["JAX_PLATFORMS"] = "cpu"  # a card that is there takes no part
os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # else libtpu asks the network what this machine is

from benchmarks.compiled import measure, programs, report, targets

DTYPES = ("bfloat16", "float32")
WORK = ("step", "translation")


def main() -> None:
    """Prints a Markdown table, or lists of kernels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--target", nargs="+", choices=targets.TARGETS, default=["h200"])
    add("--config", nargs="+", choices=programs.CONFIGS, default=["pix2pix"])
    add("--work", nargs="+", choices=WORK, default=["step"], help="translation: on one device")
    add("--batch", nargs="+", type=int, default=[1], help="images on each device")
    add("--dtype", nargs="+", choices=DTYPES, default=["bfloat16"])
    add("--list", action="store_true", help="list the kernels, grouped by kind and source")
    add("--json", type=pathlib.Path, help="file of results; programs in it are not compiled again")
    add("--text", type=pathlib.Path, help="folder for the text of the compiled programs")
    options = parser.parse_args()
    known = measure.read(options.json) if options.json else {}
    rows = []
    for case in measure.cases(options):
        print(f"{' '.join(map(str, case))} ...", end="", file=sys.stderr, flush=True)
        row, listing = measure.measure(case, known, options.text, options.list)
        print(f" {row['seconds']:.0f} s to compile", file=sys.stderr)
        rows.append(row)
        if options.list:
            print(f"## {' '.join(map(str, case))}\n{listing}\n")
        if options.json and row["program"] not in known:
            measure.append(options.json, row)
    print(report.table(rows))


if __name__ == "__main__":
    main()
