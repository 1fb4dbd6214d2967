"""Whether a model says the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.canonical import as_json
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.handoff import for_model
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.answer import message_of, parsed_of, plain
from langchain_agentcost.routing.verifiers.asking import asking, model_of


class SelfConsistency:
    """Accepts an answer that the same model gives again, asked some more times (Wang et al., ICLR 2023).

    It pays where answers are short, and at a temperature above 0: at 0 a model repeats its errors too. The questions
    are calls like others: they are booked as overhead, with the whole prompt each time, most of it from the cache.

    Args:
        model: The model, or its tier, with the same tools and structured output bound as where the answer comes from.
        k: How many times more it is asked.
        min_share: The least share of those answers that has to be the same.
        key: What is compared of an answer, such as the last number in it. None compares tool calls by name and
            arguments, what was parsed by its values, and text without regard to case, spaces and a last full stop.

    Raises:
        RoutingError: If `k` is below 1, or the share is not above 0 and at most 1.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> again = SelfConsistency(FakeMeteredChatModel(answers=["Nine.", "nine", "Ten."]), k=3)
        >>> again.check(RouteRequest.of("4 + 5?"), AIMessage("Nine"), {}).reasons
        ('2 of 3 further answers are the same, at least 0.50 of them passes',)
    """

    def __init__(
        self, model: Any, *, k: int = 3, min_share: float = 0.5, key: Callable[[Any], object] | None = None
    ) -> None:
        if k < 1 or not 0 < min_share <= 1:
            raise RoutingError(f"k is at least 1 and min_share above 0 and at most 1, not {k!r} and {min_share!r}.")
        self.model = model_of(model)
        self.calls = k
        self._min_share = min_share
        self._key = key or said

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "self-consistency"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        asked = [for_model(request.messages, self.model)] * self.calls
        return self._verdict(answer, self.model.batch(asked, asking(config, "self_consistency")))

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer in async code."""
        asked = [for_model(request.messages, self.model)] * self.calls
        return self._verdict(answer, await self.model.abatch(asked, asking(config, "self_consistency")))

    def _verdict(self, answer: Any, others: Sequence[Any]) -> Verdict:
        own = self._key(answer)
        same = sum(self._key(other) == own for other in others)
        share = same / len(others)
        reason = f"{same} of {len(others)} further answers are the same, at least {self._min_share:.2f} of them passes"
        return Verdict(share >= self._min_share, (reason,), share)


def said(answer: Any) -> str:
    """Write what an answer says so that equal answers are written equally.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> said(AIMessage("Row  NINE.")) == said(AIMessage("row nine"))
        True
    """
    message, parsed = message_of(answer), parsed_of(answer)
    if parsed is not None or message is None:
        return as_json(plain(parsed))
    calls = sorted(as_json([call["name"], call["args"]]) for call in message.tool_calls)
    return as_json(calls) if calls else " ".join(str(message.text).casefold().split()).rstrip(".")
