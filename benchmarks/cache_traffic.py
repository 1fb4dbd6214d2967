"""Traffic made for `cache_workloads.py`: a support desk's questions and a mailroom's invoices, with what is right.

All texts were written for this project. The same seed gives the same traffic.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TENANTS = ("acme", "globex")
PLANS = ("Basic", "Team", "Business", "Enterprise")
PRODUCTS = ("blender", "kettle", "toaster", "juicer", "coffee grinder", "rice cooker")
COUNTRIES = ("Norway", "Portugal", "Canada", "Japan", "Chile")

TOPICS: Mapping[str, Sequence[str]] = {
    "reset": ("How do I reset my password?", "How can I reset my password?", "I want to reset my password, how?",
              "Please tell me how to reset my password", "What do I do to reset my password?"),
    "export": ("How do I export my data?", "How can I export my data?", "Can you tell me how to export my data?",
               "What is the way to export my data?", "I need to export my data, how do I do that?"),
    "price": ("How much is the {plan} plan?", "What does the {plan} plan cost?",
              "What is the price of the {plan} plan?",
              "Could you tell me the price of the {plan} plan?", "How much does the {plan} plan cost?"),
    "seats": ("How many seats are in the {plan} plan?", "How many seats does the {plan} plan have?",
              "What number of seats does the {plan} plan include?", "Tell me how many seats the {plan} plan has"),
    "upgrade": ("How do I move from the {plan} plan to the {other} plan?",
                "How can I move from the {plan} plan to the {other} plan?",
                "I'd like to move from the {plan} plan to the {other} plan, how?"),
    "cancel": ("How do I cancel my subscription?", "How can I cancel my subscription?",
               "I want to cancel my subscription, how do I do it?", "What do I do to cancel my subscription?"),
    "keep": ("How do I avoid cancelling my subscription?", "How can I keep my subscription from being cancelled?"),
    "warranty": ("How long is the warranty on the {product}?", "What is the warranty period of the {product}?",
                 "How many years of warranty does the {product} have?"),
    "clean": ("How do I clean the {product}?", "What is the best way to clean the {product}?",
              "How should I clean the {product}?", "How should the {product} be cleaned?"),
    "before": ("Should I clean the {product} before I return it?",),
    "after": ("Should I clean the {product} after I return it?",),
    "shipping": ("Do you ship to {country}?", "Can you ship to {country}?", "Is shipping to {country} possible?",
                 "Do you deliver to {country}?"),
    "no_shipping": ("Why don't you ship to {country}?", "Why do you not ship to {country}?"),
    "refund": ("How many days do I have to return the {product}?", "Until when can I return the {product}?",
               "What is the return period for the {product}?"),
}  # fmt: skip
"""Questions of one topic have one answer, for one tenant and the same slots; topics next to each other are traps."""


class Request(NamedTuple):
    """A question of a customer.

    Args:
        tenant: Whose customer.
        user: Which one.
        text: What is asked.
        answer: What is right.
    """

    tenant: str
    user: str
    text: str
    answer: str


def questions(number: int, *, seed: int) -> list[Request]:
    """Make a stream of questions; a few topics and slots are asked for most often, as in life."""
    dice = random.Random(seed)  # noqa: S311  # traffic, not a secret
    topics = list(TOPICS)
    shares = [1 / (1 + place) ** 0.7 for place in range(len(topics))]
    return [_question(dice, topics, shares) for _ in range(number)]


def _question(dice: random.Random, topics: Sequence[str], shares: Sequence[float]) -> Request:
    topic = dice.choices(topics, shares)[0]
    plan, other = dice.sample(PLANS, 2)
    slots = {"plan": plan, "other": other, "product": _frequent(dice, PRODUCTS), "country": _frequent(dice, COUNTRIES)}
    tenant = dice.choice(TENANTS)
    form = dice.choice(TOPICS[topic])
    named = ", ".join(value for name, value in sorted(slots.items()) if f"{{{name}}}" in form)
    answer = (
        f"{tenant.title()} on {topic} ({named or 'all'}): see article {sum(map(ord, tenant + topic + named)) % 997}."
    )
    return Request(tenant, f"{tenant}-user-{dice.randrange(40)}", form.format(**slots), answer)


def _frequent(dice: random.Random, values: Sequence[str]) -> str:
    return values[min(int(dice.expovariate(0.6)), len(values) - 1)]


@dataclass(frozen=True, slots=True)
class Invoice:
    """A document to be read.

    Args:
        tenant: Who received it.
        vendor: Who wrote it, by its number.
        text: What it says.
        total: What is to be found in it.
    """

    tenant: str
    vendor: int
    text: str
    total: str


def invoices(number: int, *, seed: int, again: float = 0.4) -> Iterator[Invoice]:
    """Make a stream of invoices, of which a share comes in again: reminders, forwards, a batch that is run twice.

    The same document may reach both tenants, who code it to accounts of their own.
    """
    dice = random.Random(seed)  # noqa: S311  # traffic, not a secret
    seen: list[Invoice] = []
    for _ in range(number):
        if seen and dice.random() < again:
            old = dice.choice(seen)
            yield Invoice(dice.choice(TENANTS), old.vendor, old.text, old.total)
            continue
        vendor, items = dice.randrange(12), dice.randrange(1, 4)
        lines = [
            f"{dice.randrange(1, 9)} x {dice.choice(PRODUCTS)} at {dice.randrange(900, 9900) / 100:.2f}"
            for _ in range(items)
        ]
        total = f"{dice.randrange(2_000, 90_000) / 100:.2f} EUR"
        text = f"Invoice {dice.randrange(10_000, 99_999)} of vendor {vendor}.\n" + "\n".join(lines) + f"\nTotal {total}"
        made = Invoice(dice.choice(TENANTS), vendor, text, total)
        seen.append(made)
        yield made


class Vendors:
    """The vendor register that tools look into: addresses change now and then."""

    def __init__(self) -> None:
        self._moves: dict[tuple[str, int], int] = {}

    def look_up(self, tenant: str, vendor: int) -> str:
        """Give a vendor's address, as this tenant keeps it."""
        return f"{tenant}: vendor {vendor}, {self._moves.get((tenant, vendor), 0) + 1} High Street"

    def move(self, tenant: str, vendor: int) -> None:
        """Change it."""
        self._moves[tenant, vendor] = self._moves.get((tenant, vendor), 0) + 1

    def clear(self) -> None:
        """Begin anew."""
        self._moves.clear()
