"""Calls of a provider's own tools: web searches and the like that ran on its servers and are billed per call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

ServerTools = tuple[tuple[str, int], ...]
"""Sorted (name, count) pairs, such as (("file_search", 1), ("web_search", 2))."""


def server_tool_calls(message: BaseMessage) -> ServerTools:
    """Count the billable calls of the provider's own tools in a model's answer.

    The provider's own count is taken where it gives one (Anthropic without streaming, Perplexity); else the calls are
    counted in the content. Calls that failed, and the steps of an OpenAI web search that only open a page, are not
    billed and not counted. Several runs in one code interpreter container count once. Gemini bills a grounded answer
    once up to version 2 and each distinct query from version 3 on.

    Args:
        message: An answer of any LangChain provider, streamed or not.

    Returns:
        Sorted (name, count) pairs; the names are "web_search", "web_fetch", "file_search", "code_interpreter",
        "code_execution" and "image_generation".

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> server_tool_calls(AIMessage([{"type": "web_search_call", "id": "ws_1", "status": "completed"}]))
        (('web_search', 1),)
    """
    metadata = message.response_metadata
    usage = metadata.get("usage")
    if type(usage) is dict and type(usage.get("server_tool_use")) is dict:
        return _counted(usage["server_tool_use"], _REPORTED)
    if "grounding_metadata" in metadata:
        return _grounded(metadata)
    if "num_search_queries" in metadata:
        return _counted(metadata, _REPORTED)
    # ChatOpenAI's output_version="v0" keeps the calls beside the content.
    blocks: object = message.additional_kwargs.get("tool_outputs") or message.content
    return _called(blocks) if type(blocks) is list else ()


_REPORTED = {
    "web_search_requests": "web_search",
    "web_fetch_requests": "web_fetch",
    "code_execution_requests": "code_execution",
    "num_search_queries": "web_search",
}
"""Counts that providers report, and the tool each is of."""

_CALL_BLOCKS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}
"""OpenAI's content blocks that are a call."""

_NAMED_BLOCKS = ("server_tool_use", "server_tool_call")
"""Anthropic's block and LangChain's standard one, which name the tool."""

_TOOL_NAMES = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "file_search": "file_search",
    "code_interpreter": "code_interpreter",
    "code_execution": "code_execution",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "image_generation": "image_generation",
}
"""The names that such a block can have; others (remote MCP, tool search) are not billed per call."""

_RESULT_BLOCK = re.compile(r"(\w+)_tool_result")
"""Anthropic's result blocks, such as "web_search_tool_result"; a streamed answer of v1 content has lost its calls."""

_UNBILLED_ACTIONS = ("open_page", "find", "find_in_page")

_GEMINI_VERSION = re.compile(r"gemini-(\d+)")


def _counted(counts: Mapping[str, Any], table: Mapping[str, str]) -> ServerTools:
    found = ((table[key], counts[key]) for key in counts if key in table)
    return tuple(sorted((name, n) for name, n in found if type(n) is int and n > 0))


def _grounded(metadata: Mapping[str, Any]) -> ServerTools:
    """Google's searches, from the grounding metadata of an answer."""
    grounding = metadata["grounding_metadata"]
    queries = grounding.get("web_search_queries") if isinstance(grounding, Mapping) else None
    if not isinstance(queries, Iterable) or isinstance(queries, str):
        return ()
    distinct = len({query for query in queries if isinstance(query, str) and query})
    version = _GEMINI_VERSION.search(str(metadata.get("model_name")))
    billed = distinct if version and int(version[1]) >= 3 else min(distinct, 1)
    return (("web_search", billed),) if billed else ()


def _called(blocks: list[Any]) -> ServerTools:
    """The calls among content blocks, by what each is billed for."""
    calls: dict[tuple[str, object], str] = {}
    failed: set[object] = set()
    for position, block in enumerate(blocks):
        if type(block) is not dict:
            continue
        answered = block.get("tool_use_id") or block.get("tool_call_id")
        name = _called_tool(block) if answered is None else _answering_tool(block)
        if _has_failed(block):
            failed.add(answered or block.get("id"))
        elif name:
            calls[name, answered or _billed_once(block, name, position)] = name
    return tuple(sorted(Counter(name for (_, key), name in calls.items() if key not in failed).items()))


def _called_tool(block: dict[str, Any]) -> str | None:
    """The tool that a block calls; None where it is no call, or one that nobody bills."""
    kind = block.get("type")
    name = _TOOL_NAMES.get(str(block.get("name"))) if kind in _NAMED_BLOCKS else _CALL_BLOCKS.get(str(kind))
    if name != "web_search":
        return name
    action = block.get("action") or block.get("args")
    return None if type(action) is dict and action.get("type") in _UNBILLED_ACTIONS else name


def _answering_tool(block: dict[str, Any]) -> str | None:
    """The tool that a result block answers for; None where the block does not tell."""
    extras = block.get("extras")
    kind = extras.get("block_type") if type(extras) is dict else block.get("type")
    found = _RESULT_BLOCK.fullmatch(str(kind))
    return _TOOL_NAMES.get(found[1]) if found else None


def _billed_once(block: dict[str, Any], name: str, position: int) -> object:
    """What two calls must share to be billed as one: a container for code, else the call's own id."""
    if name == "code_interpreter":
        extras = block.get("extras")
        container = block.get("container_id") or (extras.get("container_id") if type(extras) is dict else None)
        if container:
            return str(container)
    return str(block.get("id") or position)


def _has_failed(block: dict[str, Any]) -> bool:
    """Whether a call failed, or a result reports that it did."""
    content = block.get("content")
    return block.get("status") in ("error", "failed") or (
        type(content) is dict and str(content.get("type")).endswith("_tool_result_error")
    )
