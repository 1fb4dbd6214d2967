"""Making, opening and checking a SQLite file of ours."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.access import connect, lock_file, unavailable
from langchain_agentcost.ledger.kind import Kind
from langchain_agentcost.ledger.schema import LEDGER

if sys.platform != "win32":
    import fcntl

_PAGE_BYTES = 1024
"""An append writes one page of rows and one of the index: small pages make it a third cheaper."""


def prepare(path: Path, *, create: bool, kind: Kind = LEDGER) -> None:
    """See to it that a path holds a file of a kind, of the newest version, that can be written.

    A new one is made under another name and renamed when it is whole, readable by its owner only.

    Raises:
        StoreUnavailable: If it does not, and why.
    """
    try:
        if kind.is_new(path) and not create:
            _missing(path, kind)
        with _locked(path):
            if kind.is_new(path):
                _make(path, kind)
            connection = connect(path)
            try:
                kind.migrate(connection)
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
    except StoreUnavailable:
        raise
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error, kind.noun) from error


def _missing(path: Path, kind: Kind) -> NoReturn:
    raise StoreUnavailable(f"There is no {kind.noun} at {path}. Check the path; {kind.origin}.")


def _make(path: Path, kind: Kind) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        _remove(new)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = connect(new)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA synchronous = OFF")  # nobody knows the file yet: one sync at the end will do
            kind.migrate(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        _sync(new)
        new.replace(path)
    finally:
        _remove(new)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from making or migrating the same file."""
    if sys.platform == "win32":
        yield
        return
    existed = path.exists()
    descriptor = lock_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    except BaseException:
        if not existed and not path.exists():
            with suppress(OSError):
                Path(f"{path}.lock").unlink()
        raise
    finally:
        os.close(descriptor)
