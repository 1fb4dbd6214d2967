"""What one call consumed, in the provider's own token counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from langchain_agentcost.errors import InvalidUsage
from langchain_agentcost.reported import (
    COUNTS,
    ReportedCounts,
    billed_tier,
    older_counts,
    response_tier,
    shown,
)
from langchain_agentcost.server_tools import ServerTools, server_tool_calls

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import LLMResult


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
        service_tier: The tier that the provider says it served ("flex", "priority", "batch", "fast"); None is standard.
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
    server_tools: ServerTools = ()
    estimated: bool = False
    anomalies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for value in (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.input_audio_tokens,
            self.reasoning_tokens,
            self.output_audio_tokens,
        ):
            if type(value) is not int or value < 0:
                name = next(name for name in COUNTS if getattr(self, name) is value)
                raise InvalidUsage(f"{name} must be a whole number of tokens of at least 0, got {shown(value)}.")

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
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.input_audio_tokens + other.input_audio_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.output_audio_tokens + other.output_audio_tokens,
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
            The usage. None where the message carries none (a stream through a custom base_url, most fakes), or where
            its input or output count cannot be and does not follow from the total: what is unknown is not 0.

        Example:
            >>> from langchain_core.messages import AIMessage
            >>> counts = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
            >>> Usage.from_message(AIMessage("Hi", usage_metadata=counts)).input_tokens
            3
        """
        reported = getattr(message, "usage_metadata", None)
        metadata = message.response_metadata
        if not reported or "input_tokens" not in reported:
            reported = older_counts(metadata.get("token_usage"))
            if not reported:
                return None
        report = ReportedCounts(reported)
        if report.counts is None:
            return None
        return cls._of(report, report.tier or response_tier(metadata), server_tool_calls(message))

    @classmethod
    def from_usage_metadata(
        cls,
        reported: Mapping[str, Any],
        *,
        service_tier: str | None = None,
        server_tools: ServerTools = (),
    ) -> Self:
        """Read LangChain's `UsageMetadata`, whichever provider wrote it.

        Known keys are read by table, with or without a service tier's prefix; unknown keys (costs among them) are never
        summed. A count that cannot be is left out and named in `anomalies`, and so is a total that does not add up:
        this method never raises on a provider's mistake, and never hides one.

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
        report = ReportedCounts(reported)
        return cls._of(report, report.tier or billed_tier(service_tier), server_tools)

    @classmethod
    def from_llm_result(cls, result: LLMResult, *, batch_size: int = 1) -> tuple[AIMessage | None, Self | None]:
        """Read what `on_llm_end` hands over, of a chat model or of an older text model.

        With n > 1 most providers report the usage of the whole response on every generation: equal reports are counted
        once. Reports that differ are one per generation, and are added up.

        Args:
            result: The result of one prompt.
            batch_size: `batch_size` of the start event. LangChain reports the usage of a text model's batch with its
                first prompt only; the others then have a usage of nothing rather than none.

        Returns:
            The first message (None for text models), and the usage (None where none was reported).

        Example:
            >>> from langchain_core.messages import AIMessage
            >>> from langchain_core.outputs import ChatGeneration, LLMResult
            >>> result = LLMResult(generations=[[ChatGeneration(message=AIMessage("Hi"))]])
            >>> message, usage = Usage.from_llm_result(result)
            >>> message.text, usage
            ('Hi', None)
        """
        messages = _messages(result)
        output = result.llm_output or {}
        if not messages:
            if batch_size > 1 and output.get("token_usage") == {}:
                return None, cls()
            return None, cls._from_llm_output(output)
        usages = [usage for message in messages if (usage := cls.from_message(message)) is not None]
        if not usages:
            return messages[0], cls._from_llm_output(output)
        if len(messages) == 1:
            return messages[0], usages[0]
        return messages[0], _whole(usages, tier=billed_tier(output.get("service_tier")))

    @classmethod
    def _of(cls, report: ReportedCounts, tier: str | None, server_tools: ServerTools) -> Self:
        counts = report.counts or _NOTHING
        return cls(
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
            cache_read_tokens=counts["cache_read_tokens"],
            cache_write_tokens=counts["cache_write_tokens"],
            cache_write_1h_tokens=counts["cache_write_1h_tokens"],
            input_audio_tokens=counts["input_audio_tokens"],
            reasoning_tokens=counts["reasoning_tokens"],
            output_audio_tokens=counts["output_audio_tokens"],
            service_tier=tier,
            server_tools=server_tools,
            anomalies=tuple(report.anomalies),
        )

    @classmethod
    def _from_llm_output(cls, output: Mapping[str, Any]) -> Self | None:
        """Read the token counts that text models, and chat models before `usage_metadata`, put beside the answer."""
        report = ReportedCounts(older_counts(output.get("token_usage")) or {})
        return cls._of(report, billed_tier(output.get("service_tier")), ()) if report.counts else None


def is_cache_hit(message: BaseMessage) -> bool:
    """Tell whether a message was served from LangChain's own cache (`set_llm_cache`) and the provider not called.

    langchain-core keeps the first answer's counts on a hit and adds `total_cost: 0`, always that integer. A provider
    that reports a free call as 0.0 is not taken for it.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> counts = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4, "total_cost": 0}
        >>> is_cache_hit(AIMessage("Hi", usage_metadata=counts))
        True
    """
    reported = getattr(message, "usage_metadata", None)
    if not reported or "total_cost" not in reported:
        return False
    cost = reported["total_cost"]
    return type(cost) is int and cost == 0


def looks_cached(result: LLMResult) -> bool:
    """Tell whether the result of a chat model came out of a cache, of LangChain or of anybody else.

    Caches that keep plain text hand it over without usage, and without the marker that `is_cache_hit` reads. What tells
    them from a provider that reports no usage is the message's id: langchain-core gives every answer one before it
    calls `on_llm_end`, but not an answer that it makes of cached text. Such a call must never be billed by an estimate.

    Args:
        result: What `on_llm_end` handed over.

    Returns:
        True for a cache hit.
    """
    messages = _messages(result)
    if not messages:
        return False
    first = messages[0]
    if is_cache_hit(first):
        return True
    return first.id is None and not (first.usage_metadata or first.response_metadata or result.llm_output)


def _messages(result: LLMResult) -> list[Any]:
    """The messages of one prompt's generations; none for a text model."""
    generations = result.generations[0] if result.generations else ()
    return [message for generation in generations if (message := getattr(generation, "message", None)) is not None]


_NOTHING = dict.fromkeys(COUNTS, 0)

_U = TypeVar("_U", bound=Usage)


def _whole(usages: Sequence[_U], *, tier: str | None) -> _U:
    """One usage for several generations of one prompt, whose tier langchain-core leaves beside them."""
    first = replace(usages[0], server_tools=(), service_tier=usages[0].service_tier or tier)
    tools: ServerTools = ()
    for usage in usages:
        tools = _added_tools(tools, usage.server_tools)
    if all(replace(usage, server_tools=(), service_tier=first.service_tier) == first for usage in usages):
        return replace(first, server_tools=tools)
    added = sum(usages[1:], usages[0])
    return replace(added, anomalies=(*added.anomalies, f"{len(usages)} generations reported different usage; added up"))


def _added_tools(left: ServerTools, right: ServerTools) -> ServerTools:
    if not left or not right:
        return left or right
    return tuple(sorted((Counter(dict(left)) + Counter(dict(right))).items()))
