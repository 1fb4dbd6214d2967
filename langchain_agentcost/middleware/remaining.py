"""What is left of the limits, as a line that a model or a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_agentcost.limits.refusal import amount_of
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.prompt_tail import TAIL_ID


def with_remaining(request: ModelRequest[Any], left: Iterable[Remaining]) -> ModelRequest[Any]:
    """Add the line to a request, behind everything that a provider's cache may know."""
    line = remaining_line(left)
    if not line or not request.messages:
        return request
    tail = HumanMessage(line, id=TAIL_ID)
    mark = request.model_settings.get("cache_control")
    if mark is None:
        return request.override(messages=[*request.messages, tail])
    # Anthropic's mark is for the end of the prompt, which is another one at each call now: it goes before the line.
    *before, last = request.messages
    settings = {name: value for name, value in request.model_settings.items() if name != "cache_control"}
    return request.override(messages=[*before, _marked(last, mark), tail], model_settings=settings)


def remaining_line(left: Iterable[Remaining]) -> str:
    """What is left of each unit, where least is left; empty where nothing is limited.

    Example:
        >>> money = Remaining("run budget", "usd", "", Decimal("0.05"), Decimal("0.02"), Decimal(0), Decimal("0.03"))
        >>> steps = Remaining("run budget", "steps", "", 10, 7, 0, 3)
        >>> remaining_line([money, steps])
        'Budget: $0.03 of $0.05 left; 3 of 10 steps left.'
    """
    least: dict[str, Remaining] = {}
    for one in left:
        known = least.get(one.unit)
        if known is None or one.remaining < known.remaining:
            least[one.unit] = one
    parts = [f"{of_limit(unit, one.remaining, one.limit)} left" for unit, one in least.items()]
    return f"Budget: {'; '.join(parts)}." if parts else ""


def of_limit(unit: str, amount: Decimal | int, limit: Decimal | int) -> str:
    """An amount of a limit, in few digits: money to a hundredth of a cent.

    Example:
        >>> of_limit("usd", Decimal("0.031265488"), Decimal("0.05")), of_limit("steps", 3, 10)
        ('$0.0313 of $0.05', '3 of 10 steps')
    """
    if unit == "usd":
        return f"{_usd(amount)} of {_usd(limit)}"
    if unit == "wall_time":
        return f"{amount:.0f} of {limit:.0f} s"
    return f"{amount:,} of {amount_of(unit, limit)}"


def _usd(amount: Decimal | int) -> str:
    dollars, _, rest = f"{amount:,.4f}".partition(".")
    return f"${dollars}.{rest.rstrip('0'):0<2}"


def _marked(message: BaseMessage, mark: Mapping[str, Any]) -> Any:
    """A message with a cache's mark on its last block."""
    content = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else message.content
    if not content or not isinstance(content[-1], dict):
        return message
    return message.model_copy(update={"content": [*content[:-1], {**content[-1], "cache_control": mark}]})
