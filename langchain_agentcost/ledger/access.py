"""Exclusive use of one SQLite connection: between the threads of a process, and for writing between processes.

SQLite's own waiting ends after a time, and it is unfair: of eight writers that never pause, one saw up to 2,300 commits
of the others before its next one. A blocking `flock` on a file beside the database waits as long as it takes, also
while another process rewrites a large file, and hands the turn on sooner (400 to 900): no writer is told "database is
locked". It costs 3 to 5 us an append.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock, get_ident
from types import TracebackType

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.fork import rest_at_fork

if sys.platform != "win32":
    import fcntl

BUSY_TIMEOUT_S = 30.0
"""How long to wait for other programs that write to the file, such as the sqlite3 shell."""

_PAGES_PER_CHECKPOINT = 16_000
"""16 MB of write-ahead log: a checkpoint syncs the disk, so it should be rare."""

_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}",
    "PRAGMA cache_size = -8000",
    "PRAGMA secure_delete = FAST",
    "PRAGMA trusted_schema = OFF",
)

_ADVICE = {
    "SQLITE_FULL": "the disk is full. Free some space; what was written before is safe",
    "SQLITE_READONLY": "it is read-only. Check the owner and mode of the file and its directory, or copy it",
    "SQLITE_CANTOPEN": "it cannot be opened. Check the owner and mode of the file and its directory",
    "SQLITE_CORRUPT": "it is damaged. Restore a backup, or rescue what is left with: sqlite3 FILE .recover",
    "SQLITE_NOTADB": "it is damaged. Restore a backup, or rescue what is left with: sqlite3 FILE .recover",
    "SQLITE_BUSY": f"another program has kept it locked for {BUSY_TIMEOUT_S:.0f} s. Close that program",
    "SQLITE_IOERR": "the disk failed or is full. Check the space left and the system's log",
}


_OS_ADVICE = {
    errno.EROFS: "Check the owner and mode of the file and its directory, or copy it to where it can be written",
    errno.EACCES: "Check the owner and mode of the file and its directory",
    errno.EPERM: "Check the owner and mode of the file and its directory",
    errno.ENOSPC: "The disk is full: free some space",
    errno.EFBIG: "The disk is full for this user: raise the limit of file sizes",
    errno.EMFILE: "Raise the limit of open files",
}


def unavailable(path: Path, error: sqlite3.Error | OSError, noun: str) -> StoreUnavailable:
    """Say what is wrong with a file of ours and what to do."""
    if isinstance(error, OSError):
        advice = _OS_ADVICE.get(error.errno or 0, "See the system's log")
        return StoreUnavailable(f"The {noun} {path} cannot be used: {error.strerror or error}. {advice}.")
    name = getattr(error, "sqlite_errorname", None) or ""
    advice = next((text for start, text in _ADVICE.items() if name.startswith(start)), "SQLite refused")
    return StoreUnavailable(f"The {noun} {path} cannot be used: {advice} (SQLite: {error}).")


class Access:
    """One connection, used by one thread at a time, in a `with` block that gives it.

    The connection is opened when it is first needed and let go of before a fork. Errors of SQLite leave the block as
    `StoreUnavailable`, with the transaction rolled back.

    The garbage collector may close an abandoned stream, and so use the same connection, between any two steps in here.
    So blocks of one thread nest, each is entered with the file locked, and the outermost unlocks it and rolls back.

    Args:
        path: The database.
        exclusive: Whether to keep other processes out as well: what writes has to.
        functions: Functions of two arguments that statements may call, by name.
        noun: What errors call the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        exclusive: bool,
        functions: Mapping[str, Callable[..., str | None]] | None = None,
        noun: str = "ledger",
    ) -> None:
        self.path = path
        self._noun = noun
        self._functions = functions or {}
        self._exclusive = exclusive
        self._lock = RLock()
        self._depth = 0
        self._connection: sqlite3.Connection | None = None
        self._lock_file = -1
        self._closed = False
        self._owner = 0
        rest_at_fork(self)

    @property
    def mine(self) -> bool:
        """Whether this thread is inside the block already."""
        return self._owner == get_ident()

    def __enter__(self) -> sqlite3.Connection:
        """Wait for the turn."""
        self._lock.acquire()
        self._depth += 1
        self._owner = get_ident()
        try:
            connection = self._connection or self._connect()
            if self._lock_file >= 0:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        except BaseException:
            self._leave()
            raise
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hand the turn on."""
        try:
            outermost, connection = self._depth == 1, self._connection
            if error is not None and outermost and connection is not None and connection.in_transaction:
                connection.rollback()
        finally:
            self._leave()
        if isinstance(error, sqlite3.Error):
            raise unavailable(self.path, error, self._noun) from error

    def close(self) -> None:
        """Close the connection for good, at the end of the block where this thread is in one."""
        with self._lock:
            self._closed = True
            if not self._depth:
                self._release()

    def hold(self) -> None:
        """Close the connection before a fork, and let nobody open it until it is over."""
        self._lock.acquire()
        self._release()

    def resume(self) -> None:
        """Let the connection be opened again, by the parent and by the child, each their own."""
        self._lock.release()

    def _leave(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            if self._closed:
                self._release()
            if self._lock_file >= 0:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable(f"The {self._noun} {self.path} was closed; open it again.")
        try:
            if self._exclusive and sys.platform != "win32" and self._lock_file < 0:
                self._keep_lock_file(lock_file(self.path))
            connection = connect(self.path)
            for name, function in self._functions.items():
                connection.create_function(name, 2, function, deterministic=True)
        except (sqlite3.Error, OSError) as error:
            raise unavailable(self.path, error, self._noun) from error
        self._connection = self._connection or connection  # a nested block may have connected meanwhile
        if self._connection is not connection:
            connection.close()
        return self._connection

    def _keep_lock_file(self, descriptor: int) -> None:
        self._lock_file = descriptor if self._lock_file < 0 else self._lock_file  # or opened this file
        if self._lock_file != descriptor:
            os.close(descriptor)

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1


def connect(path: Path) -> sqlite3.Connection:
    """Open a database that exists, in autocommit mode, for any thread."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def lock_file(path: Path) -> int:
    """Open the file that writers lock, beside the database."""
    return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
