"""What a call may take at worst, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Demand:
    """The worst case of a call that is about to be made.

    Args:
        kind: A model call, a tool call or a retriever's.
        input_tokens: Tokens that it sends, counted with a margin.
        output_tokens: The longest answer that it may get, in tokens; all answers together where it asks for several.
        input_nano: What its input costs at most, fees included, in nano-USD; None where its price is not known.
        output_token_nano: What a token of its answer costs at most, rounded up; None where its price is not known.
        elapsed_ms: Time of the run that no call has accounted for yet.
        tool: The tool, where it is a tool call.
        evidence: Where the numbers come from, for whoever reads a denial: "max_output_tokens": "128000, from …".
        assumed: Whether the price is not known and the dearest one was taken in its place.
    """

    kind: Literal["llm", "tool", "retriever"]
    input_tokens: int = 0
    output_tokens: int = 0
    input_nano: int | None = 0
    output_token_nano: int | None = 0
    elapsed_ms: int = 0
    tool: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    assumed: bool = False

    def of(self, unit: str) -> tuple[int, int] | None:
        """What it takes of a unit, as (whatever the answer, for each token of the answer).

        None where the unit is not touched by this kind of call, or is money and the price is not known.
        """
        if unit == "usd":
            known = self.input_nano is not None and self.output_token_nano is not None
            return (self.input_nano or 0, self.output_token_nano or 0) if known else None
        if unit == "wall_time":
            return self.elapsed_ms, 0
        if self.kind != "llm":
            return _ONE if unit == "tool_calls" and self.kind == "tool" else None
        if unit in _COUNTED:
            return _COUNTED[unit]
        per_token = _TOKENS.get(unit)
        if per_token is None:
            return None
        return (0 if unit == "output_tokens" else self.input_tokens), per_token


_ONE = (1, 0)
_COUNTED = {"steps": _ONE, "llm_calls": _ONE}
_TOKENS = {"input_tokens": 0, "output_tokens": 1, "total_tokens": 1}


@dataclass(frozen=True, slots=True)
class Taken:
    """What a call took.

    Args:
        cost_nano: Its cost; None where it is not known.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        provider_called: Whether it reached a provider: False for an answer from LangChain's cache.
    """

    cost_nano: int | None = 0
    input_tokens: int = 0
    output_tokens: int = 0
    provider_called: bool = True

    def of(self, unit: str, reserved: int) -> int:
        """What it took of a unit. Steps, tools and time take what was reserved; so does money that is not known."""
        if unit == "usd":
            return reserved if self.cost_nano is None else self.cost_nano
        if unit == "llm_calls":
            return reserved if self.provider_called else 0
        if unit == "input_tokens":
            return self.input_tokens
        if unit == "output_tokens":
            return self.output_tokens
        return self.input_tokens + self.output_tokens if unit == "total_tokens" else reserved
