"""What a cached answer depends on, as one hash: everything but the last user text is a hard partition.

Similar questions are only ever looked for inside a partition. Tenants, users, models, parameters, tools, system prompts
and histories that differ are other partitions, so no similarity can mix them up (vllm-project/semantic-router#1448 and
BerriAI/litellm#19575 are what happens otherwise).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from types import CodeType, FunctionType
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.runnables import Runnable, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SecretBytes, SecretStr

from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.scope import Namespace
from langchain_agentcost.errors import Unkeyable

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
    head = said if text is None else [*said[:-1], {**said[-1], "content": None}]  # by whom it is said stays in
    partition = keyed("prompt", *namespace, model, version, plain_json(head), secret=secret)
    exact = keyed(partition, None if text is None else plain_json(said[-1]["content"]), secret=secret)
    first = all(isinstance(message, SystemMessage) for message in messages[:-1])
    return PromptKey(partition, exact, text, first)


def canonical_messages(messages: Sequence[BaseMessage]) -> list[Any]:
    """Give what messages say: type, name, content, tool calls.

    Ids, `response_metadata`, `usage_metadata` and most of `additional_kwargs` change from call to call and are left
    out, and so is `cache_control`, which changes what is paid and not what is said. A tool call's id is the number of
    its first mention, so that results stay with their calls. A chunk is what it is a chunk of.

    Args:
        messages: Any LangChain messages.

    Returns:
        Plain lists and mappings, one for each message.

    Raises:
        Unkeyable: If one is a `RemoveMessage`, which says nothing by itself.
    """
    numbers: dict[str, str] = {}

    def number(call_id: str | None) -> str | None:
        return None if call_id is None else numbers.setdefault(call_id, str(len(numbers)))

    return [_said(message, number) for message in messages]


_Number = Callable[[str | None], str | None]

_CALL_ID_KEYS = ("tool_use_id", "tool_call_id", "call_id")
"""Under which names content blocks refer to a tool call."""

_SENT_KWARGS = ("function_call", "__openai_role__", "reasoning_content", "audio")
"""What providers' classes send of `additional_kwargs`."""

_CALL_BLOCKS = ("tool_use", "tool_call", "function_call", "server_tool_use", "server_tool_call", "tool_result")


def _said(message: BaseMessage, number: _Number) -> Any:
    if isinstance(message, BaseMessageChunk):
        message = message_chunk_to_message(message)
    if isinstance(message, RemoveMessage):
        raise Unkeyable("A RemoveMessage is no part of a prompt. Apply it to the messages first, as add_messages does.")
    said: dict[str, Any] = {"type": message.type, "content": _content(message.content, number)}
    if message.name is not None:
        said["name"] = message.name
    if sent := {key: message.additional_kwargs[key] for key in _SENT_KWARGS if key in message.additional_kwargs}:
        said["sent"] = sent
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


_BLOCK_NOISE = ("id", "index", "cache_control")


def _block(block: Any, number: _Number) -> Any:
    """A content block without the ids that providers give it, and with tool calls numbered."""
    if not isinstance(block, Mapping):
        return block
    kept = {key: value for key, value in block.items() if key not in _BLOCK_NOISE}
    if block.get("source_type") == "id" or set(kept) <= {"type"}:  # a file's, or all there is
        kept["id"] = block.get("id")
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
    text = block.get("text") if set(block) <= {"type", "text", *_BLOCK_NOISE} else None
    return text if isinstance(text, str) else None


_NOISE = frozenset(
    ("callbacks", "callback_manager", "cache", "verbose", "tags", "metadata", "name", "custom_get_token_ids",
     "rate_limiter", "max_retries", "request_timeout", "default_request_timeout", "stream_chunk_timeout", "timeout",
     "stream_usage", "streaming", "stream", "disable_streaming", "http_client", "http_async_client", "openai_proxy",
     "anthropic_proxy", "include_response_headers", "default_metadata", "output_version", "profile",
     "cache_control", "prompt_cache_key", "prompt_cache_retention",
     "i")  # at which answer LangChain's fake models are
)  # fmt: skip
"""Parameters of a model that do not change what it answers."""

_SECRET = re.compile(
    r"(^|_)(api_key|secret|password|credentials|headers)$|^token$|(^|_)(access|api|auth|bearer|id|refresh|session)_token$"
)
"""Names of what must not be readable in a fingerprint. A stop token is none of them."""

_MEANS = re.compile(r"(^|_)(client|clients|session|callbacks?|credentials|tokenizer|encoder|engine|pool)$")
"""Names of the objects that a model works with, which do not change what it answers."""


