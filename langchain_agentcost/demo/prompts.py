"""What the desk says to the model: one system prompt for all, examples for each task, and the shape of the answers.

All calls start with the same system prompt and those of one task with the same examples, so a prompt cache serves most
of every prompt but the first. A model of 135 million parameters follows examples, hardly instructions: hence so many.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Topic = Literal["orders", "refunds", "products"]

SYSTEM = (
    "You work at the support desk of an online shop. Be kind, brief and exact. Answer only from the facts you are "
    "given. Never make up dates, prices or order numbers. Questions about where a parcel is belong to orders. Wishes "
    "for money back belong to refunds. Questions about what we sell belong to products."
)

TOPIC_WORDS: dict[Topic, tuple[str, ...]] = {
    "orders": ("where is", "parcel", "late", "warehouse", "due"),
    "refunds": ("refund", "money back"),
    "products": ("sell", "cost", "how long", "do you have"),
}
"""The rule that holds the triage to the message: a topic without any of its words is not one."""


class Triage(BaseModel):
    """Which worker a message is for."""

    topic: Topic


class OrderNumber(BaseModel):
    """The order that a message is about."""

    order: int


class ProductName(BaseModel):
    """The product that a message is about."""

    product: str


class Verdict(BaseModel):
    """Whether a reply states the facts."""

    verdict: Literal["pass", "fail"]


Example = tuple[str, str]

TRIAGE: tuple[Example, ...] = (
    ("Message: Is my parcel 5550 on its way?", '{"topic": "orders"}'),
    ("Message: The cup from order 7312 is broken, give me my money back.", '{"topic": "refunds"}'),
    ("Message: Do you have rakes, and how much are they?", '{"topic": "products"}'),
)
FIND_ORDER: tuple[Example, ...] = (
    ("Message: Is my parcel 5550 on its way?", '{"order": 5550}'),
    ("Message: The cup from order 7312 is broken, give me my money back.", '{"order": 7312}'),
    ("Message: I paid 30 dollars for order 6120 and want it back.", '{"order": 6120}'),
)
FIND_PRODUCT: tuple[Example, ...] = (
    ("Message: Do you have leaf rakes, and how much are they?", '{"product": "leaf rake"}'),
    ("Message: Order 8841 is too small. Do you sell the rubber boots in black?", '{"product": "rubber boots"}'),
    ("Message: How heavy is the wheelbarrow?", '{"product": "wheelbarrow"}'),
)
DRAFT: dict[Topic | Literal["denials"], tuple[Example, ...]] = {
    "orders": (
        (
            "Question: Is my parcel 5550 on its way?\n"
            "Facts: order 5550, leaf rake, shipped, expected on 3 March, last seen in Bath.",
            "Your order 5550 has been shipped. It was last seen in Bath and is expected on 3 March.",
        ),
        (
            "Question: Did you send order 6120?\nFacts: order 6120, tea cup, packed, expected on 8 March.",
            "Your order 6120 is packed and waits to be shipped. It is expected on 8 March.",
        ),
    ),
    "refunds": (
        (
            "Question: The cup from order 7312 is broken, give me my money back.\n"
            "Facts: order 7312, tea cup, refunded 12.00 dollars.",
            "We are sorry about that. We have refunded 12.00 dollars for order 7312.",
        ),
        (
            "Question: Order 4410 is too big. Can I have a refund?\nFacts: order 4410, shoes, refunded 55.30 dollars.",
            "We are sorry about that. We have refunded 55.30 dollars for order 4410.",
        ),
    ),
    "denials": (
        (
            "Question: Please refund 8841.\nFacts: order 8841 is not refunded, it was delivered more than 30 days ago.",
            "We are sorry, order 8841 is not refunded, because it was delivered more than 30 days ago.",
        ),
    ),
    "products": (
        (
            "Question: Do you have rakes?\nFacts: leaf rake, made of steel, 18.50 dollars, in stock.",
            "Yes, the leaf rake is in stock. It is made of steel and costs 18.50 dollars.",
        ),
        (
            "Question: Which colours do the boots have?\nFacts: rubber boots, red and green, 31.00 dollars, in stock.",
            "The rubber boots come in red and green. They are in stock and cost 31.00 dollars.",
        ),
    ),
}
VERIFY: tuple[Example, ...] = (
    (
        "Facts: order 5550, leaf rake, shipped, expected on 3 March.\nReply: I am sorry, I do not know.",
        '{"verdict": "fail"}',
    ),
    (
        "Facts: order 7312, tea cup, refunded 12.00 dollars.\nReply: We have refunded 12.00 dollars for order 7312.",
        '{"verdict": "pass"}',
    ),
    ("Facts: leaf rake, 18.50 dollars.\nReply: We sell many tools.", '{"verdict": "fail"}'),
    (
        "Facts: order 5550, leaf rake, shipped, expected on 3 March.\nReply: Order 5550 is shipped, it comes 3 March.",
        '{"verdict": "pass"}',
    ),
    (
        "Facts: rubber boots, red and green, 31.00 dollars.\nReply: The boots come in red and green for 31.00 dollars.",
        '{"verdict": "pass"}',
    ),
)
