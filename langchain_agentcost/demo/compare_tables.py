"""A comparison as tables: what the two runs came to, and where the difference of the bills comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from langchain_agentcost.demo.compare_arm import Arm
from langchain_agentcost.demo.compare_models import SMALL
from langchain_agentcost.demo.compare_savings import Savings
from langchain_agentcost.finops.amounts import written_count, written_seconds, written_share
from langchain_agentcost.finops.render_text import justified
from langchain_agentcost.money import from_nano

Line = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A small table, written.

    Args:
        title: What is shown.
        heading: What its columns are called.
        lines: Its rows.
        total: The last row; None for none.
        remarks: Whether the last column is text, which stands at the left; the first one always is.

    Example:
        >>> print(Table("Fruit", ("", "pieces"), [("apples", "7"), ("plums", "12")], total=("all", "19")))
        Fruit
        <BLANKLINE>
                pieces
        --------------
        apples       7
        plums       12
        --------------
        all         19
    """

    title: str
    heading: Line
    lines: Sequence[Line]
    total: Line | None = None
    remarks: bool = False

    def __str__(self) -> str:
        """Write it for a pipe, in full width."""
        rows = [self.heading, *self.lines, *([self.total] if self.total else [])]
        lanes = [justified(lane, left=self._is_text(at)) for at, lane in enumerate(zip(*rows, strict=True))]
        head, *body = [(" " * 2).join(cells).rstrip() for cells in zip(*lanes, strict=True)]
        rule = "-" * max(map(len, (head, *body)))
        foot = [rule, body.pop()] if self.total else []
        return "\n".join([self.title, "", head, rule, *body, *foot])

    def rich(self) -> RenderableType:
        """Give it for a terminal: remarks are folded where there is no room."""
        made = RichTable(
            title=Text(self.title, style="bold"),
            title_justify="left",
            box=SIMPLE_HEAD,
            show_footer=self.total is not None,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        foot = self.total or ("",) * len(self.heading)
        for at, (head, total) in enumerate(zip(self.heading, foot, strict=True)):
            last = self.remarks and at == len(self.heading) - 1
            justify: Literal["left", "right"] = "left" if self._is_text(at) else "right"
            made.add_column(Text(head), footer=Text(total), justify=justify, no_wrap=not last, overflow="fold")
        for line in self.lines:
            made.add_row(*map(Text, line))
        return made

    def _is_text(self, at: int) -> bool:
        return not at or (self.remarks and at == len(self.heading) - 1)


def results(off: Arm, on: Arm, savings: Savings) -> Table:
    """Put the two runs side by side.

    Args:
        off: The run with everything off.
        on: The run with everything on.
        savings: What both cost.
    """
    tokens = [arm.models.usage for arm in (off, on)]
    lines: tuple[Line, ...] = (
        ("bill", usd(savings.off), usd(savings.on), _change(savings.off, savings.on)),
        ("tickets resolved", *(f"{arm.resolved} of {arm.tickets}" for arm in (off, on)), ""),
        _counts("model calls", off.models.llm_calls, on.models.llm_calls),
        _counts("  and answered by a cache", off.models.cache_hits, on.models.cache_hits),
        _counts("tool calls", off.tool_calls, on.tool_calls),
        _counts("  and answered by a cache", off.tool_hits, on.tool_hits),
        _counts("input tokens", *(usage.input_tokens for usage in tokens)),
        ("  from a prompt cache", *(written_share(usage.cache_read_share or 0.0) for usage in tokens), ""),
        _counts("output tokens", *(usage.output_tokens for usage in tokens)),
        _seconds("seconds a ticket, median", off.ticket_p50_s, on.ticket_p50_s),
        _seconds("seconds a model call, median", off.models.latency_p50_s, on.models.latency_p50_s),
        _seconds("seconds a model call, p95", off.call_p95_s, on.call_p95_s),
    )
    return Table("The same tickets, with everything off and on", ("", "off", "on", "change"), lines)


def parts(savings: Savings, off: Arm, on: Arm, *, guard: str) -> Table:
    """Say what each feature took off the bill. The rows add up to the last one, to the nano-dollar.

    Args:
        savings: What each took.
        off: The run with everything off.
        on: The run with everything on.
        guard: What a ticket may cost at most, in USD.
    """
    rows = (
        ("router", savings.router, _routed(on)),
        ("cached answers", savings.answers, f"{_of(on.models.cache_hits, 'model call')} spared"),
        ("cached tool results", savings.tools, f"{_of(on.tool_hits, 'tool call')} spared"),
        ("models' prompt caches", savings.prompt_cache, "what was read from them, against the other run"),
        ("budget", 0, f"${guard} a ticket: it guards, it does not save"),
        ("the runs differ", savings.differ, _differ(off, on)),
    )
    lines = tuple((name, usd(nano), _percent(nano, savings.off), why) for name, nano, why in rows)
    whole = ("difference of the bills", usd(savings.saved), _percent(savings.saved, savings.off), "")
    return Table("Where the difference comes from", ("", "saved", "of the bill", ""), lines, whole, remarks=True)


def usd(nano: int) -> str:
    """Write an amount with all its digits, so that a column of them can be added up.

    Example:
        >>> usd(12_345), usd(-1_500_000_000)
        ('$0.000012345', '-$1.500000000')
    """
    return f"{'-' * (nano < 0)}${from_nano(abs(nano)):.9f}"


def _counts(name: str, off: int, on: int) -> Line:
    return name, written_count(off), written_count(on), _change(off, on)


def _seconds(name: str, off: float | None, on: float | None) -> Line:
    if off is None or on is None:
        return name, "too few", "too few", ""
    return name, written_seconds(off), written_seconds(on), _change(off, on)


def _change(off: float, on: float) -> str:
    return f"{(on - off) / off:+.1%}" if off else ""


def _percent(nano: int, bill: int) -> str:
    return f"{nano / bill:.1%}" if bill else ""


def _of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _differ(off: Arm, on: Arm) -> str:
    """Name the tickets that took another number of steps: a reply was revised in one run and not in the other."""
    steps = Counter(on.steps)
    steps.subtract(off.steps)
    named = [f"{number:+d} in ticket {ticket}" for ticket, number in sorted(steps.items()) if number]
    return f"model calls: {', '.join(named)}" if named else "as many model calls, other tokens"


def _routed(on: Arm) -> str:
    small, whole = on.routed_to(SMALL), on.models.llm_calls
    return f"{small} of {_of(whole, 'model call')} went to the small tier"
