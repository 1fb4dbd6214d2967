"""What a comparison works on: the demo's tickets, and customers who write again."""

from __future__ import annotations

from dataclasses import replace

from langchain_agentcost.demo.tickets import TICKETS, Ticket

AGAIN: tuple[tuple[int, str], ...] = (
    (1, "Where is my order 1001? It was due on Monday."),
    (3, "Hello? How long does the bike light last?"),
    (4, "Where is parcel 1003 by now?"),
)
"""Tickets that come a second time, the first in the very same words: caches have nothing to do where nobody does."""

_EXPECTS: dict[int, tuple[str, ...]] = {4: ("Leeds",)}
"""What a reply to the second message needs, where it is not what the first one's did."""


def compared(tickets: int) -> tuple[Ticket, ...]:
    """Give the first tickets, and then those of their customers who write again.

    Args:
        tickets: How many of the demo's tickets.

    Example:
        >>> [(ticket.number, ticket.user) for ticket in compared(3)]
        [(1, 'ana'), (2, 'ben'), (3, 'dara'), (4, 'ana'), (5, 'dara')]
    """
    first = TICKETS[:tickets]
    known = {ticket.number: ticket for ticket in first}
    again = [
        replace(known[number], text=text, expects=_EXPECTS.get(number, known[number].expects))
        for number, text in AGAIN
        if number in known
    ]
    return (*first, *(replace(ticket, number=len(first) + at) for at, ticket in enumerate(again, 1)))
