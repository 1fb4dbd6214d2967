"""How a file gets from one schema version to the next."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from langchain_agentcost.ledger import SQLiteLedger
from langchain_agentcost.ledger.access import connect
from langchain_agentcost.ledger.schema import APPLICATION_ID, DAILY, LEDGER, MIGRATIONS, VERSION, fold
from langchain_agentcost.pricing.cost import Cost
from tests.ledger.made import ROUTED, call
from tests.ledger.reference import reference_totals


def first_version(path: Path, entries: int) -> None:
    """Make a file of version 1, from before there were sums per day, with entries in it."""
    with SQLiteLedger(path) as ledger:
        for number in range(entries):
            ledger.append(call(number, node=f"n{number % 3}", minutes=number * 7))
    connection = sqlite3.connect(path)
    for table in DAILY:
        connection.execute(f"DROP TABLE {table}")
    connection.execute("ALTER TABLE state DROP COLUMN folded")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def version(path: Path) -> tuple[int, int]:
    """The version and the owner that a file states."""
    connection = sqlite3.connect(path)
    stated = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")]
    connection.close()
    return stated[0], stated[1]


def test_an_old_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """A file of version 1 gets its sums per day from the entries that it has, and gives the same totals."""
    path = tmp_path / "ledger.db"
    first_version(path, 500)
    with SQLiteLedger(path) as ledger:
        for by in (("node",), ("day",), ()):
            assert list(ledger.totals(by)) == reference_totals(ledger.entries(), by)
        assert sqlite3.connect(path).execute("SELECT folded FROM state").fetchone() == (500,)
    assert version(path) == (VERSION, APPLICATION_ID)


def test_savings_of_an_old_file_without_a_price_are_counted(tmp_path: Path) -> None:
    """A file of version 2 kept no count of cache hits with an unknown saving: it is made up for, per day as well."""
    path = tmp_path / "ledger.db"
    hit = replace(call(1), kind="cache_hit", cost=None)
    known, saving = replace(hit, id="known", saved=Cost(5, output_nano=5)), replace(hit, id="saving", kind="saving")
    with SQLiteLedger(path) as ledger:
        for entry in (hit, known, saving, replace(call(2), cost=None)):
            ledger.append(entry)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entry SET unpriced = 0 WHERE kind != 0")
    fold(connection)
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    with SQLiteLedger(path) as ledger:
        assert list(ledger.totals(("day",))) == reference_totals(ledger.entries(), ("day",))
        assert (ledger.totals()[0].unpriced_savings, ledger.totals()[0].unpriced_calls) == (2, 1)


def test_sums_of_an_old_file_are_made_anew(tmp_path: Path) -> None:
    """A file of version 3, whose sums had other columns, gives the same totals by label, by user and by both."""
    path = tmp_path / "ledger.db"
    with SQLiteLedger(path) as ledger:
        for number in range(300):
            ledger.append(call(number, node=f"n{number % 3}", user=f"u{number % 7}", minutes=number * 7))
    connection = sqlite3.connect(path)
    for table in ("person_rollup", "person_rare", "rollup", "latency"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("CREATE TABLE rollup (attribution, kind, status, person, day, n)")
    connection.execute("INSERT INTO rollup VALUES (1, 0, 0, 1, 20780, 999)")
    connection.execute("CREATE TABLE latency (attribution, kind, status, bucket, day, n)")
    connection.execute("UPDATE state SET folded = 200")
    connection.execute("PRAGMA user_version = 3")
    connection.commit()
    connection.close()
    with SQLiteLedger(path) as ledger:
        for by in (("node",), ("user",), ("user", "node"), ("day",)):
            assert list(ledger.totals(by)) == reference_totals(ledger.entries(), by)


def test_a_file_from_before_routers_takes_decisions(tmp_path: Path) -> None:
    """A file of version 4 keeps its entries and its sums, and then decisions and the calls that name them."""
    path = tmp_path / "ledger.db"
    with SQLiteLedger(path) as ledger:
        for number in range(20):
            ledger.append(call(number, node="n"))
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE routed")
    connection.execute("PRAGMA user_version = 4")
    connection.commit()
    connection.close()
    routed = replace(call(30, node="n"), decision="d1")
    decided = replace(routed, id="decided", kind="decision", usage=None, cost=None, duration_s=None, routed=ROUTED)
    with SQLiteLedger(path) as ledger:
        before = ledger.totals()
        for entry in (routed, decided):
            ledger.append(entry)
        assert [*ledger.entries({"id": [routed.id, "decided"]})] == [routed, decided]
        assert ledger.totals()[0].calls == before[0].calls + 1
        assert list(ledger.totals(("kind",))) == reference_totals(ledger.entries(), ("kind",))
    assert version(path) == (VERSION, APPLICATION_ID)


def test_processes_that_migrate_at_once_agree(tmp_path: Path) -> None:
    """Of several processes that open an old file at once, one migrates it and all go on."""
    path = tmp_path / "ledger.db"
    first_version(path, 300)
    script = """
import os, sys
from tests.ledger.made import call
from langchain_agentcost.ledger import SQLiteLedger
for worker in range(6):
    if os.fork() == 0:
        with SQLiteLedger(sys.argv[1]) as ledger:
            ledger.append(call(10**6 + worker))
        os._exit(0)
assert [os.wait()[1] for _ in range(6)] == [0] * 6
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=True)
    with SQLiteLedger(path) as ledger:
        assert ledger.totals()[0].calls == 306
        assert list(ledger.totals(("node",))) == reference_totals(ledger.entries(), ("node",))


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Either all steps are done or none: a failure in the middle leaves the old version whole."""
    path = tmp_path / "ledger.db"
    first_version(path, 10)

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        connection.execute("SELECT nonsense")

    connection = connect(path)
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        replace(LEDGER, steps=(*MIGRATIONS, breaks)).migrate(connection)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert not tables & {"half", "rollup"}
    assert version(path)[0] == 1
    with SQLiteLedger(path) as ledger:
        assert ledger.totals()[0].calls == 10
