"""The bar of a terminal, the log, and what is said before compiling."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import types

import jax
import jax.numpy as jnp
import pytest

from pix2pix_jax import command
from pix2pix_jax.run import compiling
from pix2pix_jax.run.kept_program import KeptProgram
from pix2pix_jax.runtime import compilation_cache, console
from pix2pix_jax.runtime.counter import Counter
from tests.conftest import small_config
from tests.test_command import ROOT


class Terminal(io.StringIO):
    """What a terminal of some width shows, with the two controls that a bar needs."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def screen(self, width):
        lines = [""]
        for word in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", self.getvalue()):
            if word == "\n":
                lines.append("")
            elif word == "\r":
                column = 0
            elif word == "\x1b[K":
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] += word
                assert len(lines[-1]) < width  # or it would wrap, and could not be written over
        return lines


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(console, "INTERVAL", 0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal()


def test_messages_come_above_the_bar(terminal, tmp_path):
    with contextlib.redirect_stdout(terminal), console.opened() as output:
        print("before the log")
        with output.logging_to(tmp_path / "log.txt"):
            console.show_bar(0.5, "step 5/10", "2 steps/s", "ETA 3s", "g_l1 1.5", "d_real 0.25")
            bar = "██████░░░░░░  50%  step 5/10  2 steps/s  ETA 3s  g_l1 1.5"
            assert terminal.screen(60) == ["before the log", bar]
            print("a", "message")
            console.progress("step 5/10 in the log only")
            assert terminal.screen(60) == ["before the log", "a message", bar]
            console.show_bar(1, "step 10/10")
            assert terminal.screen(60)[-1] == "████████████ 100%  step 10/10"
            print("half", end="")
            assert terminal.screen(60)[-1] == "half"
            print(" a line")
            console.clear_bar()
            assert terminal.screen(60)[-2:] == ["half a line", ""]
    with (
        contextlib.redirect_stdout(io.StringIO()),
        console.opened() as output,
        pytest.raises(ValueError),
        output.logging_to(tmp_path / "log.txt"),  # of the run that is resumed
    ):
        raise ValueError("as it was said")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    assert [line[21:] for line in lines] == [
        "before the log",
        "a message",
        "step 5/10 in the log only",
        "half a line",
        "ValueError: as it was said",
    ]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM", None])
def test_without_a_terminal_there_are_lines(terminal, monkeypatch, variable):
    if variable:
        monkeypatch.setenv(variable, "dumb")
    else:
        terminal.isatty = lambda: False
    with contextlib.redirect_stdout(terminal), console.opened():
        console.show_bar(0.5, "step 5/10")
        console.progress("step 5/10")
    assert terminal.getvalue() == "step 5/10\n"


def test_counting_images(terminal, monkeypatch, capsys):
    """The first batch, which compiles, is no part of the speed."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)

    def count():
        counter = Counter(50, "validation")
        for seconds in (100, 5, 5):
            clock.now += seconds
            counter.add(10)
        return counter

    count()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "validation: 10 of 50 images"
    assert second == "validation: 30 of 50 images  2.0 images/s  ETA 10s"
    with contextlib.redirect_stdout(terminal), console.opened():
        counter = count()
        bar = "███████░░░░░  60%  validation  30/50 images  2.0 images/s"
        assert terminal.screen(60) == [bar]
        counter.add(20)
        assert terminal.screen(60) == [""]


def test_what_is_said_before_compiling(tmp_path, monkeypatch, capsys):
    """Nothing is known, then the same program, then one of the same networks."""
    monkeypatch.setattr(compilation_cache, "SHORTEST", 0)
    monkeypatch.setattr(compilation_cache, "folder", lambda: tmp_path)
    config = small_config()

    def said(factor):
        step = jax.jit(lambda state, cache, chunk, flags: (state + factor * chunk.sum(), cache))
        call = compiling.Programs(config, step, 6, KeptProgram(config))
        for _ in range(2):
            assert call(jnp.ones(()), None, jnp.ones((1, 3)), None)[0] == 1 + 3 * factor
        return capsys.readouterr().out

    assert said(2) == "compiling the training step, once; large networks take minutes\n"
    (entry,) = json.loads((tmp_path / compiling.FILE).read_text()).values()
    assert 0 <= entry["seconds"] < 60
    assert said(2) == "loading the training step from the compilation cache\n"
    path = tmp_path / compiling.FILE
    path.write_text(path.read_text().replace(f": {entry['seconds']}", ": 75.0"))
    line = "compiling the training step, once; a similar program took 1m15s here\n"
    assert said(3) == line
    path.write_text("{damaged")
    assert "take minutes" in said(2)


def test_names_that_are_no_text(tmp_path, monkeypatch):
    """They are printed and logged with their bytes escaped; UTF-8 stops at them otherwise."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stdout)
    console.print_any_name()
    with console.opened() as output, output.logging_to(tmp_path / "log.txt"):
        print("skipped ä", os.fsdecode(b"\xff.png"))
    stdout.flush()
    assert stdout.buffer.getvalue().decode() == "skipped ä \\udcff.png\n"
    assert "skipped ä \\udcff.png\n" in (tmp_path / "log.txt").read_text("utf-8")


def test_control_c_during_the_imports():
    """The command's module stands for those that take a second."""
    code = (
        "import signal, sys, types\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pix2pix_jax.command':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "from pix2pix_jax.__main__ import main\n"
        "sys.meta_path.insert(0, Slow())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_control_c_in_a_callback_comes_again(monkeypatch):
    """Such as JAX's of the garbage collector, whose exceptions nobody can catch."""
    monkeypatch.setattr(sys, "unraisablehook", command._print_exception)

    class Callback:
        def __del__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Callback()
        time.sleep(5)


CODE = """
import signal, sys
import {module} as module
from {program} import main
module.{function} = lambda *_: signal.raise_signal(signal.SIGINT)
main()
"""


@pytest.mark.parametrize(
    "program, module, function, arguments",
    [
        (
            "pix2pix_jax", "pix2pix_jax.command", "_run",
            "--config=configs/quickstart.py --compilation_cache=off",
        ),
        ("pix2pix_jax.dataset", "pix2pix_jax.dataset.check", "check", "check x"),
        (
            "pix2pix_jax.blending", "pix2pix_jax.blending.__main__", "_check_output",
            "--foreground=x --background=x --mask=x --output=x",
        ),
    ],
)  # fmt: skip
def test_control_c_ends_a_program_without_a_traceback(program, module, function, arguments):
    """It dies of the signal all the same, which a shell's loop around it needs to see."""
    code = CODE.format(program=f"{program}.__main__", module=module, function=function)
    command = [sys.executable, "-c", code, *arguments.split()]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "stopped\n")
