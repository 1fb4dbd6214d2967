"""What budgets reserve for an answer, without a cap and with one: what a cap is really for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from langchain_agentcost.context.output.fitted import Fitted
from langchain_agentcost.money import from_nano
from langchain_agentcost.pricing import PriceBook

LONGEST_TOKENS = 128_000
"""What the meter assumes that a model may write, where neither the call nor the model's profile says it."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """What a budget reserves for one answer.

    Args:
        place: The node, or what caps were grouped by.
        model: The model.
        before_tokens: The longest answer that the model may write.
        after_tokens: The same with the cap; as before where there is none, or where it is higher.
        before_usd: What those cost; None where no price is known.
        after_usd: The same with the cap.
    """

    place: str | int | None
    model: str | None
    before_tokens: int
    after_tokens: int
    before_usd: Decimal | None
    after_usd: Decimal | None


def reserves(fitted: Fitted, *, prices: PriceBook, longest_tokens: int = LONGEST_TOKENS) -> tuple[Reserve, ...]:
    """Give what budgets reserve for the answers of each group, before its cap and after.

    A budget that has room for one uncapped answer has room for so many more capped ones at the same time. What is
    billed stays the same, but for answers that run away.

    Args:
        fitted: The caps.
        prices: What answers cost.
        longest_tokens: What an uncapped answer may have: the model's own maximum, or the `max_tokens` in force.

    Example:
        >>> from langchain_agentcost.context.output.bound import WHOLE
        >>> from langchain_agentcost.context.output.fitted import Cap
        >>> book = PriceBook({"models": [{"model": "m", "input": 1, "output": 10}]})
        >>> [one] = reserves(Fitted("node", WHOLE, 2.0, (Cap("plan", "m", 500, 0, 90, 80, 160),)), prices=book)
        >>> one.before_usd, one.after_usd
        (Decimal('1.280000000'), Decimal('0.001600000'))
    """
    return tuple(
        Reserve(cap.place, cap.model, longest_tokens, after, *_usd(cap.model, (longest_tokens, after), prices))
        for cap in fitted.caps
        for after in [min(cap.max_tokens or longest_tokens, longest_tokens)]
    )


def _usd(model: str | None, tokens: tuple[int, int], prices: PriceBook) -> tuple[Decimal | None, Decimal | None]:
    card = prices.card(model) if model is not None else None
    worst = card.worst(0) if card is not None else None
    if worst is None:
        return None, None
    return from_nano(tokens[0] * worst[1]), from_nano(tokens[1] * worst[1])
