"""What kind of file of ours a path holds, and how such a file comes to the newest version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_agentcost.errors import StoreUnavailable

NOUNS = {0x61676374: "ledger", 0x61676362: "budget store", 0x61676363: "cache"}
"""Our application ids, "agct", "agcb" and "agcc", which the header of a file holds, and what such a file is called."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of SQLite file.

    Args:
        application_id: Says in the file's header what it is; one of `NOUNS`.
        origin: How such a file comes about, as a sentence, for whoever looks for one in vain.
        steps: Step n leads from version n to n + 1; a new file goes through all of them, so there is one path only.
    """

    application_id: int
    origin: str
    steps: Sequence[Callable[[sqlite3.Connection], None]]

    @property
    def noun(self) -> str:
        """What such a file is called."""
        return NOUNS[self.application_id]

    def migrate(self, connection: sqlite3.Connection) -> None:
        """Bring a file to the newest version, all steps or none. Of two processes at once, one waits for the other.

        Raises:
            StoreUnavailable: If the file was written by a newer version of this package.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            self._refuse_newer(version)
            for step in self.steps[version:]:
                step(connection)
            if version < len(self.steps):
                connection.execute(f"PRAGMA application_id = {self.application_id}")
                connection.execute(f"PRAGMA user_version = {len(self.steps)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def is_new(self, path: Path) -> bool:
        """Look at a path without changing anything.

        Returns:
            True where there is nothing yet: no file, or an empty one.

        Raises:
            StoreUnavailable: If the path holds something that is not of this kind.
        """
        if path.is_dir():
            raise StoreUnavailable(f"{path} is a directory; name a file in it, such as {path / 'ledger.db'}.")
        if not path.parent.is_dir():
            raise StoreUnavailable(f"{path.parent} is not a directory that exists; create it, or choose another path.")
        if not path.exists():
            return True
        if not path.is_file():
            raise StoreUnavailable(f"{path} is not a regular file; choose another path.")
        if not path.stat().st_size:
            return True
        owner = _owner(path)
        if owner != self.application_id:
            what = f"a {NOUNS[owner]}, not a {self.noun}" if owner in NOUNS else "a SQLite file of another program"
            raise StoreUnavailable(f"{path} is {what}. It was not changed; choose another path.")
        return False

    def _refuse_newer(self, version: int) -> None:
        if version > len(self.steps):
            raise StoreUnavailable(
                f"The {self.noun} has schema version {version}, this package knows up to {len(self.steps)}. "
                "Upgrade langchain-agentcost; the file was not changed."
            )


def noun_of(path: Path) -> str | None:
    """What a path holds where it is a file of ours of any version, else None; nothing is changed."""
    try:
        return NOUNS.get(_owner(path)) if path.is_file() else None
    except (StoreUnavailable, sqlite3.DatabaseError):
        return None


def script(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements within the open transaction, which `executescript` would commit."""
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)


def _owner(path: Path) -> int:
    """Read the application id without any lock, log or change.

    Only SQLite may open the file: when a process closes a file of its own it loses its locks on it, and then another
    process could delete the log of a database that is open here.
    """
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return int(connection.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname != "SQLITE_NOTADB":
            raise
        raise StoreUnavailable(f"{path} is not a SQLite file, or its start is damaged. It was not changed.") from error
    finally:
        connection.close()
