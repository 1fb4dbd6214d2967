"""What a model's answer, or its failure, says about the call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult

from langchain_agentcost.reported import states_tier
from langchain_agentcost.usage import Usage, looks_cached


class Answer(NamedTuple):
    """The parts of an answer that the books need.

    Args:
        usage: What the provider reported; None where it reported nothing.
        message: The first generation; None of a text model, and where nothing came.
        model: The model that answered, as the provider names it; None where it does not say.
        written: The text of a text model.
        from_cache: Whether the provider was not called at all.
        complete: Whether the provider had finished when it reported the usage.
    """

    usage: Usage | None = None
    message: AIMessage | None = None
    model: str | None = None
    written: str = ""
    from_cache: bool = False
    complete: bool = True

    @classmethod
    def of(cls, result: LLMResult | None, *, batch_size: int = 1) -> Self:
        """Read a result; of a failure, what there was of it.

        Args:
            result: What LangChain hands over, None where it has nothing.
            batch_size: The `batch_size` of the start event.

        Returns:
            The answer.
        """
        if result is None or not any(result.generations):
            return cls()
        message, usage = Usage.from_llm_result(result, batch_size=batch_size)
        if message is None:
            return cls(usage, None, (result.llm_output or {}).get("model_name"), result.generations[0][0].text)
        metadata = message.response_metadata
        model = metadata.get("model_name") or metadata.get("model")
        return cls(usage, message, model, from_cache=looks_cached(result))

    @classmethod
    def of_failure(cls, error: BaseException, result: LLMResult | None) -> Self:
        """Read what a failure leaves: a part of a stream, or an answer that the client refused to hand over.

        OpenAI's client raises where an answer to be parsed was cut by its length or by a filter; the completion that
        was paid for is on the error.

        Args:
            error: What was raised.
            result: What LangChain hands over beside it.

        Returns:
            The answer, as far as it came.
        """
        completion = getattr(error, "completion", None)
        reported = _openai_usage(getattr(completion, "usage", None))
        if reported is not None:
            tier = getattr(completion, "service_tier", None)
            return cls(Usage.from_usage_metadata(reported, service_tier=tier), model=getattr(completion, "model", None))
        return cls.of(result)._replace(complete=False)

    @property
    def text(self) -> str:
        """What was said. It is only looked at to count what the provider did not."""
        return self.message.text if self.message is not None else self.written

    @property
    def tool_calls(self) -> list[Any]:
        """The tool calls that it asks for."""
        return getattr(self.message, "tool_calls", None) or []

    @property
    def states_tier(self) -> bool:
        """Whether it says which service tier it was served on."""
        return self.message is not None and states_tier(self.message.response_metadata)


def _openai_usage(usage: object) -> dict[str, Any] | None:
    """OpenAI's own usage object as LangChain's mapping; None where it is not one."""
    dump = getattr(usage, "model_dump", None)
    counts: Mapping[str, Any] = dump() if callable(dump) else {}
    if "prompt_tokens" not in counts:
        return None
    read, made = (counts.get(f"{part}_tokens_details") or {} for part in ("prompt", "completion"))
    return {
        "input_tokens": counts.get("prompt_tokens"),
        "output_tokens": counts.get("completion_tokens"),
        "total_tokens": counts.get("total_tokens"),
        "input_token_details": {"cache_read": read.get("cached_tokens"), "audio": read.get("audio_tokens")},
        "output_token_details": {"reasoning": made.get("reasoning_tokens"), "audio": made.get("audio_tokens")},
    }
