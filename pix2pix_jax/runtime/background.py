"""Work in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_background(function: Callable, *arguments: Any) -> Callable[[], Any]:
    """Calls the function in a thread; what is returned waits for it and gives its result, once."""
    thread = ThreadPoolExecutor(1)
    futures = [thread.submit(function, *arguments)]
    thread.shutdown(wait=False)
    return lambda: futures.pop().result()
