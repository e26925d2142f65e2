"""Writing aside and renaming: a reader sees a whole file or directory, or none."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside `final`; move it there when the block ends well, remove it when not.

    Raises:
        OSError: the place cannot be written (read-only, full); says which path and what to do.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    except OSError as error:
        raise _explained(error, final) from error
    try:
        yield aside / final.name
        os.replace(aside / final.name, final)
    except OSError as error:
        raise _explained(error, final) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _explained(error: OSError, final: Path) -> OSError:
    reason = error.strerror or str(error)
    return type(error)(
        error.errno,
        f"Cannot write {final}: {reason}. Nothing was left there. Choose a path that is writable and has room",
    )
