"""A server of static files for the page, on this machine."""

import functools
import http.server
import pathlib
from typing import Any


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, in the way that lets WebAssembly use several threads."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        """Adds what a page must have for shared memory, and that a model may change."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *values: Any) -> None:
        """Says nothing of single files."""


def start(folder: pathlib.Path, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """A server that is bound to a port (0: any free one) and not yet running.

    Raises:
        OSError: the port is taken.
    """
    handler = functools.partial(Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise OSError(f"{host}:{port} cannot be served ({error}): give another --port") from error


def serve(folder: pathlib.Path, host: str, port: int) -> None:
    """Serves a folder until Ctrl-C."""
    with start(folder, host, port) as server:
        print(
            f"http://{host}:{server.server_port}  (Ctrl-C ends it; files in {folder})", flush=True
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
