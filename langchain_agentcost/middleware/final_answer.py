"""What an agent says when a limit stops it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from langchain_agentcost.errors.limits import BreakerTripped, LimitReached
from langchain_agentcost.limits.account_name import AccountName
from langchain_agentcost.middleware.remaining import of_limit

FinalAnswer = Callable[[Mapping[str, Any], LimitReached], str]
"""What makes the text of it, from the agent's state and what was reached."""

MOST_RESULTS = 3
"""How many tool results are shown, the latest ones."""

MOST_CHARS = 500
"""How much of each."""


def final_message(state: Mapping[str, Any], reached: LimitReached, answer: FinalAnswer) -> AIMessage:
    """The message that an agent ends with. `response_metadata` says that no model wrote it, and what was reached."""
    amounts = {"scope": reached.scope, "limit": _plain(reached.limit), "spent": _plain(reached.spent)}
    what = {"error": type(reached).__name__, **amounts}
    return AIMessage(answer(state, reached), response_metadata={"finish_reason": "limit_reached", "agentcost": what})


def default_answer(state: Mapping[str, Any], reached: LimitReached) -> str:
    """What was reached, and what there is: the latest text of this turn, and the tool results since.

    Args:
        state: The agent's state.
        reached: What stopped it.

    Example:
        >>> from langchain_agentcost.errors.limits import BreakerTripped
        >>> messages = [HumanMessage("Where is it?"), AIMessage("It left Lyon on Monday. I will look further.")]
        >>> print(default_answer({"messages": messages}, BreakerTripped("track was called 8 times alike.")))
        Stopped: track was called 8 times alike. Here is what I have:
        <BLANKLINE>
        It left Lyon on Monday. I will look further.
    """
    found = list(_found(state["messages"]))
    if not found:
        return f"{reached_line(reached)} There is no result yet."
    return "\n\n".join([f"{reached_line(reached)} Here is what I have:", *found])


def reached_line(reached: LimitReached) -> str:
    """What was reached, in a sentence for whoever talks to the agent."""
    account = AccountName.of(reached.scope or "")
    if isinstance(reached, BreakerTripped) or account.unit is None or reached.limit is None:
        return f"Stopped: {reached}"
    whose = " and ".join(f"this {part.partition('=')[0]}" for part in account.subject.split(",") if "=" in part)
    line = f"Budget reached: {of_limit(account.unit, reached.spent, reached.limit)}"
    line += f" {'is' if account.unit in ('usd', 'wall_time') else 'are'} used for {whose}"
    if reached.spent >= reached.limit:
        return f"{line}."
    if reached.spent + (reached.reserved or 0) >= reached.limit:
        return f"{line}, and calls under way have reserved the rest."
    return f"{line}, and the next call may take more than what is left."


def _found(messages: Sequence[AnyMessage]) -> list[str]:
    """What this turn has come to: the model's latest text, and the results that have come in since."""
    results: list[str] = []
    for message in takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages)):
        text = message.text.strip()
        if isinstance(message, AIMessage) and text:
            return [text, *reversed(results)]
        if isinstance(message, ToolMessage) and text and message.status != "error" and len(results) < MOST_RESULTS:
            results.append(_shortened(text))
    return results[::-1]


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS].rstrip()} […]"


def _plain(amount: object) -> object:
    """An amount as checkpoints and JSON take it."""
    return str(amount) if isinstance(amount, Decimal) else amount
