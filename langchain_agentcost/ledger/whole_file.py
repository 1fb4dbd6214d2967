"""Files that are written whole or not at all, and never over a ledger or a budget store."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.kind import noun_of

_BESIDE = ("-wal", "-shm", "-journal", ".lock")
"""How the names of the files that lie beside a ledger or budget store, and belong to it, end."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a file that takes its place only when the block ends well; what was there before stays until then.

    A new file can be read by its owner only; one that is replaced keeps its mode. A link is followed. What is there
    and is no regular file, such as a pipe, a terminal or `/dev/null`, is written to as it is.

    Args:
        path: Where the file goes.

    Yields:
        The file, to write bytes to.

    Raises:
        StoreUnavailable: If it cannot be written, or if a ledger or budget store, or a file that belongs to one,
            is there.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "report.html")) as file:
        ...         written = file.write(b"<p>")
        ...     Path(folder, "report.html").read_bytes()
        b'<p>'
    """
    path = Path(path)
    try:
        mode = _mode(path)
        with _replaced(path, mode) if mode is None or stat.S_ISREG(mode) else path.open("wb") as file:
            yield file
    except StoreUnavailable:
        raise
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}.") from error


def _mode(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_mode
    return None


@contextmanager
def _replaced(path: Path, mode: int | None) -> Iterator[IO[bytes]]:
    target = path.resolve()
    _refuse_ledgers(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:200]}.", dir=target.parent)
    half = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        if mode is not None:
            half.chmod(stat.S_IMODE(mode))
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


def _refuse_ledgers(target: Path) -> None:
    owners = [target, *(Path(str(target).removesuffix(end)) for end in _BESIDE if target.name.endswith(end))]
    for owner in owners:
        noun = noun_of(owner)
        if noun is not None:
            raise StoreUnavailable(
                f"{target} belongs to the {noun} {owner} and would be lost. It was not changed; choose another path."
            )
