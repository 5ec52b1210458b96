"""Stopping a run from outside: SIGTERM and Ctrl-C ask, the training loop answers."""

import signal
import threading
from types import FrameType


class StopRequest:
    """While entered, the first SIGTERM or SIGINT sets `requested`; a second one acts as usual.

    Outside the main thread (where Python handles no signals) it never is requested.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.requested = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._handle) for s in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.requested = True
        name = signal.Signals(number).name
        print(f"{name}: saving after this step (a second one ends it at once)", flush=True)
        signal.signal(number, self._previous[number])
