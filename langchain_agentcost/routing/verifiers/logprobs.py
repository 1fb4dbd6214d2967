"""How sure a model was of what it said, by the probabilities of its own tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from statistics import fmean
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.complaint import Complaint
from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.answer import message_of
from langchain_agentcost.routing.verifiers.pure import Pure


class LogprobMargin(Pure):
    """Accepts an answer whose tokens were far more probable than what else could have stood there.

    A token's margin is its probability less that of the most probable other one. Where the other ones are not given,
    all that is left of the probability counts as one other, so the margin is understated.

    It reads `response_metadata["logprobs"]`, as `ChatOpenAI` and what speaks like it fill it where `logprobs=True` and
    `top_logprobs=2` are bound. OpenAI gives none for tool calls. Without logprobs nothing is accepted, with a warning
    the first time.

    Args:
        min_margin: The least margin that passes, from 0 to 1.
        over: "mean" takes the mean over the tokens, "least" the least sure one.

    Raises:
        RoutingError: If the margin is not from 0 to 1.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> token = {"token": "9", "logprob": -0.1, "top_logprobs": []}
        >>> answer = AIMessage("9", response_metadata={"logprobs": {"content": [token]}})
        >>> LogprobMargin(min_margin=0.5).check(RouteRequest.of("?"), answer, {}).accepted
        True
    """

    __slots__ = ("_min_margin", "_over", "_unknown")

    def __init__(self, *, min_margin: float = 0.5, over: Literal["mean", "least"] = "mean") -> None:
        if not 0 <= min_margin <= 1 or over not in ("mean", "least"):
            raise RoutingError(f'min_margin is from 0 to 1 and over "mean" or "least", not {min_margin!r}, {over!r}.')
        self._min_margin = min_margin
        self._over = over
        self._unknown = Complaint("A logprob margin accepts nothing", RoutingWarning)

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "logprob margin"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        tokens = _tokens(answer)
        if not tokens:
            self._unknown.about(RoutingError("an answer has no logprobs; bind logprobs=True, top_logprobs=2."))
            return Verdict(accepted=False, reasons=("no logprobs",))
        margins = [_margin(token) for token in tokens]
        margin = fmean(margins) if self._over == "mean" else min(margins)
        said = f"a margin of {margin:.2f}, at least {self._min_margin:.2f} passes"
        return Verdict(margin >= self._min_margin, (said,), min(max(margin, 0.0), 1.0))


def _tokens(answer: Any) -> Sequence[Mapping[str, Any]]:
    message = message_of(answer)
    given = message.response_metadata.get("logprobs") if message is not None else None
    tokens = given.get("content") if isinstance(given, Mapping) else None
    return [token for token in tokens if isinstance(token.get("logprob"), int | float)] if tokens else ()


def _margin(token: Mapping[str, Any]) -> float:
    own = exp(token["logprob"])
    others = [exp(other["logprob"]) for other in token.get("top_logprobs") or () if other["token"] != token["token"]]
    return own - (max(others) if others else 1 - own)
