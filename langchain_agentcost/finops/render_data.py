"""A report for machines: JSON and CSV, with every column and exact amounts."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.finops.table import Value
from langchain_agentcost.ledger.spreadsheet import neutral

if TYPE_CHECKING:
    from langchain_agentcost.finops.base import Report


def to_json(report: Report) -> str:
    """Write a report as JSON.

    Args:
        report: The report.

    Returns:
        An object with `title`, `by`, `rows`, `total` and `notes`. Amounts are strings in USD and null where unknown.
    """
    names = [column.name for column in report.columns]

    def record(row: tuple[Value, ...]) -> dict[str, object]:
        return {name: _plain(value) for name, value in zip(names, row, strict=True)}

    total = record(report.values(report.total))
    shown = {
        "title": report.title,
        "by": report.by,
        "rows": [record(report.values(row)) for row in report.rows],
        "total": {name: value for name, value in total.items() if name not in report.by},
        "notes": {note.name: note.text for note in report.notes},
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def to_csv(report: Report) -> str:
    """Write a report's rows as CSV.

    Args:
        report: The report.

    Returns:
        A header and one line a row, without the total: sum what you need. An amount that is not known is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.name for column in report.columns)
    for row in report.rows:
        writer.writerow(_cell(value) for value in report.values(row))
    return out.getvalue()


def _cell(value: Value) -> object:
    if isinstance(value, str):
        return neutral(label(value))
    plain = _plain(value)
    return "" if plain is None else plain


def _plain(value: Value) -> str | int | float | None:
    if isinstance(value, Amount):
        value = value.exact
    return f"{value:f}" if isinstance(value, Decimal) else value
