"""Files that appear under their names only when they are whole, whatever stops the writer."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives the path of a temporary file beside `path`, which takes its name at the end.

    After an exception the temporary file is removed and `path` is as it was.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        unnamed = (None, str(temporary))  # a full disk does not say whose
        if isinstance(error, OSError) and error.errno and error.filename in unnamed:
            error.filename = str(path)
        raise
