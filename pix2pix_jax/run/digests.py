"""Digests of the files of a checkpoint, which show damage before it is trained on.

CRC-32 finds what disks and copies do (not what an attacker does), at about a gigabyte a second.
"""

import json
import pathlib
import zlib

DIGESTS_FILE = "digests.json"
NOT_FINAL = (DIGESTS_FILE, "_CHECKPOINT_METADATA")  # orbax adds the time of the commit to this one
CHUNK = 2**22  # bytes read at a time


def write_digests(folder: pathlib.Path) -> None:
    """Writes {relative path: [size, CRC-32]} of every file below `folder` to digests.json."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {
        str(path.relative_to(folder)): _digest(path) for path in files if path.name not in NOT_FINAL
    }
    (folder / DIGESTS_FILE).write_text(json.dumps(digests, indent=1) + "\n")


def find_damage(folder: pathlib.Path) -> str | None:
    """What is wrong with the files below `folder`; None if nothing, or if it has no digests.

    Raises:
        PermissionError: a file cannot be read by this user.
    """
    path = folder / DIGESTS_FILE
    if not path.exists():
        return None
    try:
        digests = json.loads(path.read_bytes())
        digests = {name: list(digest) for name, digest in digests.items()}
    except (ValueError, AttributeError, TypeError):
        return f"{DIGESTS_FILE} cannot be read"
    for name, digest in digests.items():
        try:
            if _digest(folder / name) != digest:
                return f"{name} has changed since it was saved"
        except PermissionError:
            raise
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def _digest(path):
    size, crc = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return [size, crc]
