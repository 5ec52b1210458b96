"""onnxruntime-web beside the page, so that it needs no CDN."""

import base64
import hashlib
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

FACTS = "runtime.json"  # version, files and their digests; the page reads it too
FOLDER = "vendor"


def fetch(page: pathlib.Path) -> None:
    """Puts the files that `page`/runtime.json names into `page`/vendor, by npm, once.

    Raises:
        OSError, ValueError: there is no npm or no network, or a file is another than it should be.
    """
    facts = json.loads((page / FACTS).read_text())
    wanted = facts["webgpu"] | facts["wasm"]
    folder = page / FOLDER
    if all(_digest(folder / name) == digest for name, digest in wanted.items()):
        return
    package = f"{facts['package']}@{facts['version']}"
    if not (npm := shutil.which("npm")):
        raise OSError(f"{package} comes by npm, and there is no npm: install Node.js")
    with tempfile.TemporaryDirectory() as scratch:
        print(f"fetching {package} with npm", flush=True)
        done = subprocess.run(
            [npm, "pack", package], cwd=scratch, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(f"npm pack {package} failed: {done.stderr.strip()[-300:]}")
        (archive,) = pathlib.Path(scratch).glob("*.tgz")
        folder.mkdir(exist_ok=True)
        with tarfile.open(archive) as files:
            for name in wanted:
                content = files.extractfile(f"package/dist/{name}").read()
                (folder / name).write_bytes(content)
    if wrong := [name for name, digest in wanted.items() if _digest(folder / name) != digest]:
        raise ValueError(f"{wrong[0]} of {package} has not the digest in {page / FACTS}")


def _digest(path):
    """As browsers check it; empty if there is no such file."""
    if not path.is_file():
        return ""
    return "sha384-" + base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
