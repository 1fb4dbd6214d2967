"""What a model's answer says about itself."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from langchain_core.outputs import LLMResult

from langchain_agentcost.usage import Usage, looks_cached


class Answer(NamedTuple):
    """The parts of an answer that the books need.

    Args:
        usage: What the provider reported; None where it reported nothing.
        message_id: The id of the answer's message, which a model that passes an answer on keeps.
        model: The model that answered, as the provider names it; None where it does not say.
        text: The text of the first generation. It is only looked at to count what the provider did not.
        tool_calls: The tool calls that it asks for.
        from_cache: Whether the provider was not called at all.
    """

    usage: Usage | None = None
    message_id: str | None = None
    model: str | None = None
    text: str = ""
    tool_calls: list[Any] = []  # noqa: RUF012  # never written to
    from_cache: bool = False

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
            stated = (result.llm_output or {}).get("model_name")
            return cls(usage, None, stated, result.generations[0][0].text)
        metadata = message.response_metadata
        return cls(
            usage,
            message.id,
            metadata.get("model_name") or metadata.get("model"),
            "" if usage is not None else message.text,
            getattr(message, "tool_calls", None) or [],
            looks_cached(result),
        )
