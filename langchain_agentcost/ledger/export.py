"""A ledger as a file for other programs, written entry by entry: memory does not grow with the ledger."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from langchain_agentcost.errors import InvalidEntry, MissingExtra, QueryError, StoreUnavailable
from langchain_agentcost.ledger.base import Ledger, Where
from langchain_agentcost.ledger.record import COLUMNS, COUNTS, FLAGS, LISTS, MONEY, SECONDS, from_record, to_record
from langchain_agentcost.ledger.spreadsheet import neutral
from langchain_agentcost.ledger.whole_file import whole_file

Format = Literal["jsonl", "csv", "parquet"]
Records = Iterator[dict[str, Any]]

_TEXT = frozenset(COLUMNS) - {*MONEY, *SECONDS, *COUNTS, *FLAGS, "at", "value"}
"""Columns whose text comes from outside."""

_BATCH = 5_000


def export(
    ledger: Ledger,
    target: Path | str | IO[bytes],
    *,
    format: Format = "jsonl",  # noqa: A002  # what everybody calls it
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Write a ledger's entries to a file, one a row, in the order of time.

    A path appears only when the file is whole (see `whole_file`). JSON Lines keeps every detail and can be read back
    with `import_jsonl`. In CSV, text that a spreadsheet would run as a formula gets an apostrophe in front. Parquet has
    money as decimal128(38, 9) and needs the extra `parquet`.

    Args:
        ledger: The ledger.
        target: A path, or a binary file that is open for writing.
        format: "jsonl", "csv" or "parquet".
        where: Conditions that must all hold.
        since: Only entries that started at or after this instant.
        until: Only entries that started before this instant.

    Returns:
        How many entries were written.

    Raises:
        QueryError: If the format, a column or an instant is unknown.
        MissingExtra: If Parquet is asked for and pyarrow is not installed.
        StoreUnavailable: If the file cannot be written, or is a ledger.

    Example:
        >>> from langchain_agentcost.ledger import Entry, MemoryLedger
        >>> from datetime import UTC
        >>> ledger, file = MemoryLedger(), io.BytesIO()
        >>> ledger.append(Entry("r1", "llm", datetime.now(UTC)))
        >>> export(ledger, file)
        1
    """
    if format not in _WRITERS:
        raise QueryError(f"A ledger cannot be exported as {str(format)[:60]!r}; choose from {', '.join(_WRITERS)}.")
    written = _Counted(to_record(entry) for entry in ledger.entries(where, since, until))
    if isinstance(target, str | Path):
        with whole_file(target) as file:
            _WRITERS[format](written, file)
    else:
        _WRITERS[format](written, target)
    return written.count


def import_jsonl(ledger: Ledger, source: Path | str) -> int:
    """Append the entries of a JSON Lines export; those that the ledger has already change nothing.

    Args:
        ledger: The ledger to append to.
        source: The file.

    Returns:
        How many lines were read.

    Raises:
        InvalidEntry: If a line is not an entry; the message names the line.
        StoreUnavailable: If the file cannot be read.
    """
    read = 0
    try:
        with Path(source).open(encoding="utf-8") as file:
            for line in file:
                ledger.append(from_record(json.loads(line)))
                read += 1
    except ValueError as error:
        raise InvalidEntry(f"{source}, line {read + 1}: {error}") from error
    except StoreUnavailable:
        raise
    except OSError as error:
        raise StoreUnavailable(f"{source} cannot be read: {error.strerror}.") from error
    return read


class _Counted:
    """Records on their way to the file, counted."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self._records = iter(records)
        self.count = 0

    def __iter__(self) -> Records:
        return self

    def __next__(self) -> dict[str, Any]:
        record = next(self._records)
        self.count += 1
        return record


def _write_jsonl(records: Records, file: IO[bytes]) -> None:
    for record in records:
        file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")


def _write_csv(records: Records, file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for record in records:
            writer.writerow([_cell(name, record[name]) for name in COLUMNS])
    finally:
        text.detach()


def _cell(name: str, value: object) -> object:
    if name in LISTS and value is not None:
        value = json.dumps(value, separators=(",", ":"))
    return neutral(value) if name in _TEXT and isinstance(value, str) else value


def _write_parquet(records: Records, file: IO[bytes]) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415  # optional
        import pyarrow.parquet as pq  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingExtra("pyarrow", extra="parquet", what="An export as Parquet") from error
    types = {
        **dict.fromkeys(COLUMNS, pa.string()),
        **dict.fromkeys(MONEY, pa.decimal128(38, 9)),
        **dict.fromkeys(SECONDS, pa.float64()),
        **dict.fromkeys(COUNTS, pa.int64()),
        **dict.fromkeys(FLAGS, pa.bool_()),
        "at": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema(list(types.items()))
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := [_typed(record) for record in islice(records, _BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _typed(record: dict[str, Any]) -> dict[str, Any]:
    money = {name: None if record[name] is None else Decimal(record[name]) for name in MONEY}
    lists = {name: None if record[name] is None else json.dumps(record[name]) for name in LISTS}
    return record | money | lists | {"at": datetime.fromisoformat(record["at"])}


_WRITERS: dict[str, Callable[[Records, IO[bytes]], None]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
"""A new format is a function and a line here."""
