"""What each provider's LangChain class reports about a call, as the fake model reports it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FakeCounts:
    """What a faked call is said to have consumed, in tokens.

    Args:
        input_tokens: The whole prompt.
        output_tokens: The whole answer, reasoning included.
        cache_read_tokens: Of the prompt, what the provider's cache served.
        cache_write_tokens: Of the prompt, what was written to it.
        reasoning_tokens: Of the answer, what was reasoning.

    Example:
        >>> FakeCounts(10_000, 500, cache_read_tokens=8_192).total_tokens
        10500
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class UsageShape:
    """How one provider's LangChain class words usage.

    Args:
        provider: `ls_provider` and `model_provider`.
        model: The model that is asked for by default.
        snapshot: What the provider appends to that model's name in its answer.
        tier: The service tier of the answer; None where the class reports none.
        prefixed: Whether the tier is a prefix of the detail keys, as langchain-openai writes priority and flex.
        input_details: For each key of `input_token_details`, the field of `FakeCounts` that fills it; None is 0.
        output_details: The same for `output_token_details`.
        extra: Further response metadata.
    """

    provider: str
    model: str
    snapshot: str = ""
    tier: str | None = None
    prefixed: bool = False
    input_details: Mapping[str, str | None] = field(default_factory=dict)
    output_details: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def usage_metadata(self, counts: FakeCounts) -> dict[str, Any]:
        """Word counts as the provider's class does."""
        return {
            "input_tokens": counts.input_tokens,
            "output_tokens": counts.output_tokens,
            "total_tokens": counts.total_tokens,
            "input_token_details": self._details(self.input_details, counts, counts.input_tokens, "cache_read"),
            "output_token_details": self._details(self.output_details, counts, counts.output_tokens, "reasoning"),
        }

    def response_metadata(self, model: str, counts: FakeCounts) -> dict[str, Any]:
        """Give what the provider's class says about the response, without how it came (streamed or not)."""
        snapshot = self.snapshot if model == self.model else ""
        metadata = {"model_name": model + snapshot, "model_provider": self.provider, **self.extra}
        if self.provider == "openai":
            metadata["service_tier"] = self.tier or "default"
        if self.provider == "anthropic":
            metadata["usage"] = {"service_tier": self.tier or "standard", "output_tokens": counts.output_tokens}
        return metadata

    def _details(
        self, table: Mapping[str, str | None], counts: FakeCounts, whole: int, priced_apart: str
    ) -> dict[str, int]:
        found = {key: getattr(counts, name) if name else 0 for key, name in table.items()}
        if not (self.prefixed and self.tier):
            return found
        rest = whole - found.get(priced_apart, 0)
        return {key if key == "audio" else f"{self.tier}_{key}": n for key, n in found.items()} | {self.tier: rest}


_OPENAI: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-5-mini",
    "snapshot": "-2025-08-07",
    "input_details": {"audio": None, "cache_read": "cache_read_tokens", "cache_creation": "cache_write_tokens"},
    "output_details": {"audio": None, "reasoning": "reasoning_tokens"},
    "extra": {"finish_reason": "stop"},
}

_ANTHROPIC: dict[str, Any] = {
    "provider": "anthropic",
    "model": "claude-haiku-4-5",
    "snapshot": "-20251001",
    "output_details": {"reasoning": "reasoning_tokens"},
    "extra": {"stop_reason": "end_turn"},
}

USAGE_SHAPES: Mapping[str, UsageShape] = {
    "openai": UsageShape(**_OPENAI),
    "openai-priority": UsageShape(**_OPENAI, tier="priority", prefixed=True),
    "openai-flex": UsageShape(**_OPENAI, tier="flex", prefixed=True),
    "anthropic": UsageShape(
        **_ANTHROPIC,
        input_details={
            "cache_read": "cache_read_tokens",
            "cache_creation": None,
            "ephemeral_5m_input_tokens": "cache_write_tokens",
            "ephemeral_1h_input_tokens": None,
        },
    ),
    "anthropic-1h": UsageShape(
        **_ANTHROPIC,
        input_details={
            "cache_read": "cache_read_tokens",
            "cache_creation": None,
            "ephemeral_5m_input_tokens": None,
            "ephemeral_1h_input_tokens": "cache_write_tokens",
        },
    ),
    "gemini-thinking": UsageShape(
        provider="google_genai",
        model="gemini-2.5-flash",
        input_details={"cache_read": "cache_read_tokens"},
        output_details={"reasoning": "reasoning_tokens"},
        extra={"finish_reason": "STOP", "safety_ratings": []},
    ),
    "none": UsageShape(provider="openai", model="gpt-5-mini", extra={"finish_reason": "stop"}),
}
"""The shapes by name. "none" is a provider that reports no usage, as a stream through a custom base_url."""
