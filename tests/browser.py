"""Chromium without a window, driven through its WebDriver, with nothing to install for Python."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
SOFTWARE_WEBGPU = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
]


class Browser:
    """One tab; scripts are the bodies of async JavaScript functions."""

    def __init__(self, session: str):
        self._session = session

    def open(self, url: str) -> None:
        _send(f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script, whose `arguments` are those given, and returns what it returns."""
        whole = f"const done = arguments[arguments.length - 1]; (async () => {{{script}}})().then("
        whole += "value => done({value}), error => done({error: String(error)}))"
        answer = _send(f"{self._session}/execute/async", {"script": whole, "args": list(arguments)})
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer.get("value")

    def screenshot(self, path: pathlib.Path) -> None:
        path.write_bytes(base64.b64decode(_send(f"{self._session}/screenshot")))

    def act(self, *actions: dict[str, Any]) -> None:
        """A pointer's actions, as WebDriver has them."""
        pointer = {"type": "pointer", "id": "finger", "actions": list(actions)}
        _send(f"{self._session}/actions", {"actions": [pointer]})


@contextmanager
def started(width: int, height: int, *arguments: str, phone: bool = False) -> Iterator[Browser]:
    """A browser with an empty profile and a page of this size, which ends with the context."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            port = next(
                m[1]
                for line in driver.stdout
                if (m := re.search(r"successfully on port (\d+)", line))
            )
            options = [*ARGUMENTS, f"--user-data-dir={profile}", *arguments]
            options.append(f"--window-size={width},{height}")
            chrome = {"args": options, "binary": CHROMIUM}
            if phone:
                metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
                chrome["mobileEmulation"] = {"deviceMetrics": metrics}
            wanted = {"alwaysMatch": {"goog:chromeOptions": chrome}}
            base = f"http://127.0.0.1:{port}/session"
            session = f"{base}/{_send(base, {'capabilities': wanted})['sessionId']}"
            _send(f"{session}/timeouts", {"script": 120_000})
            try:
                yield Browser(session)
            finally:
                _send(session, method="DELETE")
        finally:
            driver.terminate()
            driver.wait()


def _send(url, data=None, method=None):
    request = urllib.request.Request(url, None if data is None else json.dumps(data).encode())
    request.method = method or ("GET" if data is None else "POST")
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from error
