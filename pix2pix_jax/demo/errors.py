"""Errors of the user, shown on the page."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose ValueError and OSError appear on the page: they say what to do."""

    @functools.wraps(function)
    def call(*args):
        try:
            return function(*args)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call