def model_fingerprint(model: Runnable[Any, Any], *, sent: Mapping[str, Any] | None = None) -> str:
    """Write which model answers, and how it is asked: class, parameters, tools, structured output.

    Tools are sorted by name. API keys are not part of it. Retries do not show, fallbacks do, and what is configurable
    is taken as the run configures it.

    Args:
        model: A chat model, or one with things bound to it.
        sent: What is sent besides: `tools`, `response_format`, `stop`, ….

    Returns:
        JSON; equal for models that would be asked alike.

    Raises:
        Unkeyable: If a parameter has no value of its own, or it is no model but a chain.
    """
    return plain_json([[_identity(one), _bound(bound)] for one, bound in models_of(model, sent=sent)])


def models_of(
    model: Any, *, sent: Mapping[str, Any] | None = None, config: RunnableConfig | None = None
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give the model inside of bindings, and each of those that it falls back to, with what is sent to it.

    Args:
        model: A chat model, or one with things bound to it.
        sent: What is sent besides. The outer binding counts before the inner one, as it does in a call.
        config: The config that configurable models are made by; None takes that of the run that this code is in.
    """
    sent = dict(sent or {})
    while isinstance(model, RunnableBindingBase | DynamicRunnable):
        if isinstance(model, DynamicRunnable):
            model, config = model.prepare(ensure_config(config))
        else:
            sent = {**model.kwargs, **sent}
            config = merge_configs(model.config, config)
            model = model.bound
    if isinstance(model, RunnableWithFallbacks):
        for one in (model.runnable, *model.fallbacks):
            yield from models_of(one, sent=sent, config=config)
    elif not isinstance(model, BaseLanguageModel) and callable(made := vars(type(model)).get("_model")):
        # of init_chat_model: what it makes depends on the run
        yield from models_of(made(model, config), sent=sent, config=config)
    else:
        yield model, sent


SCALARS = (str, bool, int, float, type(None))
"""Values that are all that they are."""


def class_of(value: object) -> str:
    """Give the name of an object's class: all that is told of it where nobody tells more."""
    return type(value).__qualname__


def function_value(function: FunctionType, *, object_value: Callable[[Any], str] = class_of) -> list[Any]:
    """Give what tells a function from others: its name, its code, and what it has captured or takes by default.

    Args:
        function: The function.
        object_value: Tells captured objects apart that are neither text nor number; by itself only their classes are.
    """
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty cell
            held.append(cell.cell_contents)
    captured = [value if isinstance(value, SCALARS) else object_value(value) for value in held]
    code = function.__code__
    return [function.__module__, function.__qualname__, _code_value(code), captured]


def _code_value(code: CodeType) -> list[Any]:
    """What code does: its instructions, the names that it uses, and its constants."""
    constants = [_code_value(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return [sha256(code.co_code).hexdigest(), list(code.co_names), constants]


def _bound(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent, without what is for tracers alone."""
    kept = {name: value for name, value in sent.items() if value is not None and not name.startswith("ls_")}
    told = {name: _told(name, value) for name, value in kept.items() if name not in _NOISE}
    if "tools" in told:
        told["tools"] = sorted((_schema(tool) for tool in sent["tools"]), key=plain_json)
    return told


def _told(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return keyed(plain_json(value))
    return _schema(value) if isinstance(value, type) else None if name == "tools" else value


def _schema(described: Any) -> Any:
    """A tool or a class as it is described to a model; a provider's own form stays as it is."""
    if isinstance(described, Mapping):
        return {name: value for name, value in described.items() if name != "cache_control"}
    try:
        return convert_to_openai_tool(described)
    except (TypeError, ValueError, AttributeError) as error:
        raise Unkeyable(f"{described!r} cannot be described to a model, and so not compared: {error}") from error


def _identity(model: Any) -> list[Any]:
    """A model's class and every parameter that may change its answers; secrets and clients have no say in them."""
    if not isinstance(model, BaseLanguageModel):
        raise Unkeyable(
            f"A {type(model).__name__} is no chat model, and what it does cannot be compared. Put the cache around the "
            "model inside of it."
        )
    fields = {name: model.__dict__.get(name) for name in type(model).model_fields}
    fields.update(model._identifying_params)  # noqa: SLF001  # what LangChain's own caches tell models apart by
    secrets = model.lc_secrets
    told = {
        name: _parameter(name, value, hidden=name in secrets or _SECRET.search(name) is not None)
        for name, value in fields.items()
        if value is not None and name not in _NOISE
    }
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    return [name, {name: value for name, value in told.items() if value is not None}]


def _parameter(name: str, value: Any, *, hidden: bool) -> Any:
    """A parameter's value; None where it is a client, a callback or an API key.

    Raises:
        Unkeyable: If it is something else that has no value of its own: another such model might answer otherwise.
    """
    if isinstance(value, BaseLanguageModel):
        return _identity(value)
    if isinstance(value, SecretStr | SecretBytes) or (hidden and isinstance(value, str | bool | int | float)):
        return None
    if isinstance(value, FunctionType):
        return function_value(value)
    try:
        plain = value if type(value) in (str, bool, int, float) else plain_json(value)
    except Unkeyable:
        if _MEANS.search(name):
            return None
        raise
    return keyed(str(plain)) if hidden else plain
