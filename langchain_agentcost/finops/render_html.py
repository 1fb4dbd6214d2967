"""A report as HTML: one self-contained piece for Jupyter, one page for a file; no script, nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from langchain_agentcost.finops.render_text import written
from langchain_agentcost.finops.table import SHARE, Column, share_of_cost

if TYPE_CHECKING:
    from langchain_agentcost.finops.base import Note, Report

# Colours are those of the page around it, so that dark themes work; the scope keeps the style to this table.
STYLE = """
.agentcost{font:13px/1.45 system-ui,sans-serif;max-width:100%;overflow-x:auto}
.agentcost h3{font-size:15px;margin:0 0 8px}
.agentcost table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.agentcost th,.agentcost td{padding:3px 10px;text-align:right;white-space:nowrap;border:0;background:none}
.agentcost th{font-weight:600;border-bottom:1px solid #8886}
.agentcost th.l,.agentcost td.l{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:7em;max-width:34em}
.agentcost .m{white-space:pre}
.agentcost .share{min-width:130px;position:relative}
.agentcost .bar{position:absolute;left:10px;top:calc(50% - 5px);height:10px}
.agentcost .bar{background:#3b82f6;opacity:.4;border-radius:2px}
.agentcost tfoot td{border-top:1px solid #8886;font-weight:600}
.agentcost dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:10px 0 0}
.agentcost dt{opacity:.7;white-space:nowrap}.agentcost dd{margin:0}
.agentcost .warn{color:#b45309;color:light-dark(#b45309,#f59e0b);opacity:1}
""".strip()

_BAR_PX = 66
"""The length of the bar of a row that is the whole cost; the rest of the cell is for the figure."""

_CLASSES = {SHARE.name: "share", "label": "l", "money": "m"}
"""The class of a cell by its column's name, else by its kind."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a page may do: show itself. Should a label ever get past the escaping, a browser still runs nothing of it."""

_DIGIT_BLANK, _POINT_BLANK = "\u2007", "\u2008"


def fragment(report: Report) -> str:
    """Write a report as a piece of HTML for a notebook.

    Args:
        report: The report.

    Returns:
        A `div` with its own style. Every label is escaped.
    """
    columns, lanes = written(report)
    head, *lines, foot = zip(*lanes, strict=True)
    shares = [share_of_cost(row, report.total) for row in report.rows]
    headings = "".join(f"<th{_class(column)}>{escape(text)}</th>" for column, text in zip(columns, head, strict=True))
    body = "".join(_row(columns, cells, share) for cells, share in zip(lines, shares, strict=True))
    return (
        f'<div class="agentcost"><style>{STYLE}</style><h3>{escape(report.title)}</h3>'
        f"<table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody>"
        f"<tfoot>{_row(columns, foot, None)}</tfoot></table>{noted(report.notes)}</div>"
    )


def page(report: Report) -> str:
    """Write a report as a whole page.

    Args:
        report: The report.

    Returns:
        A document that needs no network, no script and no other file.
    """
    return document(report.title, fragment(report))


def document(title: str, body: str) -> str:
    """Put a piece of HTML into a page of its own, which may run nothing and fetch nothing.

    Args:
        title: What the page is called.
        body: The piece, with its style.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title>"
        "<style>:root{color-scheme:light dark}body{margin:24px}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _row(columns: Sequence[Column], cells: Sequence[str], share: float | None) -> str:
    return f"<tr>{''.join(_cell(column, text, share) for column, text in zip(columns, cells, strict=True))}</tr>"


def _cell(column: Column, text: str, share: float | None) -> str:
    bar = ""
    if column.name == SHARE.name and share is not None and share > 0:
        bar = f'<span class="bar" style="width:{share * _BAR_PX:.0f}px"></span>'
    return f"<td{_class(column)}>{bar}{escape(as_wide(text))}</td>"


def as_wide(text: str) -> str:
    """Make the blanks that stand for missing decimals as wide as a point and digits are.

    Args:
        text: An amount, as `aligned` gives it.
    """
    stripped = text.rstrip(" ")
    blanks = _DIGIT_BLANK * (len(text) - len(stripped))
    return stripped + (blanks if "." in stripped or not blanks else _POINT_BLANK + blanks[1:])


def _class(column: Column) -> str:
    name = _CLASSES.get(column.name) or _CLASSES.get(column.kind)
    return f' class="{name}"' if name else ""


def noted(notes: Iterable[Note]) -> str:
    """Write the lines under a table as a list of terms; warnings are marked.

    Args:
        notes: The lines.
    """
    shown = []
    for note in notes:
        style = ' class="warn"' if note.warning else ""
        shown.append(f"<dt{style}>{escape(note.name)}</dt><dd{style}>{escape(note.text)}</dd>")
    return f"<dl>{''.join(shown)}</dl>"
