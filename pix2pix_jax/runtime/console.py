"""What a program prints: lines, below them a bar on a terminal, and a log of the lines in a file.

While `opened`, a `Console` stands behind sys.stdout and sys.stderr. So what any module prints comes
above the bar and into the log.
"""

import collections
import contextlib
import os
import pathlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

BAR = 12  # characters
INTERVAL = 0.1  # seconds between drawings of the bar
KEPT = 1000  # lines that wait for a log
ERASE = "\r\x1b[K"  # back to the beginning of the line, and clear it


class Console:
    """A terminal's lines with a bar below, and their log."""

    def __init__(self, stdout: TextIO):
        self._stdout = stdout
        self.has_bar = _can_rewrite(stdout)
        self._bar, self._drawn, self._time = "", False, 0.0
        self._lock = threading.RLock()  # threads print, and so do signal handlers in between
        self._begun = ""  # a line that is not ended
        self._waiting: collections.deque[str] = collections.deque(maxlen=KEPT)
        self._log: TextIO | None = None

    def write(self, stream: TextIO, text: str) -> int:
        """Writes text to one of the two streams, and to the log."""
        with self._lock:
            self._erase()
            count = stream.write(text)
            self.log(text)
            if not self._begun:
                self._draw()
        return count

    def log(self, text: str) -> None:
        """Writes text to the log alone. Its lines get the time."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            self._waiting.extend(f"{now}  {line}\n" for line in lines)
            if self._log is not None:
                self._log.writelines(self._waiting)
                self._log.flush()
                self._waiting.clear()

    @contextlib.contextmanager
    def logging_to(self, path: pathlib.Path) -> Iterator[None]:
        """Appends to a file what has been printed so far and what will be; also an exception."""
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            self._log = file
            try:
                self.log("")
                yield
            except BaseException as error:
                self.log(f"{type(error).__name__}: {error}\n")
                raise
            finally:
                self._log = None

    def show(self, share: float, *parts: str) -> None:
        """Draws a bar in place of the last one: how much is done, in [0, 1], and words on it.

        Words for which the terminal is too narrow are left out, the last ones first.
        """
        if not self.has_bar:
            return
        with self._lock:
            new, self._bar = not self._bar, self._line(share, parts)
            if new or time.monotonic() - self._time >= INTERVAL:
                self._draw()

    def clear(self) -> None:
        """Takes the bar away."""
        with self._lock:
            self._bar = ""
            self._erase()

    def _line(self, share, parts):
        width = shutil.get_terminal_size().columns - 1  # a full line would begin the next one
        full, empty = "█░" if "utf" in (self._stdout.encoding or "").lower() else "#."
        done = int(share * BAR)
        line = f"{full * done}{empty * (BAR - done)} {share:4.0%}"
        for part in parts:
            if len(line) + 2 + len(part) > width:
                break
            line += f"  {part}"
        return line[:width]

    def _draw(self):
        if self._bar:
            self._stdout.write(ERASE + self._bar)
            self._stdout.flush()
            self._drawn, self._time = True, time.monotonic()

    def _erase(self):
        if self._drawn:
            self._stdout.write(ERASE)
            self._stdout.flush()
            self._drawn = False


class _Stream:
    """sys.stdout or sys.stderr, written to by way of a console."""

    def __init__(self, console: Console, stream: TextIO):
        self.console, self._stream = console, stream

    def write(self, text: str) -> int:
        return self.console.write(self._stream, text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def opened() -> Iterator[Console]:
    """The console of what is printed meanwhile: the present one, or a new one that ends with it."""
    if isinstance(sys.stdout, _Stream):
        yield sys.stdout.console
        return
    console = Console(sys.stdout)
    with (
        contextlib.redirect_stdout(_Stream(console, sys.stdout)),
        contextlib.redirect_stderr(_Stream(console, sys.stderr)),
    ):
        try:
            yield console
        finally:
            console.clear()


def print_any_name() -> None:
    """Lets this program print file names whose bytes are no text, with those bytes escaped."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is from the start


def stop_in_a_line() -> None:
    """Lets Ctrl-C, where nothing else answers it, end this program with a word, not a traceback.

    It still dies of the signal, by which a shell ends the loop that it runs in.
    """
    sys.excepthook = _say_uncaught


def _say_uncaught(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def has_bar() -> bool:
    """Whether there is an opened console on a terminal."""
    return isinstance(sys.stdout, _Stream) and sys.stdout.console.has_bar


def progress(line: str) -> None:
    """Prints a line of progress; where a bar shows that already, only the log gets it."""
    if has_bar():
        sys.stdout.console.log(f"{line}\n")
    else:
        print(line, flush=True)


def show_bar(share: float, *parts: str) -> None:
    """As `Console.show`; does nothing where there can be no bar."""
    if has_bar():
        sys.stdout.console.show(share, *parts)


def clear_bar() -> None:
    """As `Console.clear`; does nothing where there can be no bar."""
    if has_bar():
        sys.stdout.console.clear()


def _can_rewrite(stream):
    """Whether a stream is a terminal on which a line can be written over, and should be."""
    plain = os.environ.get("TERM", "dumb") == "dumb" or os.environ.get("NO_COLOR")
    return stream.isatty() and not plain
