"""Transactions on a connection that threads share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_agentcost.ledger.access import Access


class Steps:
    """Transactions over one `Access`.

    The garbage collector may close an abandoned stream, and so settle it, within a step on the same thread. Such a step
    becomes part of the one that it is in, and is kept or undone with it.

    Args:
        access: The connection, used by one thread at a time.
        begin: The statement that begins a transaction.
    """

    def __init__(self, access: Access, begin: str) -> None:
        self._access = access
        self._begin = begin

    @contextmanager
    def __call__(self) -> Iterator[sqlite3.Connection]:
        """Use the connection in a transaction that is committed at the end of the block."""
        with self._access as connection:
            if connection.in_transaction:
                yield connection
                return
            try:
                connection.execute(self._begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
