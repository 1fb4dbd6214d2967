from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.finops import Report, drivers, outcomes, report
from langchain_agentcost.finops.render_text import text_width
from langchain_agentcost.ledger import Ledger
from langchain_agentcost.usage import Usage
from tests.finops.booked import Book, booked

HOSTILE = [
    "<script>alert(1)</script>",
    "=HYPERLINK(1)",
    '"><img src=x onerror=alert(1)>',
    "[red]x[/red]",
    "東京",
    "a,b\n\x1b[2J",
]


def _tenants(*names: str) -> Report:
    book = Book()
    usage = Usage(input_tokens=1_000, cache_read_tokens=300, output_tokens=20)
    made = [book(nano=10 ** (at + 3), tenant=name, usage=usage, duration_s=0.5) for at, name in enumerate(names)]
    return report(booked(*made), by="tenant")


def _terminal(made: Report, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(made.rich())
    return [line.rstrip() for line in out.getvalue().splitlines()]


class _Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_plain_columns_line_up() -> None:
    """Every line of the table has its decimal points in the same place, wide characters or not."""
    lines = str(_tenants(*HOSTILE)).splitlines()[2:11]
    points = {text_width(line[: line.index("$")]) + line[line.index("$") :].index(".") for line in lines if "$" in line}
    assert len(points) == 1
    assert all(line == line.rstrip() for line in lines)


def test_no_control_character_reaches_a_terminal() -> None:
    """A label cannot clear the screen or start a new line."""
    made = _tenants(*HOSTILE)
    for text in (str(made), "\n".join(_terminal(made, 200))):
        assert "\x1b" not in text
        assert "a,b  [2J" in text


def test_terminal_table_fits_and_names_what_it_left_out() -> None:
    """At 100 columns nothing is wider; cost and share stay, the columns that went are named."""
    made = report(
        booked(Book()(nano=1_000, tenant="t" * 40, agent="a" * 30, model="m" * 30, duration_s=2.0)),
        by="tenant,agent,model",
    )
    lines = _terminal(made, 100)
    assert max(map(text_width, lines)) <= 100
    assert "cost USD" in "\n".join(lines)
    assert "$0.000001" in "\n".join(lines)
    assert lines[-1] == "Left out for width: LLM, saved, p50 s, p95 s. JSON and CSV have every column."


@pytest.mark.parametrize("make", [report, drivers, outcomes])
def test_labels_stay_readable_in_a_narrow_terminal(make: Callable[[Ledger], Report]) -> None:
    """At 80 columns no label of ordinary length is folded, and what people look for first is still there."""
    book = Book()
    usage = Usage(input_tokens=12_345, cache_read_tokens=300, output_tokens=200)
    calls = [book(nano=12_345_678, run=f"r{at}", node="draft the answer", usage=usage) for at in range(9)]
    records = [book.outcome("resolved at once", run=f"r{at}", success=at > 2, value=Decimal("9.5")) for at in range(7)]
    made = make(booked(*calls, *records))
    lines = _terminal(made, 80)
    assert max(map(text_width, lines)) <= 80
    assert {str(row.key[0]) for row in made.rows} <= {line[:20].strip() for line in lines}
    assert made.by[0] in lines[1]
    assert "cost USD" in lines[1]


def test_a_column_without_figures_is_left_out() -> None:
    """Where no latency was measured and nothing had input, people see no empty columns; machines have all."""
    made = report(booked(Book()(nano=1_000)))
    assert str(made).splitlines()[2].split() == [
        "node",
        "calls",
        "LLM",
        "input",
        "output",
        "cost",
        "USD",
        "share",
        "saved",
    ]
    assert "latency_p50_s" in made.to_csv()


def test_a_wide_terminal_has_every_column() -> None:
    """Where there is room, nothing is left out, and the numbers are those of the plain table."""
    made = _tenants("acme")
    lines = _terminal(made, 200)
    assert not [line for line in lines if line.startswith("Left out")]
    row = next(line for line in lines if line.startswith("acme"))
    assert row.split() == next(line for line in str(made).splitlines() if line.startswith("acme")).split()


def test_rich_markup_in_a_label_stays_text() -> None:
    """A tenant named like a style does not change the colours."""
    assert "[red]x[/red]" in "\n".join(_terminal(_tenants("[red]x[/red]"), 120))


def test_a_missing_rich_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rich, the error says what to install; printing still works."""
    monkeypatch.delitem(sys.modules, "langchain_agentcost.finops.render_rich", raising=False)
    monkeypatch.setitem(sys.modules, "rich.box", None)
    with pytest.raises(MissingExtra, match=r"langchain-agentcost\[cli\]"):
        _tenants("acme").rich()
    assert "acme" in str(_tenants("acme"))


def test_html_escapes_every_label() -> None:
    """Hostile tenants, tags and models are text in the page, in titles and notes too."""
    book = Book()
    tags = (("<b>", "<i>x</i>"),)
    made = report(booked(*(book(tenant=name, model=name, tags=tags) for name in HOSTILE)), by="tenant,tag:<b>")
    page = _Page(made.to_html())
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "div", "h3", "table", "thead", "tbody", "tfoot"),
        *("tr", "th", "td", "dl", "dt", "dd", "span"),
    }
    assert all(name in page.text for name in HOSTILE[:-1])


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_breaks_out_of_the_html(tenant: str, tag: str) -> None:
    """Whatever a label holds, the elements of the page are those of a harmless one."""
    by = ("tenant", f"tag:{tag or 'x'}")
    harmless, odd = (
        report(booked(Book()(nano=1, tenant=name, tags=((tag or "x", name),))), by=by) for name in ("acme", tenant)
    )
    assert [name for name, _ in _Page(odd.to_html()).tags] == [name for name, _ in _Page(harmless.to_html()).tags]


def test_html_is_self_contained_and_draws_shares() -> None:
    """The piece for Jupyter loads nothing and runs nothing; bars are as long as the share of the cost."""
    book = Book()
    made = report(booked(book(nano=750, node="a"), book(nano=250, node="b")))
    page = _Page(made._repr_html_())
    assert not any(name in ("src", "href", "onclick") for _, attributes in page.tags for name in attributes)
    assert [attributes["style"] for tag, attributes in page.tags if tag == "span"] == ["width:50px", "width:16px"]
    assert "75.0%" in page.text


def test_html_page_is_written_to_a_file(tmp_path: Path) -> None:
    """`to_html(path)` leaves a document that can be opened and sent."""
    made = _tenants("東京")
    written = made.to_html(tmp_path / "cost.html")
    assert (tmp_path / "cost.html").read_text(encoding="utf-8") == written
    assert written.startswith("<!doctype html>")
    assert "東京" in written


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\uff1d", " =", "\u200b="])
def test_csv_cells_start_no_formula(start: str) -> None:
    """A label that a spreadsheet would run is made text."""
    rows = list(csv.DictReader(io.StringIO(_tenants(f"{start}1+1").to_csv())))
    assert rows[0]["tenant"][0] == "'"


def test_csv_holds_exact_amounts_of_every_row() -> None:
    """Amounts are decimal USD that sum to the total; an unknown one is an empty cell."""
    book = Book()
    made = report(booked(book(nano=1, tenant="a"), book(nano=10**12 + 1, tenant="b"), book(tenant="c")), by="tenant")
    rows = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert [row["cost_usd"] for row in rows] == ["1000.000000001", "0.000000001", ""]
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == made.total.cost.usd


def test_json_has_every_column_exactly() -> None:
    """Amounts are strings, what is not known is null, and the lines are there by name."""
    read = json.loads(_tenants("acme").to_json())
    assert read["by"] == ["tenant"]
    assert read["rows"][0]["cost_usd"] == read["total"]["cost_usd"] == "0.000001000"
    assert read["rows"][0]["cache_read_tokens"] == 300
    assert "tenant" not in read["total"]
    assert read["notes"]["Unpriced calls"] == "none"


@pytest.mark.parametrize("make", [report, drivers, outcomes])
def test_every_report_has_every_form(make: Callable[[Ledger], Report]) -> None:
    """Each kind of report prints, renders and exports; the columns agree between CSV and JSON."""
    book = Book()
    ledger = booked(book(nano=5, run="r", node="n", usage=Usage(output_tokens=3)), book.outcome(run="r"))
    made = make(ledger)
    header = next(csv.reader(io.StringIO(made.to_csv())))
    assert header == [column.name for column in made.columns] == list(json.loads(made.to_json())["rows"][0])
    assert len(set(header)) == len(header)
    assert _terminal(made, 160)[0] == made.title == str(made).splitlines()[0]
    assert made.title in made._repr_html_()
