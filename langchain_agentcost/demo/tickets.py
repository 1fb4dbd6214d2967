"""What the customers of the two shops write, and what a good answer has to have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """One message of a customer.

    Args:
        number: The ticket's number.
        tenant: The shop.
        user: The customer.
        text: The message.
        expects: What must stand in a reply that resolves it.
        refunds: The order that must be refunded, and no other; None for none.
    """

    number: int
    tenant: str
    user: str
    text: str
    expects: tuple[str, ...]
    refunds: int | None = None

    def is_resolved_by(self, reply: str, *, refunded: Collection[int]) -> bool:
        """Judge a reply by plain rules, so that a model's opinion never decides what a success is.

        Args:
            reply: What the customer is told; empty where the ticket was handed to a person.
            refunded: The orders that were refunded while the ticket was worked on.

        Example:
            >>> ticket = Ticket(1, "fernshop", "ana", "Where is 1001?", expects=("12 May",))
            >>> ticket.is_resolved_by("It comes on 12 May.", refunded=()), ticket.is_resolved_by("Soon.", refunded=())
            (True, False)
        """
        right_refunds = set(refunded) == ({self.refunds} if self.refunds else set())
        return right_refunds and all(fact.lower() in reply.lower() for fact in self.expects) and bool(reply)


TICKETS = (
    Ticket(1, "fernshop", "ana", "Where is my order 1001? It was due on Monday.", ("12 May",)),
    Ticket(
        2,
        "fernshop",
        "ben",
        "I want my money back for order 1002, the pot is cracked.",
        ("refunded 24.50",),
        refunds=1002,
    ),
    Ticket(3, "boltwerk", "dara", "How long does one charge of the bike light last?", ("40 hours",)),
    Ticket(4, "fernshop", "cleo", "My parcel 1003 has not come. If it is lost, please refund it.", ("Leeds", "9 May")),
    Ticket(5, "boltwerk", "emil", "The lamp from order 2002 flickers. Please refund it.", ("30 days",)),
    Ticket(6, "boltwerk", "dara", "Has order 2001 left your warehouse yet?", ("packed",)),
    Ticket(
        7,
        "fernshop",
        "ben",
        "Order 1004 had the wrong gloves, refund it please. Do you have the gloves in large?",
        ("refunded", "large"),
        refunds=1004,
    ),
    Ticket(8, "fernshop", "cleo", "Do you sell a watering can, and what does it cost?", ("32.00",)),
    Ticket(9, "boltwerk", "emil", "Where is my parcel 1001?", ("12 May",)),
    Ticket(10, "fernshop", "ana", "Order 1005 is late, so refund it. What does a garden hose cost?", ("Hull", "27.90")),
)
"""Ticket 9 asks for an order of the other shop: the tools find nothing, and it ends with a person."""
