"""What one provider's model wrote, made fit for another's: a thread that goes on with another model.

What is only of use to whoever made it (thinking, signatures, ids of stored items, cache marks) is left out; what was
said, and every tool call with its result, stays. What a model's own provider wrote is handed over as it is, for it may
need it: Anthropic wants its signed thinking back.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool

from langchain_agentcost.canonical import digest
from langchain_agentcost.chat_model import bound_to, innermost, names_of


def for_model(messages: Sequence[BaseMessage], model: Any) -> list[BaseMessage]:
    """Make a history fit for a model, whoever wrote it.

    The same history always becomes the same messages, and a longer history begins with what the shorter one became. So
    the model's prompt cache holds, and so do thinking blocks that are bound to what stood before them (Anthropic,
    "Preserved thinking", 2026).

    Args:
        messages: The history. Who wrote an answer is told by `response_metadata["model_provider"]`, else by its blocks.
        model: The chat model that gets it, bound or not.

    Returns:
        The messages. One that needs no change is the very object that was given; an answer of which nothing is left,
        such as another provider's thinking alone, is not there.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> told = [{"type": "thinking", "thinking": "…", "signature": "s"}, {"type": "text", "text": "Four."}]
        >>> answer = AIMessage(told, response_metadata={"model_provider": "anthropic"})
        >>> for_model([answer], FakeMeteredChatModel(usage="openai"))[0].content
        'Four.'
        >>> for_model([answer], FakeMeteredChatModel(usage="anthropic"))[0] is answer
        True
    """
    target = _Target.of(model)
    foreign_calls: set[str] = set()
    fit: list[BaseMessage] = []
    for message in messages:
        said: BaseMessage | None = message
        if isinstance(message, AIMessage) and target.is_foreign(message):
            foreign_calls.update(call["id"] for call in message.tool_calls if call["id"])
            said = _said(message)
        elif isinstance(message, ToolMessage) and message.tool_call_id in foreign_calls:
            said = _result(message)
        if said is not None:
            fit.append(target.with_fitting_ids(target.unmarked(said)))
    return fit


def tools_for(tools: Sequence[Any], model: Any) -> list[Any]:
    """Make tools fit for a model: without the cache marks that its provider rejects.

    Args:
        tools: What `bind_tools` takes.
        model: The chat model that gets them, bound or not.

    Returns:
        The tools; one that needs no change is the very object that was given.
    """
    target = _Target.of(model)
    return [_unmarked_tool(tool, target.marks) for tool in tools]


def settings_for(settings: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Make what is sent besides prompt and tools fit for a model: without what only other providers know.

    Args:
        settings: Keyword arguments of a call.
        model: The chat model that gets them, bound or not.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> asked = {"temperature": 0, "cache_control": {"type": "ephemeral"}, "prompt_cache_key": "desk"}
        >>> settings_for(asked, FakeMeteredChatModel(usage="openai"))
        {'temperature': 0, 'prompt_cache_key': 'desk'}
    """
    if not settings:
        return {}
    provider = _Target.of(model).provider
    kept = {name: value for name, value in settings.items() if provider in _SETTINGS.get(name, (provider,))}
    headers = kept.get("extra_headers")
    if isinstance(headers, Mapping):
        left = {name: value for name, value in headers.items() if provider in _HEADERS.get(_low(name), (provider,))}
        kept |= {"extra_headers": left}
        if not left and headers:
            del kept["extra_headers"]
    return kept


_ALIKE = {
    "azure": "openai",  # langchain-openai signs both with "openai"
    "openai-codex": "openai",
    "mistral": "mistralai",  # `ls_provider` and `model_provider` differ
    "amazon_bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "anthropic_bedrock": "anthropic",
    "google_anthropic_vertex": "anthropic",
}
"""Names of providers whose messages are of one make."""

_ALIKE_BY_CLASS = {"anthropic-chat": "anthropic", "anthropic-bedrock-chat": "anthropic",
                   "anthropic-chat-vertexai": "anthropic", "azure-openai-chat": "openai",
                   "fireworks-chat": "fireworks", "openrouter-chat": "openrouter"}  # fmt: skip
"""The same by `_llm_type`, which LangChain's `model_fallback.py` goes by: Claude takes its marks on every cloud."""

