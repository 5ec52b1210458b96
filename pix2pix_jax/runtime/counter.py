"""How far a program has got with a number of images."""

import time

from pix2pix_jax.runtime import console, processes

INTERVAL = 10  # seconds between lines


class Counter:
    """Counts images up to a total: a bar on a terminal, elsewhere a line every 10 seconds.

    Of several processes the first one speaks for all.
    """

    def __init__(self, total: int, title: str = "", lines: bool = True):
        """`title` says what is done with them. Without `lines` there is the bar or nothing."""
        self._total, self._title, self._lines = total, title, lines
        self._done, self._began = 0, None
        self._said = time.perf_counter()
        self._show()

    def add(self, count: int) -> None:
        """Counts images that are done. At the last one the bar goes."""
        now = time.perf_counter()
        self._done += count
        if self._began is None:  # the first batch compiles
            self._began, self._before = now, self._done
        self._show()
        if self._done >= self._total:
            console.clear_bar()
        elif self._lines and now - self._said >= INTERVAL and processes.is_first():
            self._said = now
            prefix = f"{self._title}: " if self._title else ""
            numbers = f"{self._done} of {self._total} images"
            console.progress("  ".join([prefix + numbers, *self._speed()]))

    def _show(self):
        if not console.has_bar() or not processes.is_first():
            return
        title = [self._title] if self._title else []
        share = min(self._done / max(self._total, 1), 1)
        console.show_bar(share, *title, f"{self._done}/{self._total} images", *self._speed())

    def _speed(self):
        if self._began is None or self._done == self._before:
            return []
        speed = (self._done - self._before) / max(time.perf_counter() - self._began, 1e-9)
        left = max(self._total - self._done, 0) / speed
        return [f"{speed:.1f} images/s", f"ETA {duration(left)}"]


def duration(seconds: float) -> str:
    """90 -> 1m30s."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
