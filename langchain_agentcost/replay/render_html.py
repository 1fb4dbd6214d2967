"""A replay's result as HTML: plots and tables in one self-contained piece; no script, nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.render_html import STYLE, as_wide, document, noted
from langchain_agentcost.replay.render_context import context
from langchain_agentcost.replay.render_costs import ALIKE, Curve, costs
from langchain_agentcost.replay.render_notes import notes_of, title
from langchain_agentcost.replay.render_plot import colour
from langchain_agentcost.replay.render_savings import common_scale, savings
from langchain_agentcost.replay.render_style import PLOT_STYLE
from langchain_agentcost.replay.render_table import DEARER, MIRAGE, Block, Column, blocks, mark, written
from langchain_agentcost.replay.sums import PARTS, Key

if TYPE_CHECKING:
    from langchain_agentcost.replay.result import Result, Row

DRAWN = 24
"""How many benchmarks are drawn, those with the highest bills; the tables have all."""

_ROWS = {MIRAGE: "warned", DEARER: "bad"}

_SAVINGS = (
    "<b class='good'>●</b> what is saved with the provider's prompt caching on, with its 95% interval; "
    "○ what the same strategy saves with caching off. The longer the line between them, the more of the saving is "
    "what caching saves anyway. <b class='warned'>●</b> a mirage, <b class='bad'>●</b> it costs more."
)
_COSTS = "What a run has cost on average, model call by model call, with prompt caching on."
_CONTEXT = "What the recorded prompts are made of: mean tokens by model call, as long as a tenth of the runs goes on."


def fragment(result: Result) -> str:
    """Write a result as a piece of HTML for a notebook.

    Args:
        result: The result.

    Returns:
        A `div` with its own style. Whatever comes from a trace is escaped.
    """
    shown = blocks(result)
    notes = notes_of(result, shown)
    body = "".join((_savings(shown), *_curves(result, shown), _table(shown)))
    warnings = noted([note for note in notes if note.warning])
    return (
        f'<div class="agentcost replay"><style>{STYLE}\n{PLOT_STYLE}</style>'
        f"<h2>{escape(title(result))}</h2>{warnings}{body}"
        f"<h3>Notes</h3>{noted([note for note in notes if not note.warning])}</div>"
    )


def page(result: Result) -> str:
    """Write a result as a whole page.

    Args:
        result: The result.

    Returns:
        A document that needs no network, no script and no other file.
    """
    return document(title(result), fragment(result))


def _savings(shown: tuple[Block, ...]) -> str:
    drawn = tuple(block for block in _drawn(shown) if len(block.rows) > 1)
    scale = common_scale(drawn)
    left_out = f" Of {len(shown)}, those with the highest bills are drawn." if len(shown) > len(drawn) else ""
    explained = f"{_SAVINGS}{left_out}"
    return _section("What would be saved", explained, [_figure(block.title, savings(block, scale)) for block in drawn])


def _curves(result: Result, shown: tuple[Block, ...]) -> Iterator[str]:
    """The plots by model call, which only single benchmarks have."""
    drawn = _drawn([block for block in shown if not block.rows[0].whole_family])
    yield _section("What a run costs", _COSTS, list(_cost_figures(result, drawn)))
    steps = [(block, list(result.composition[block.family, block.benchmark].by_step())) for block in drawn]
    figures = [_figure(block.title, context(of, f"Prompts of {block.title}")) for block, of in steps if of]
    parts = "".join(f'<span><i class="{colour(at)}"></i>{part}</span>' for at, part in enumerate(PARTS))
    yield _section("What prompts are made of", f'{_CONTEXT}<span class="legend">{parts}</span>', figures)


def _cost_figures(result: Result, drawn: Iterable[Block]) -> Iterator[str]:
    styles = {name: colour(at - 1) for at, name in enumerate(result.fidelity)}
    for block in drawn:
        curves = [Curve(row.strategy, styles[row.strategy], _usd(result, row)) for row in block.rows]
        recorded = Curve("as recorded", "recorded", curves[0].usd)
        if recorded.usd:
            plot, alike = costs(recorded, curves[1:], f"Cost of a run of {block.title}")
            under = f"As recorded, within {100 * ALIKE:g}%: {', '.join(map(label, alike))}." if alike else ""
            yield _figure(block.title, plot, under)


def _usd(result: Result, row: Row) -> list[float]:
    return result.sums[Key(row.family, row.benchmark_set, row.strategy)].cumulative_usd()


def _drawn(shown: Sequence[Block]) -> tuple[Block, ...]:
    """The benchmarks that are drawn, in their order."""
    dearest = sorted(shown, key=lambda block: -block.rows[0].usd)[:DRAWN]
    return tuple(block for block in shown if block in dearest)


def _section(heading: str, explained: str, figures: Sequence[str]) -> str:
    if not figures:
        return ""
    return f'<h3>{heading}</h3><p>{explained}</p><div class="figures">{"".join(figures)}</div>'


def _figure(heading: str, plot: str, under: str = "") -> str:
    caption = f"<small>{escape(under)}</small>" if under else ""
    return f"<figure><figcaption>{escape(heading)}</figcaption>{plot}{caption}</figure>"


def _table(shown: tuple[Block, ...]) -> str:
    """One table for all benchmarks, so that figures stand below each other."""
    columns, lanes = written(shown)
    headings = "".join(f"<th{_class(column)}>{escape(column.heading)}</th>" for column in columns)
    parts = []
    for block, cells in zip(shown, lanes, strict=True):
        rows = "".join(_row(row, columns, line) for row, line in zip(block.rows, zip(*cells, strict=True), strict=True))
        about = f"<b>{escape(block.title)}</b>: {escape(block.facts)}"
        parts.append(
            f'<tbody><tr><td colspan="{len(columns)}" class="about">{about}</td></tr><tr>{headings}</tr>{rows}</tbody>'
        )
    return f"<h3>All figures</h3><table>{''.join(parts)}</table>" if parts else ""


def _row(row: Row, columns: Sequence[Column], cells: Sequence[str]) -> str:
    style = "recorded" if row.recorded else _ROWS.get(mark(row), "")
    shown = "".join(
        f"<td{_class(column)}>{escape(as_wide(cell) if column.money else cell)}</td>"
        for column, cell in zip(columns, cells, strict=True)
    )
    return f'<tr class="{style}">{shown}</tr>'


def _class(column: Column) -> str:
    name = "l" if column.left else "m" if column.money else ""
    return f' class="{name}"' if name else ""
