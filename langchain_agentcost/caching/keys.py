"""What a cached answer depends on, as one hash: everything but the last user text is a hard partition.

Similar questions are only ever looked for inside a partition. Tenants, users, models, parameters, tools, system prompts
and histories that differ are other partitions, so no similarity can mix them up (vllm-project/semantic-router#1448 and
BerriAI/litellm#19575 are what happens otherwise).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBinding
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.scope import Namespace

_SCHEMA = "1"
"""Part of every key: a change of what goes into keys makes all earlier entries unreachable."""


def keyed(*parts: str | None, secret: bytes | None = None) -> str:
    """Hash parts so that no two lists of parts have the same hash, whatever characters they hold.

    SHA-256 (FIPS 180-4), or HMAC-SHA-256 (RFC 2104) where a secret is given, over the parts with their lengths before
    them. A part that is missing differs from an empty one.

    Args:
        parts: The parts, in order.
        secret: A key that only this installation knows: short texts can then not be guessed from stored hashes.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> keyed("ab", "c") == keyed("a", "bc"), keyed("a", None) == keyed("a", "")
        (False, False)
    """
    framed = bytearray()
    for part in (_SCHEMA, *parts):
        if part is None:
            framed += b"-"
        else:
            encoded = part.encode("utf-8", "surrogatepass")
            framed += b"%d:" % len(encoded)
            framed += encoded
    return hmac.new(secret, framed, sha256).hexdigest() if secret is not None else sha256(framed).hexdigest()


@dataclass(frozen=True, slots=True)
class PromptKey:
    """Where a prompt's answer is kept.

    Args:
        partition: The hash of everything but the last user text.
        exact: The hash of all of it.
        text: The last user text; None where the prompt does not end in one, and only equal prompts can match.
        first_turn: Whether nothing but system messages stand before it.
    """

    partition: str
    exact: str
    text: str | None
    first_turn: bool


def prompt_key(
    messages: Sequence[BaseMessage],
    *,
    model: str,
    namespace: Namespace,
    version: str = "",
    secret: bytes | None = None,
) -> PromptKey:
    """Make the key of a prompt.

    Args:
        messages: The prompt, system message first.
        model: What `model_fingerprint` says of the model.
        namespace: Whose answers may be shared.
        version: A version of the user's: another one is another cache.
        secret: See `keyed`.

    Raises:
        Unkeyable: If a message holds something that has no value of its own.

    Example:
        >>> ask = [SystemMessage("Be brief."), HumanMessage("Where is it?", id="1")]
        >>> again = [SystemMessage("Be brief."), HumanMessage("Where is it?", id="2")]
        >>> key = prompt_key(ask, model="gpt-x", namespace=("global",))
        >>> key == prompt_key(again, model="gpt-x", namespace=("global",)), key.text, key.first_turn
        (True, 'Where is it?', True)
    """
    said = canonical_messages(messages)
    text = _user_text(messages[-1]) if messages else None
    head = said if text is None else said[:-1]
    partition = keyed("prompt", *namespace, model, version, plain_json(head), secret=secret)
    exact = keyed(partition, plain_json(said[len(head) :]), secret=secret)
    first = all(isinstance(message, SystemMessage) for message in messages[:-1])
    return PromptKey(partition, exact, text, first)


def canonical_messages(messages: Sequence[BaseMessage]) -> list[Any]:
    """Give what messages say: type, name, content, tool calls.

    Ids, `response_metadata`, `usage_metadata` and `additional_kwargs` change from call to call and are left out. A tool
    call's id is the number of its first mention, so that results stay with their calls.

    Args:
        messages: Any LangChain messages.

    Returns:
        Plain lists and mappings, one for each message.
    """
    numbers: dict[str, str] = {}

    def number(call_id: str | None) -> str | None:
        return None if call_id is None else numbers.setdefault(call_id, str(len(numbers)))

    return [_said(message, number) for message in messages]


_Number = Callable[[str | None], str | None]

_CALL_ID_KEYS = ("tool_use_id", "tool_call_id", "call_id")
"""Under which names content blocks refer to a tool call."""

_CALL_BLOCKS = ("tool_use", "tool_call", "function_call", "server_tool_use", "server_tool_call", "tool_result")


def _said(message: BaseMessage, number: _Number) -> Any:
    said: dict[str, Any] = {"type": message.type, "content": _content(message.content, number)}
    if message.name is not None:
        said["name"] = message.name
    if isinstance(message, AIMessage):
        calls = [*message.tool_calls, *message.invalid_tool_calls]
        said["calls"] = [[call["name"], call["args"], number(call["id"])] for call in calls]
    if isinstance(message, ToolMessage):
        said["answers"] = [number(message.tool_call_id), message.status]
    if (role := getattr(message, "role", None)) is not None:
        said["role"] = role
    return said


def _content(content: Any, number: _Number) -> Any:
    return content if isinstance(content, str) else [_block(block, number) for block in content]


def _block(block: Any, number: _Number) -> Any:
    """A content block without the ids that providers give it, and with tool calls numbered."""
    if not isinstance(block, Mapping):
        return block
    kept = {key: value for key, value in block.items() if key not in ("id", "index")}
    for key in _CALL_ID_KEYS:
        if isinstance(kept.get(key), str):
            kept[key] = number(kept[key])
    if block.get("type") in _CALL_BLOCKS and isinstance(block.get("id"), str):
        kept["id"] = number(block["id"])
    return kept


def _user_text(message: BaseMessage) -> str | None:
    """The text of a user message that is text alone."""
    if not isinstance(message, HumanMessage):
        return None
    if isinstance(message.content, str):
        return message.content
    texts = [_text_of(block) for block in message.content]
    return None if None in texts else "\n".join(text for text in texts if text is not None)


def _text_of(block: str | dict[Any, Any]) -> str | None:
    if isinstance(block, str):
        return block
    text = block.get("text") if set(block) <= {"type", "text", "id", "index"} else None
    return text if isinstance(text, str) else None


_NOISE = frozenset(
    ("callbacks", "callback_manager", "cache", "verbose", "tags", "metadata", "name", "custom_get_token_ids",
     "rate_limiter", "max_retries", "request_timeout", "timeout", "stream_usage", "streaming", "disable_streaming",
     "http_client", "http_async_client", "output_version", "profile")
)  # fmt: skip
"""Fields of a model that do not change what it answers."""


def model_fingerprint(model: Runnable[Any, Any], *, sent: Mapping[str, Any] | None = None) -> str:
    """Write which model answers, and how it is asked: class, parameters, tools, structured output.

    Tools are sorted by name. API keys are not part of it.

    Args:
        model: A chat model, or one with things bound to it.
        sent: What is sent besides: `tools`, `response_format`, `stop`, ….

    Returns:
        JSON; equal for models that would be asked alike.

    Raises:
        Unkeyable: If a parameter has no value of its own.
    """
    bound: dict[str, Any] = {}
    inner: Any = model
    while isinstance(inner, RunnableBinding):
        bound = {**inner.kwargs, **bound}
        inner = inner.bound
    bound.update(sent or {})
    if "tools" in bound:
        bound["tools"] = sorted((_schema(tool) for tool in bound["tools"] or ()), key=plain_json)
    return plain_json([_identity(inner), {key: value for key, value in bound.items() if value is not None}])


def _schema(tool: Any) -> Any:
    """A tool as it is described to a model; a provider's own form stays as it is."""
    return tool if isinstance(tool, Mapping) else convert_to_openai_tool(tool)


def _identity(model: Any) -> list[Any]:
    """A model's class and every parameter that may change its answers; secrets and clients have no say in them."""
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if not isinstance(model, BaseLanguageModel):
        return [name, getattr(model, "get_name", str)()]
    fields = {name: getattr(model, name, None) for name in type(model).model_fields}
    fields.update(getattr(model, "_identifying_params", {}))  # what LangChain's own caches tell models apart by
    return [name, {key: value for key, value in fields.items() if key not in _NOISE and _is_parameter(value)}]


def _is_parameter(value: Any) -> bool:
    """Whether a field is plain data: clients, callbacks and secrets are objects."""
    if value is None or isinstance(value, str | bool | int | float):
        return value is not None
    if isinstance(value, Mapping):
        return all(_is_parameter(item) for item in value.values() if item is not None)
    return isinstance(value, Sequence) and all(_is_parameter(item) for item in value if item is not None)
