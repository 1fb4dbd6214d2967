"""What checks a cheap tier's answer: one protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of an answer.

    Args:
        accepted: Whether it may be used.
        reasons: Why, as short sentences without text of prompt or answer.
        score: How good it is, from 0 to 1; None where the check has no score.
        error: Whether there was nothing to check, or no way to, such as where a provider is down: then it says nothing
            of who answered.
    """

    accepted: bool
    reasons: tuple[str, ...] = ()
    score: float | None = None
    error: bool = field(default=False, repr=False)


@runtime_checkable
class Verifier(Protocol):
    """Checks an answer. One that asks a model does so under the config it is given, so that its calls are metered."""

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        ...

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer.

        Args:
            request: What was asked.
            answer: An `AIMessage`; with structured output, what was parsed.
            config: The call's config, for the calls that the check itself makes.
        """
        ...

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer in async code."""
        ...
