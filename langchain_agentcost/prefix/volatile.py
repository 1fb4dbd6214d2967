"""What an item looks like that changes from call to call, and what to do about it: one table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

LOOKED_AT_CHARS = 10_000
"""How much of a text is looked at: what changes from call to call is short, and stands near the beginning."""

_IN_LAST_MESSAGE = "Write it into the last message, behind everything that stays the same."

ADVICE: Mapping[str, str] = {
    "ISO date and time": _IN_LAST_MESSAGE,
    "date": _IN_LAST_MESSAGE,
    "clock time": _IN_LAST_MESSAGE,
    "UUID": "Leave it out, or write it into the last message, behind everything that stays the same.",
    "epoch number": _IN_LAST_MESSAGE,
    "random hex": "Leave it out, or write it into the last message, behind everything that stays the same.",
    "counter": _IN_LAST_MESSAGE,
    "reordered tools": "Bind the tools in one order, such as sorted by name.",
    "other tools": "Bind the same tools in every call, and say in the last message or by tool_choice which to use.",
    "dropped messages": "Drop messages in batches, and seldom: every time, all that follow are billed anew.",
    "inserted message": "Put it behind the messages that are there already.",
    "rewritten message": "Rewrite history in batches, and seldom: every time, all that follows is billed anew.",
    "text": "Move it behind what stays the same: into the last message, or to the end of the system message.",
}
"""Every kind of change, and how to end it."""

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_SECONDS = r"(?::\d\d(?:[.,]\d{1,9})?)?"

VOLATILE_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.ASCII))
    for kind, pattern in (
        ("UUID", r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
        ("ISO date and time", rf"\b\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d{_SECONDS}(?:Z|[+-]\d\d:?\d\d)?"),
        (
            "date",
            rf"\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}\b|\b{_MONTH} {_DAY}(?:,? \d{{4}})?\b"
            rf"|\b{_DAY}\.? {_MONTH},?(?: \d{{4}})?\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
        ),
        ("clock time", rf"\b\d{{1,2}}:\d\d{_SECONDS}(?: ?[ap]\.?m\b)?"),
        ("epoch number", r"\b1\d{9}(?:\d{3}|\d{6}|\d{9})?\b(?:\.\d{1,9})?"),
        ("random hex", r"\b(?=[a-f]{0,63}\d)(?=\d{0,63}[a-f])[0-9a-f]{8,64}\b"),
        ("counter", r"\d+"),
    )
)
"""How the items look, in the order in which they are taken out of a text: a date is no counter."""


class Look(NamedTuple):
    """How a text looks: no part of it is kept.

    Args:
        rest: A hash of it without the items below.
        items: For each kind of item in it, a hash of those.
    """

    rest: int
    items: tuple[tuple[str, int], ...]

    @classmethod
    def at(cls, text: str) -> Look:
        """Look at the beginning of a text.

        Example:
            >>> [kind for kind, _ in Look.at("Order 7, at 10:15 on 2026-11-23").items]
            ['date', 'clock time', 'counter']
        """
        text = text[:LOOKED_AT_CHARS]
        items = []
        for kind, pattern in VOLATILE_PATTERNS:
            found = tuple(pattern.findall(text))
            if found:
                items.append((kind, hash(found)))
                text = pattern.sub("\0", text)
        return cls(hash(text), tuple(items))

    def kind(self, before: Look | None = None) -> str:
        """Say what kind of item makes the text change.

        Args:
            before: How the text looked in the call before; None where that is not known: then the first kind of item
                that is there is taken for it.

        Returns:
            The kind; "text" where more changes than items of these kinds.

        Example:
            >>> Look.at("Order 8, at 10:15").kind(Look.at("Order 7, at 10:15"))
            'counter'
        """
        if before is None:
            return self.items[0][0] if self.items else "text"
        if before.rest != self.rest:
            return "text"
        earlier = dict(before.items)
        return next((kind for kind, items in self.items if earlier.get(kind) != items), "text")


PATTERNED = frozenset(kind for kind, _ in VOLATILE_PATTERNS)
"""The kinds that change by themselves."""
