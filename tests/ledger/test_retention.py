"""Pruning and forgetting."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import QueryError, StoreUnavailable
from langchain_agentcost.ledger import Entry, Ledger, MemoryLedger, SQLiteLedger, sqlite
from tests.ledger.made import NOON, ROUTED, call, entries, few
from tests.ledger.reference import reference_totals


def test_pruning_removes_what_is_old(ledger: Ledger) -> None:
    """Entries before the instant are gone, those at it and after stay, and their ids may be used again."""
    for number in range(4):
        ledger.append(call(number, minutes=number))
    assert ledger.prune(call(0, minutes=2).at) == 2
    assert [entry.id for entry in ledger.entries()] == [call(2).id, call(3).id]
    ledger.append(call(0, minutes=9))
    assert ledger.totals()[0].calls == 3


def test_pruning_takes_decisions_along(ledger: Ledger) -> None:
    """An entry that comes after one that was pruned has nothing of its decision."""
    ledger.append(replace(call(1), decision="d1", routed=ROUTED))
    assert ledger.prune(NOON + timedelta(hours=1)) == 1
    later = call(2, minutes=90)
    ledger.append(later)
    assert list(ledger.entries()) == [later]


def test_pruning_needs_a_time_zone(ledger: Ledger) -> None:
    """A naive instant could delete too much: it is refused."""
    with pytest.raises(QueryError, match="time zone"):
        ledger.prune(NOON.replace(tzinfo=None))


def test_forgetting_removes_the_user_and_keeps_the_amounts(ledger: Ledger) -> None:
    """The user's label and their sessions' are gone from all entries; totals by anything else stay the same."""
    ledger.append(replace(call(1, user="ann", session="s1", node="a"), fingerprints=(("feed", 3),)))
    ledger.append(replace(call(2, user="bob", session="s1", node="a"), fingerprints=(("beef", 3),)))
    ledger.append(call(3, user="bob", session="s2", node="b"))
    ledger.append(call(4, user="ann", session=None, node="b"))
    before = ledger.totals(("node",))
    assert ledger.forget("ann") == 3
    assert ledger.totals(("node",)) == before
    kept = [(e.attribution.user, e.attribution.session, e.fingerprints) for e in ledger.entries()]
    assert kept == [(None, None, None), ("bob", None, (("beef", 3),)), ("bob", "s2", None), (None, None, None)]
    assert ledger.forget("ann") == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(entries, max_size=20), st.lists(entries, max_size=5), few([-20, 0, 6, 50]), st.booleans())
def test_totals_stay_sums_of_the_entries(old: list[Entry], new: list[Entry], hours: int, forget_first: bool) -> None:
    """Whatever is forgotten, pruned and appended again, both ledgers agree with each other and with their entries."""
    kept: list[list[Entry]] = []
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "FOLD_EVERY", 4)
        with MemoryLedger() as memory, SQLiteLedger(Path(folder, "ledger.db")) as file:
            for ledger in (memory, file):
                for entry in old:
                    ledger.append(entry)
                if forget_first:
                    ledger.forget("a")
                ledger.prune(NOON + timedelta(hours=hours))
                for entry in new:
                    ledger.append(entry)
                ledger.forget("a")
                for by in (("user", "node"), ("day", "kind"), ("session",)):
                    assert list(ledger.totals(by)) == reference_totals(ledger.entries(), by)
                kept.append(list(ledger.entries()))
    assert kept[0] == kept[1]


_steps = st.lists(
    st.tuples(few(range(6)), few([None, "ann", "bob"]), few([None, "s1", "s2"])) | few(["ann", "bob", 2, 4]),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(_steps)
@example([(1, "bob", "s1"), (1, "ann", "s1"), "ann"])
def test_both_ledgers_forget_the_same(steps: list[Any]) -> None:
    """Whatever is appended, forgotten and pruned in which order, also under an id that is there, both say the same."""
    with TemporaryDirectory() as folder, MemoryLedger() as memory, SQLiteLedger(Path(folder, "ledger.db")) as file:
        for step in steps:
            if isinstance(step, str):
                assert memory.forget(step) == file.forget(step)
            elif isinstance(step, int):
                assert memory.prune(call(0, minutes=step).at) == file.prune(call(0, minutes=step).at)
            else:
                number, user, session = step
                for ledger in (memory, file):
                    ledger.append(call(number, minutes=number, user=user, session=session))
            assert list(memory.entries()) == list(file.entries())
            assert memory.totals(("user",)) == file.totals(("user",))


def test_an_entry_that_is_there_leaves_no_labels(tmp_path: Path, bytes_under: Callable[[Path], bytes]) -> None:
    """Of an entry that is not kept, no label gets into the file."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="bob", session="s1"))
        ledger.append(call(1, user="mallory-the-canary", session="s1", node="secret-node"))
        held = bytes_under(tmp_path)
    assert b"bob" in held
    assert not [text for text in (b"mallory", b"secret-node") if text in held]


def test_labels_without_entries_erase_nothing(tmp_path: Path) -> None:
    """A session that a file ties to a user without any entry of theirs stays with the user who has it."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="bob", session="s1"))
        connection = sqlite3.connect(tmp_path / "ledger.db")
        connection.execute("INSERT INTO person (user) VALUES ('ann')")
        connection.execute("INSERT INTO run (person, session) VALUES (last_insert_rowid(), 's1')")
        connection.commit()
        connection.close()
        assert ledger.forget("ann") == 0
        assert [entry.attribution.session for entry in ledger.entries()] == ["s1"]


def test_forgotten_text_is_in_no_file(tmp_path: Path, bytes_under: Callable[[Path], bytes]) -> None:
    """The labels are gone from the database, its log and whatever else lies beside it, byte for byte."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        for number in range(3000):
            who = "mallory-the-canary" if number % 3 else f"user-{number}"
            ledger.append(call(number, user=who, session=f"secret-session-{number % 3}", node=f"n{number % 50}"))
        assert b"mallory" in bytes_under(tmp_path)
        ledger.forget("mallory-the-canary")
        held = bytes_under(tmp_path)
        assert b"mallory" not in held
        assert b"secret-session-1" not in held
        assert b"secret-session-0" in held
    assert b"mallory" not in bytes_under(tmp_path)


def test_pruned_text_is_in_no_file(tmp_path: Path, bytes_under: Callable[[Path], bytes]) -> None:
    """Labels that only pruned entries had are gone as well."""
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="old-user", run="old-run", tags=(("ticket", "old-ticket"),)))
        ledger.append(call(2, user="new-user", minutes=5))
        ledger.prune(call(2, minutes=5).at)
        held = bytes_under(tmp_path)
        assert not [text for text in (b"old-user", b"old-run", b"old-ticket") if text in held]
        assert b"new-user" in held


def test_a_reader_elsewhere_that_keeps_old_pages_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the text cannot be wiped because another program reads, that is said, and the next try succeeds."""
    monkeypatch.setattr("langchain_agentcost.ledger.access.BUSY_TIMEOUT_S", 0.2)
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        ledger.append(call(1, user="ann"))
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM entry").fetchall()
        with pytest.raises(StoreUnavailable, match="Run the command again"):
            ledger.forget("ann")
        other.execute("COMMIT")
        other.close()
        assert ledger.forget("ann") == 0
        assert ledger.totals(("user",))[0].key == (None,)
