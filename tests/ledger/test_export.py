"""Taking a ledger out, and in again."""

from __future__ import annotations

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from langchain_agentcost.errors import InvalidEntry, MissingExtra, QueryError, StoreUnavailable
from langchain_agentcost.ledger import Entry, Ledger, MemoryLedger, SQLiteLedger
from langchain_agentcost.ledger.export import export, import_jsonl
from langchain_agentcost.ledger.record import COLUMNS, from_record, to_record
from langchain_agentcost.pricing.cost import Cost
from tests.ledger.made import NOON, call, entries


@settings(max_examples=60, deadline=None)
@given(entries)
def test_a_record_keeps_every_detail(entry: Entry) -> None:
    """An entry that goes through JSON comes back equal, and the record has the stated columns in order."""
    record = to_record(entry)
    assert tuple(record) == COLUMNS
    assert from_record(json.loads(json.dumps(record))) == entry


def test_json_lines_can_be_imported_again(ledger: Ledger, tmp_path: Path) -> None:
    """An export read into another ledger, twice, gives the same entries once."""
    for number in range(600):
        ledger.append(replace(call(number, user="ann", minutes=-number), value=Decimal("1.50")))
    assert export(ledger, tmp_path / "out.jsonl") == 600
    other = MemoryLedger()
    assert import_jsonl(other, tmp_path / "out.jsonl") == 600
    assert import_jsonl(other, tmp_path / "out.jsonl") == 600
    assert list(other.entries()) == list(ledger.entries())
    assert other.totals(("user",)) == ledger.totals(("user",))


def test_an_export_from_before_routers_is_read(tmp_path: Path) -> None:
    """A file whose records have neither of the two latest columns gives the same entries."""
    record = {name: value for name, value in to_record(call(1)).items() if name not in ("decision", "routed")}
    (tmp_path / "in.jsonl").write_text(json.dumps(record) + "\n")
    ledger = MemoryLedger()
    assert import_jsonl(ledger, tmp_path / "in.jsonl") == 1
    assert list(ledger.entries()) == [call(1)]


@pytest.mark.parametrize("line", ["{", "[]", "7", "{}", '{"id": "x"}'])
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str) -> None:
    """The error says which line of which file."""
    good = json.dumps(to_record(call(1)))
    (tmp_path / "in.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(InvalidEntry, match=r"in\.jsonl, line 2"):
        import_jsonl(MemoryLedger(), tmp_path / "in.jsonl")


def test_a_missing_import_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is said not to be there."""
    with pytest.raises(StoreUnavailable, match="No such file"):
        import_jsonl(MemoryLedger(), tmp_path / "in.jsonl")


@pytest.mark.parametrize("evil", ["=A1", "+1", "-1+cmd|' /C calc'!A0", "@A1", "\tx", "\rx", "\nx", "\uff1d1", " =9+9"])
def test_csv_runs_no_formula(evil: str) -> None:
    """Text that a spreadsheet would run has an apostrophe in front, wherever it stands; numbers stay numbers."""
    ledger, file = MemoryLedger(), io.BytesIO()
    who = replace(call(1).attribution, user=evil, node=evil, model=evil, tags=((evil, evil),))
    ledger.append(replace(call(1), id=evil, attribution=who, name=evil, cost=Cost(-5, input_nano=-5)))
    export(ledger, file, format="csv")
    (row,) = csv.DictReader(io.StringIO(file.getvalue().decode(), newline=""))
    assert row["user"] == row["node"] == row["model"] == row["id"] == row["name"] == f"'{evil}"
    assert not [cell for column, cell in row.items() if cell.startswith(("=", "+", "@", "\t", "\r", "\n", "\uff1d"))]
    assert Decimal(row["cost_total_usd"]) == Decimal("-0.000000005")
    assert row["cost_total_usd"] == "-0.000000005"


def test_json_lines_leave_text_as_it_is() -> None:
    """A file for programs is not changed for the sake of spreadsheets."""
    ledger, file = MemoryLedger(), io.BytesIO()
    ledger.append(call(1, user="=1+1"))
    export(ledger, file)
    assert json.loads(file.getvalue())["user"] == "=1+1"


def test_parquet_has_exact_money_and_typed_columns(ledger: Ledger, tmp_path: Path) -> None:
    """Money is decimal128(38, 9), instants have their zone, and every entry is there."""
    pq = pytest.importorskip("pyarrow.parquet")
    for number in range(5200):
        ledger.append(call(number, user="ann", step=number % 5))
    assert export(ledger, tmp_path / "out.parquet", format="parquet") == 5200
    table = pq.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("cost_total_usd").type) == "decimal128(38, 9)"
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert sum(table["cost_total_usd"].to_pylist()) == ledger.totals()[0].cost.usd == Decimal("0.0156")
    assert table["at"][0].as_py() == NOON
    assert table.column_names == list(COLUMNS)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is missing, the error says what to install, and nothing is left behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"langchain-agentcost\[parquet\]"):
        export(MemoryLedger(), tmp_path / "out.parquet", format="parquet")
    assert list(tmp_path.iterdir()) == []


def test_filters_choose_what_goes_out(ledger: Ledger) -> None:
    """An export may be limited like any question."""
    for number in range(10):
        ledger.append(call(number, user=f"u{number % 2}", minutes=number))
    file = io.BytesIO()
    since, until = call(0, minutes=3).at, call(0, minutes=8).at
    assert export(ledger, file, where={"user": "u1"}, since=since, until=until) == 3
    assert [json.loads(line)["id"] for line in file.getvalue().splitlines()] == [call(n).id for n in (3, 5, 7)]


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The error lists what can be asked for."""
    unknown: Any = "xlsx"
    with pytest.raises(QueryError, match="jsonl, csv, parquet"):
        export(MemoryLedger(), tmp_path / "out", format=unknown)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, form: Any) -> None:
    """An export that breaks in the middle leaves what was there before, and no half file beside it."""

    class Breaks(MemoryLedger):
        def entries(self, *_: object, **__: object) -> Iterator[Entry]:
            yield call(1)
            raise StoreUnavailable("the disk broke")

    (tmp_path / "out").write_text("yesterday's")
    with pytest.raises(StoreUnavailable, match="the disk broke"):
        export(Breaks(), tmp_path / "out", format=form)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out", "yesterday's")]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path that cannot be written is in the message."""
    with pytest.raises(StoreUnavailable, match=r"no/out\.csv cannot be written: No such file"):
        export(MemoryLedger(), tmp_path / "no" / "out.csv", format="csv")


def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """Exporting five times the entries takes hardly more memory."""
    peaks = []
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        for number in range(3000):
            ledger.append(call(number))
            if number + 1 in (600, 3000):
                tracemalloc.start()
                export(ledger, tmp_path / "out.jsonl")
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]
