"""Calls of the provider's own tools: only what is billed is counted, however the answer came."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_agentcost.server_tools import server_tool_calls

SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
OPENED = {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page"}}
USED = {"type": "server_tool_use", "id": "st_1", "name": "web_search", "input": {}}


def counted(*blocks: Any, **fields: Any) -> dict[str, int]:
    """The calls in an answer with the given content."""
    return dict(server_tool_calls(AIMessage(list(blocks), **fields)))


def test_text_has_no_calls() -> None:
    """A plain answer has none."""
    assert server_tool_calls(AIMessage("Hi")) == ()


def test_openai_calls_are_counted_by_tool() -> None:
    """Each call is counted under its tool; a step that opens a page is no search."""
    files = {"type": "file_search_call", "id": "fs_1", "status": "completed"}
    assert counted(SEARCH, OPENED, files, {**SEARCH, "id": "ws_3"}) == {"web_search": 2, "file_search": 1}


def test_code_runs_in_one_container_are_billed_once() -> None:
    """OpenAI bills the container, so two runs in it are one call and a second container is another."""
    runs = [
        {"type": "code_interpreter_call", "id": f"ci_{i}", "status": "completed", "container_id": container}
        for i, container in enumerate(["c1", "c1", "c2"])
    ]
    assert counted(*runs) == {"code_interpreter": 2}
    standard = {"type": "server_tool_call", "name": "code_interpreter", "extras": {"container_id": "c1"}}
    assert counted({**standard, "id": "1"}, {**standard, "id": "2"}) == {"code_interpreter": 1}


def test_failed_calls_are_not_billed() -> None:
    """A call that failed, in OpenAI's, Anthropic's or the standard wording, does not count."""
    fault = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert counted({**SEARCH, "status": "failed"}) == {}
    assert counted(USED, {"type": "web_search_tool_result", "tool_use_id": "st_1", "content": fault}) == {}
    call = {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {"query": "q"}}
    assert counted(call, {"type": "server_tool_result", "tool_call_id": "1", "status": "error"}) == {}


def test_a_result_without_its_call_proves_the_call() -> None:
    """langchain-anthropic loses a streamed call in v1 content; call and result together still count once."""
    result = {"type": "web_search_tool_result", "tool_use_id": "st_1", "content": []}
    standard = {
        "type": "server_tool_result",
        "tool_call_id": "st_1",
        "status": "success",
        "extras": {"block_type": "web_search_tool_result"},
    }
    assert counted(result) == counted(standard) == counted(USED, result) == counted(USED, standard) == {"web_search": 1}


def test_the_providers_own_count_wins() -> None:
    """Anthropic's server_tool_use is what the bill says, whatever the content shows."""
    reported = {"usage": {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}}}
    assert counted(USED, response_metadata=reported) == {"web_search": 3}


def test_bash_and_editor_are_code_execution() -> None:
    """Anthropic's code execution comes under three names and is one tool on the bill."""
    blocks = [
        {"type": "server_tool_use", "id": str(i), "name": name}
        for i, name in enumerate(("code_execution", "bash_code_execution", "text_editor_code_execution"))
    ]
    assert counted(*blocks) == {"code_execution": 3}


def test_remote_tools_are_not_billed_per_call() -> None:
    """MCP calls and tool search cost tokens only."""
    mcp = {"type": "mcp_call", "id": "1", "name": "x"}
    assert counted(mcp, {"type": "server_tool_use", "id": "2", "name": "tool_search"}) == {}


def test_calls_beside_the_content_are_found() -> None:
    """ChatOpenAI's output_version v0 keeps them in additional_kwargs."""
    assert counted({"type": "text", "text": "Hi"}, additional_kwargs={"tool_outputs": [SEARCH]}) == {"web_search": 1}


@pytest.mark.parametrize(("model", "billed"), [("gemini-2.5-flash", 1), ("gemini-3-pro-preview", 2), (None, 1)])
def test_gemini_bills_answers_up_to_version_2_and_queries_after(model: str | None, billed: int) -> None:
    """Distinct, non-empty queries count one by one only from Gemini 3 on."""
    metadata = {"model_name": model, "grounding_metadata": {"web_search_queries": ["a", "b", "a", ""]}}
    assert counted(response_metadata=metadata) == {"web_search": billed}


@pytest.mark.parametrize("grounding", [None, {}, {"web_search_queries": None}, {"web_search_queries": "a"}, [1]])
def test_grounding_without_queries_is_no_search(grounding: Any) -> None:
    """An answer that used no search has none on the bill."""
    assert counted(response_metadata={"grounding_metadata": grounding, "model_name": "gemini-3"}) == {}


def test_perplexitys_queries_are_searches() -> None:
    """Perplexity reports how many searches it made."""
    assert counted(response_metadata={"num_search_queries": 5}) == {"web_search": 5}


@pytest.mark.parametrize("count", [0, -1, True, "3", None, 2.5])
def test_impossible_counts_are_left_out(count: Any) -> None:
    """A count that cannot be is no call."""
    metadata = {"usage": {"server_tool_use": {"web_search_requests": count}}}
    assert counted(response_metadata=metadata) == {}


@pytest.mark.parametrize(
    "block",
    ["text", {}, {"type": None}, {"type": ["x"]}, {"type": "server_tool_use"}, {"type": "server_tool_use", "name": {}}],
)
def test_odd_blocks_are_passed_over(block: Any) -> None:
    """Content that no provider should send breaks nothing."""
    message = AIMessage("").model_copy(update={"content": [block, SEARCH]})
    assert server_tool_calls(message) == (("web_search", 1),)