_WRITERS = {
    "thinking": "anthropic",
    "redacted_thinking": "anthropic",
    "tool_use": "anthropic",
    "server_tool_use": "anthropic",
    "reasoning": "openai",
    "function_call": "openai",
    "custom_tool_call": "openai",
    "web_search_call": "openai",
    "code_interpreter_call": "openai",
}
"""Who writes blocks of a type, for answers that do not say who made them."""

_MARKS: dict[str, frozenset[str]] = {
    "cache_control": frozenset({"anthropic", "openrouter"}),
    "prompt_cache_breakpoint": frozenset({"openai"}),
    "cachePoint": frozenset({"bedrock"}),
}
"""Cache marks in blocks and tools, and the providers that take them."""

_SETTINGS: dict[str, frozenset[str]] = {
    "cache_control": frozenset({"anthropic", "openrouter"}),
    "prompt_cache_key": frozenset({"openai", "fireworks"}),
    "prompt_cache_retention": frozenset({"openai"}),
    "previous_response_id": frozenset({"openai"}),
    "thinking": frozenset({"anthropic"}),
    "betas": frozenset({"anthropic"}),
    "container": frozenset({"anthropic"}),
    "cached_content": frozenset({"google_genai", "google_vertexai"}),
    "safety_settings": frozenset({"google_genai", "google_vertexai"}),
    "thinking_budget": frozenset({"google_genai", "google_vertexai"}),
}
"""Settings of a call that not everyone knows, and who does (langchain's `model_fallback.py`, and the classes)."""

_HEADERS: dict[str, frozenset[str]] = {
    "x-session-affinity": frozenset({"fireworks"}),
    "anthropic-beta": frozenset({"anthropic"}),
}
"""The same for headers, in lower case."""

_IDS: dict[str, re.Pattern[str]] = {
    "anthropic": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    "bedrock": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    "mistralai": re.compile(r"[a-zA-Z0-9]{9}"),
    "openai": re.compile(r".{1,40}", re.DOTALL),
}
"""The ids of tool calls that a provider takes: OpenAI's chat completions at most 40 characters (vercel/ai #5171)."""

_NESTED = ("extras", "metadata")
"""Where a block, or a tool, may hold marks besides itself."""

_ID_KEYS = {"tool_use": "id", "tool_call": "id", "function_call": "call_id", "custom_tool_call": "call_id"}
"""Where a block that repeats a tool call holds its id."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The model that a history goes to: its provider, the marks it rejects, and whether it speaks OpenAI Responses."""

    provider: str | None
    marks: frozenset[str]
    responses: bool

    @classmethod
    def of(cls, model: Any) -> _Target:
        inner = innermost(model)
        known = _ALIKE_BY_CLASS.get(str(getattr(inner, "_llm_type", "")))
        provider = known or _alike(names_of(model)[1])
        speaks = getattr(inner, "_use_responses_api", None)
        responses = bool(speaks(bound_to(model))) if callable(speaks) else False
        return cls(provider, frozenset(mark for mark, takers in _MARKS.items() if provider not in takers), responses)

    def is_foreign(self, message: AIMessage) -> bool:
        """Whether another provider wrote an answer, or OpenAI in the form of an endpoint that is not asked."""
        writer = _writer(message)
        if writer is None:
            return False
        # Answers of chat completions are texts; only items of the Responses endpoint are lists, which the other rejects
        return writer != self.provider or (
            writer == "openai" and not self.responses and isinstance(message.content, list)
        )

    def unmarked(self, message: BaseMessage) -> BaseMessage:
        """Leave out the cache marks that the provider rejects."""
        changes: dict[str, Any] = {}
        if isinstance(message.content, list):
            content = _unmarked_blocks(message.content, self.marks)
            if content is not message.content:
                changes["content"] = content
        if self.marks.intersection(message.additional_kwargs):
            changes["additional_kwargs"] = _without(message.additional_kwargs, self.marks)
        return message.model_copy(update=changes) if changes else message

    def with_fitting_ids(self, message: BaseMessage) -> BaseMessage:
        """Give other ids to tool calls, and to their results, where the provider rejects those they have."""
        if isinstance(message, ToolMessage):
            fit = self._fitting(message.tool_call_id)
            return message if fit == message.tool_call_id else message.model_copy(update={"tool_call_id": fit})
        if not isinstance(message, AIMessage):
            return message
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        if all(self._fitting(call["id"]) == call["id"] for call in calls):
            return message
        return message.model_copy(
            update={
                "content": self._content(message.content),
                "tool_calls": [{**call, "id": self._fitting(call["id"])} for call in message.tool_calls],
                "invalid_tool_calls": [
                    {**call, "id": self._fitting(call["id"])} for call in message.invalid_tool_calls
                ],
            }
        )

    def _content(self, content: Any) -> Any:
        """The blocks that repeat the calls, with the same ids as those."""
        if not isinstance(content, list):
            return content
        return [self._block(block) if isinstance(block, dict) else block for block in content]

    def _block(self, block: dict[str, Any]) -> dict[str, Any]:
        key = _ID_KEYS.get(str(block.get("type")))
        return {**block, key: self._fitting(block[key])} if key is not None and key in block else block

    def _fitting(self, given: str | None) -> str | None:
        """The id itself where it is taken, else one that is made of it alone, so that call and result stay together."""
        rule = _IDS.get(self.provider or "")
        if not given or rule is None or rule.fullmatch(given):
            return given
        made = b32encode(digest(given)).decode().rstrip("=")
        return made[:9] if self.provider == "mistralai" else f"call_{made}"


