"""One training at a time in a run that is in object storage."""

import json
import os
import secrets
import socket
import threading
import time

from pix2pix_jax.run.lock import LOCK_FILE
from pix2pix_jax.runtime.store import Store

RENEW = 5.0  # seconds after which the holder shows that it is alive
# Seconds without that, after which it is taken for dead. Other processes of the run wait meanwhile,
# and on CPU their first connection does so for 30 s.
WATCH = 20.0


class StoreLock:
    """A lock on a run in object storage, used like `WorkdirLock`.

    Stores know no locks that end with a process. So the holder keeps an object, changes it now and
    then, and removes it at its end. Who finds one watches it: if it changes, its holder is alive;
    if not, the holder was killed, and the lock is taken over. Clocks are not compared.

    A holder that was cut off for so long finds another's lock in the place of its own, and may not
    save any more, see `check`.
    """

    def __init__(self, store: Store, wanted: bool = True):
        """`wanted` is False in the processes of a run that write nothing there."""
        self._store, self._wanted = store, wanted
        self._token = secrets.token_hex(8)
        self._renewals = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None  # once the lock is held

    def __enter__(self) -> "StoreLock":
        if self._wanted and self._store.entries():
            self.take()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        if self._is_held():
            self._store.remove([LOCK_FILE])

    def take(self) -> None:
        """Locks the run, unless this has been done. Watches the lock that may be there.

        Raises:
            OSError: another training holds the lock, or the store cannot be written.
        """
        if self._thread is not None or not self._wanted:
            return
        if (found := self._store.read(LOCK_FILE)) is not None:
            self._watch(found)
            self._store.remove([LOCK_FILE])
        if not self._store.create(LOCK_FILE, self._content()):
            raise self._is_taken(self._store.read(LOCK_FILE))
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises OSError if the lock was held and is another's now."""
        if self._thread is not None and not self._is_held():
            raise OSError(
                f"another training has begun in {self._store.address}, while this one was stopped "
                "or cut off from the store for long: its saves are those that count"
            )

    def _watch(self, found):
        """Returns when the lock is released, or its holder must be dead; raises if it is alive."""
        print(
            f"{_holder(found)} has a lock on {self._store.address}: watching for {WATCH:.0f} s "
            "whether it is alive",
            flush=True,
        )
        end = time.monotonic() + WATCH
        while time.monotonic() < end:
            time.sleep(RENEW / 4)
            now = self._store.read(LOCK_FILE)
            if now is None:
                return
            if now != found:
                raise self._is_taken(now)

    def _is_taken(self, content):
        return OSError(
            f"{_holder(content)} is training in {self._store.address}: wait until it ends, or "
            "choose another --workdir"
        )

    def _renew(self):
        while not self._ended.wait(RENEW):
            try:
                if not self._is_held():
                    return
                self._renewals += 1
                self._store.write(LOCK_FILE, self._content())
            except OSError:  # the connection may come back; `check` finds out if it was too long
                pass

    def _is_held(self):
        return _fields(self._store.read(LOCK_FILE)).get("token") == self._token

    def _content(self):
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        fields = {"holder": holder, "token": self._token, "renewals": self._renewals}
        return json.dumps(fields).encode()


def _holder(content):
    return _fields(content).get("holder", "another process")


def _fields(content):
    try:
        return dict(json.loads(content or b"{}"))
    except (ValueError, TypeError):
        return {}
