"""What one call consumed, in the provider's own token counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from langchain_agentcost.errors import InvalidUsage

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

INPUT_PARTS = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
"""Disjoint parts of `input_tokens` by what happened to them in the provider's prompt cache."""

_COUNTS = (
    "input_tokens",
    "output_tokens",
    *INPUT_PARTS,
    "input_audio_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call, or of several added up.

    `input_tokens` and `output_tokens` are inclusive totals, LangChain's convention for every provider. The three cache
    counts are disjoint parts of the input; audio is the other way to cut it. Reasoning and audio are parts of the
    output: never add them to it.

    Args:
        input_tokens: All tokens of the prompt, cached or not.
        output_tokens: All tokens that were generated, reasoning included.
        cache_read_tokens: Input served from the provider's prompt cache.
        cache_write_tokens: Input written to the provider's prompt cache at its default lifetime (5 minutes).
        cache_write_1h_tokens: Input written to it for one hour. Not contained in `cache_write_tokens`.
        input_audio_tokens: Input that was audio.
        reasoning_tokens: Output that was hidden reasoning.
        output_audio_tokens: Output that was audio.
        service_tier: The tier that the provider says it served ("flex", "priority", "batch"); None is standard.
        server_tools: Calls of the provider's own tools, as sorted (name, count) pairs, such as (("web_search", 2),).
        estimated: True where the provider reported nothing and the counts are our estimate.
        anomalies: What was wrong with the reported counts, each a short sentence.

    Raises:
        InvalidUsage: If a count is not a whole number of at least 0.

    Example:
        >>> sum([Usage(input_tokens=10, output_tokens=2), Usage(input_tokens=5, output_tokens=1)]).total_tokens
        18
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    service_tier: str | None = None
    server_tools: tuple[tuple[str, int], ...] = ()
    estimated: bool = False
    anomalies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise InvalidUsage(f"{name} must be a whole number of tokens of at least 0, got {_shown(value)}.")

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    @property
    def uncached_tokens(self) -> int:
        """Input that the prompt cache neither served nor stored."""
        cached = self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
        return max(0, self.input_tokens - cached)

    @property
    def cache_read_share(self) -> float | None:
        """Cache reads as a share of the input, from 0 to 1; None where there was no input."""
        return self.cache_read_tokens / self.input_tokens if self.input_tokens else None

    def __add__(self, other: object) -> Self:
        """Add counts; the tier stays where both agree, and what was estimated or wrong stays marked."""
        if not isinstance(other, Usage):
            return NotImplemented
        return type(self)(
            **{name: getattr(self, name) + getattr(other, name) for name in _COUNTS},
            service_tier=self.service_tier if self.service_tier == other.service_tier else None,
            server_tools=_added_tools(self.server_tools, other.server_tools),
            estimated=self.estimated or other.estimated,
            anomalies=tuple(dict.fromkeys(self.anomalies + other.anomalies)),
        )

    def __radd__(self, other: object) -> Self:
        """Make `sum()` work, which starts from 0."""
        return self if other == 0 else NotImplemented

    @classmethod
    def from_message(cls, message: BaseMessage) -> Self | None:
        """Read the usage that a chat model's answer carries.

        Args:
            message: An `AIMessage` or `AIMessageChunk` of any LangChain provider.

        Returns:
            The usage, or None where the message carries none (a stream through a custom base_url, most fakes).

        Example:
            >>> from langchain_core.messages import AIMessage
            >>> counts = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
            >>> Usage.from_message(AIMessage("Hi", usage_metadata=counts)).input_tokens
            3
        """
        reported = getattr(message, "usage_metadata", None)
        if not reported or "input_tokens" not in reported:
            return None
        metadata = message.response_metadata
        return cls.from_usage_metadata(
            reported,
            service_tier=metadata.get("service_tier"),
            server_tools=_server_tools(metadata),
        )

    @classmethod
    def from_usage_metadata(
        cls,
        reported: Mapping[str, Any],
        *,
        service_tier: str | None = None,
        server_tools: tuple[tuple[str, int], ...] = (),
    ) -> Self:
        """Read LangChain's `UsageMetadata`, whichever provider wrote it.

        Known keys are read by table, with or without a service tier's prefix; unknown keys are never summed. A count
        that cannot be is left out and named in `anomalies`, and so is a total that does not add up: this method never
        raises on a provider's mistake, and never hides one.

        Args:
            reported: The mapping, with inclusive `input_tokens` and `output_tokens`.
            service_tier: The tier of the response, where the keys do not tell.
            server_tools: Calls of the provider's own tools, as sorted (name, count) pairs.

        Returns:
            The usage.

        Example:
            >>> Usage.from_usage_metadata(
            ...     {
            ...         "input_tokens": 9,
            ...         "output_tokens": 1,
            ...         "total_tokens": 10,
            ...         "input_token_details": {"priority_cache_read": 4, "priority": 5},
            ...     }
            ... ).service_tier
            'priority'
        """
        reading = _Reading()
        counts: dict[str, Any] = {name: reading.count(reported, name) for name in ("input_tokens", "output_tokens")}
        for details, table in _DETAILS.items():
            for name, value in reading.parts(reported.get(details), table).items():
                counts[name] = counts.get(name, 0) + value
        reading.check(counts, reported.get("total_tokens"))
        return cls(
            **counts,
            service_tier=reading.tier or _billed_tier(service_tier),
            server_tools=server_tools,
            anomalies=tuple(reading.anomalies),
        )


TIER_PREFIXES = ("priority", "flex")
"""Tiers whose details langchain-openai writes with a prefix, and whose bare name counts the rest."""

_STANDARD_TIERS = frozenset({"default", "standard", "auto", "on_demand"})
"""What providers call the tier that has the list price."""

_DETAILS: dict[str, dict[str, str]] = {
    "input_token_details": {
        "cache_read": "cache_read_tokens",
        "cache_creation": "cache_write_tokens",
        "ephemeral_5m_input_tokens": "cache_write_tokens",
        "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
        "audio": "input_audio_tokens",
    },
    "output_token_details": {"reasoning": "reasoning_tokens", "audio": "output_audio_tokens"},
}
"""LangChain's detail keys and the field each is counted in. Keys that are not here are provider extras: not summed."""

_SERVER_TOOL_KEYS = {
    "web_search_requests": "web_search",
    "web_fetch_requests": "web_fetch",
    "code_execution_requests": "code_execution",
}
"""Anthropic's `usage.server_tool_use` keys and the tool each counts."""


@dataclass(slots=True)
class _Reading:
    """One pass over a provider's counts that notes what is wrong with them."""

    tier: str | None = None
    anomalies: list[str] = field(default_factory=list)

    def count(self, counts: Mapping[str, Any], key: str) -> int:
        """One count; 0 and an anomaly where it cannot be."""
        value = counts.get(key)
        if type(value) is int and value >= 0:
            return value
        if value is not None:
            self.anomalies.append(f"{key} was {_shown(value)}, not a whole number of at least 0")
        return 0

    def parts(self, details: object, table: Mapping[str, str]) -> dict[str, int]:
        """The known parts of a details mapping, by field."""
        found: dict[str, int] = {}
        if not isinstance(details, Mapping):
            return found
        for key in details:
            prefix, _, rest = key.partition("_") if isinstance(key, str) else ("", "", "")
            tiered = prefix in TIER_PREFIXES
            if tiered:
                self.tier = prefix
            name = table.get(rest if tiered else key)
            if name:
                found[name] = found.get(name, 0) + self.count(details, key)
        return found

    def check(self, counts: dict[str, int], total: object) -> None:
        """Compare the parts with the wholes, and the wholes with the stated total."""
        for whole, parts in _WHOLES.items():
            for part in parts:
                inside = sum(counts.get(name, 0) for name in part)
                if inside > counts[whole]:
                    names = " + ".join(part)
                    self.anomalies.append(f"{names} ({inside}) exceed {whole} ({counts[whole]})")
        added = counts["input_tokens"] + counts["output_tokens"]
        if type(total) is not int or total == added:
            return
        reasoning = counts.get("reasoning_tokens", 0)
        if reasoning and total == added + reasoning:
            counts["output_tokens"] += reasoning
            self.anomalies.append(f"reasoning ({reasoning}) was reported beside output_tokens; added to it")
        else:
            self.anomalies.append(f"total_tokens was {total}, but input + output is {added}")


_WHOLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "input_tokens": (INPUT_PARTS, ("input_audio_tokens",)),
    "output_tokens": (("reasoning_tokens",), ("output_audio_tokens",)),
}
"""Each inclusive total and the sets of parts that must fit inside it."""


def _billed_tier(tier: object) -> str | None:
    """A response's service tier as prices know it; None for the standard one."""
    if not isinstance(tier, str) or tier.lower() in _STANDARD_TIERS:
        return None
    return tier.lower()


def _server_tools(metadata: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Calls of the provider's own tools, from a response's metadata."""
    usage = metadata.get("usage")
    calls = usage.get("server_tool_use") if isinstance(usage, Mapping) else None
    if not isinstance(calls, Mapping):
        return ()
    counted = {_SERVER_TOOL_KEYS.get(key): calls[key] for key in calls}
    return tuple(sorted((name, n) for name, n in counted.items() if name and type(n) is int and n > 0))


def _added_tools(left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if not left or not right:
        return left or right
    return tuple(sorted((Counter(dict(left)) + Counter(dict(right))).items()))


def _shown(value: object) -> str:
    """A bad value for a message, cut to a length that a log line bears."""
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