def _low(name: object) -> str:
    return str(name).lower()


def _alike(provider: object) -> str | None:
    return _ALIKE.get(provider, provider) if isinstance(provider, str) else None


def _writer(message: AIMessage) -> str | None:
    """Who made an answer; None where nothing in it is anybody's own."""
    said = _alike(message.response_metadata.get("model_provider"))
    if said is not None or not isinstance(message.content, list):
        return said
    kinds = [block.get("type") for block in message.content if isinstance(block, dict)]
    return next((_WRITERS[kind] for kind in kinds if kind in _WRITERS), None)


def _said(message: AIMessage) -> AIMessage | None:
    """What an answer says, to anyone: its text and its tool calls; None where there is neither.

    Reasoning, pictures, what the provider's own tools found, citations, ids of items and signatures are left out.
    """
    if isinstance(message.content, str) and not message.additional_kwargs:
        return message
    text = f"{message.text}{_refusal(message)}"
    if not text and not message.tool_calls and not message.invalid_tool_calls:
        return None
    return AIMessage(
        content=text,
        name=message.name,
        id=message.id,
        tool_calls=message.tool_calls,
        invalid_tool_calls=message.invalid_tool_calls,
        usage_metadata=message.usage_metadata,
    )


def _refusal(message: AIMessage) -> str:
    """What OpenAI keeps apart where a model declines: it was said all the same."""
    if isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "refusal"]
        return "".join(str(block.get("refusal") or "") for block in blocks)
    return str(message.additional_kwargs.get("refusal") or "")


def _result(message: ToolMessage) -> ToolMessage:
    """A tool's result without what its call's provider wants beside it, such as the kind of an OpenAI output item."""
    return message.model_copy(update={"additional_kwargs": {}}) if message.additional_kwargs else message


def _unmarked_blocks(blocks: list[Any], marks: frozenset[str]) -> list[Any]:
    """The blocks without marks; the very list where there are none."""
    kept = [block for block in blocks if not (isinstance(block, dict) and marks.intersection(block) == set(block))]
    bare = [_unmarked(block, marks) if isinstance(block, dict) else block for block in kept]
    return blocks if len(bare) == len(blocks) and all(map(_same, bare, blocks)) else bare


def _unmarked(block: dict[str, Any], marks: frozenset[str]) -> dict[str, Any]:
    bare = _without(block, marks)
    for key in _NESTED:
        nested = bare.get(key)
        if isinstance(nested, dict) and marks.intersection(nested):
            left = _without(nested, marks)
            bare = {**bare, key: left} if left else _without(bare, frozenset((key,)))
    content = bare.get("content")
    if isinstance(content, list):  # a tool's result in a block
        inner = _unmarked_blocks(content, marks)
        bare = bare if inner is content else {**bare, "content": inner}
    return bare


def _unmarked_tool(tool: Any, marks: frozenset[str]) -> Any:
    if isinstance(tool, dict):
        return _unmarked(tool, marks)
    if isinstance(tool, BaseTool) and tool.extras and marks.intersection(tool.extras):
        return tool.model_copy(update={"extras": _without(tool.extras, marks) or None})
    return tool


def _without(data: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys} if keys.intersection(data) else data


def _same(one: object, other: object) -> bool:
    return one is other
