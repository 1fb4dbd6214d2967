from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.runs import WorkflowRun
from langchain_agentcost.meter.worst_case import Request, WorstCase
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage
from tests.meter.announced import said

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PRICES = PriceBook({
    "models": [
        {"model": "plain", "input": 1, "output": 10},
        {"model": "tiered", "input": 2, "output": 20},
        {"model": "tiered", "service_tier": "flex", "input": 1, "output": 10},
        {"model": "tiered", "service_tier": "priority", "input": 4, "output": 40},
        {"model": "heard", "input": 1, "output": 10, "input_audio": 50, "output_audio": 100},
        {"model": "seeker", "input": 1, "output": 10, "server_tools": {"web_search": 0.01}},
    ]
})  # fmt: skip


def request(prompt: Any = "Hi", model: str | None = "plain", **others: Any) -> Request:
    """A call that is about to be made."""
    given = {"provider": "acme", "tools": (), "sent": {}, "metadata": {}, "at": NOW, **others}
    return Request(prompt, model, **given)


def worst() -> WorstCase:
    """A worst case on these prices."""
    return WorstCase(PRICES, TokenCounter())


@tool
def look(order: int) -> str:
    """Look an order up."""
    return str(order)


def open_call(prompt: Sequence[BaseMessage], **labels: Any) -> OpenCall:
    """A call as the books open it."""
    return OpenCall("llm", WorkflowRun(uuid4()), {"model": "plain", "provider": "acme", **labels}, prompt=prompt)


def test_the_worst_case_of_a_call() -> None:
    """Tokens from above, the longest answer, and both at the model's price; the evidence says where they are from."""
    demand = worst().of(open_call([HumanMessage("Hi")]), {"max_tokens": 500}, {}, elapsed_ms=7)
    assert demand.input_tokens > 128
    assert (demand.output_tokens, demand.elapsed_ms, demand.kind) == (500, 7, "llm")
    assert (demand.input_nano, demand.output_token_nano) == (demand.input_tokens * 1_000, 10_000)
    assert demand.evidence["max_output_tokens"] == "500, max_tokens of the request"
    assert demand.evidence["price"].startswith("plain, override ")
    assert not demand.assumed


def test_what_is_learned_from_an_answer_bounds_the_next_call() -> None:
    """The provider's count replaces ours, under the name that was asked for, whoever answered."""
    case, history = worst(), said(20)
    call = open_call(history)
    before = case.of(call, {}, {}).input_tokens
    call.answered_by("plain-2026-11-01")
    case.answered(call, Usage(input_tokens=before // 2, output_tokens=5))
    assert case.of(open_call(history), {}, {}).input_tokens < 0.6 * before


def test_a_model_without_a_price_has_none() -> None:
    """Unknown is None, and the tokens are known all the same."""
    demand = worst().of_request(request(model="nobody's", sent={"max_tokens": 5}))
    assert demand.input_nano is demand.output_token_nano is demand.evidence["price"] is None
    assert demand.of("usd") is None
    assert demand.output_tokens == 5


@pytest.mark.parametrize("model", ["nobody's", "text-embedding-3-small", None])
def test_it_may_be_taken_for_the_dearest(model: str | None) -> None:
    """On request, a model without a price, or without one for answers, costs what the provider's dearest one does."""
    demand = worst().of_request(request(model=model, provider="openai"), assume_dearest=True)
    assert demand.assumed
    assert demand.output_token_nano == 600_000
    assert "dearest of openai" in demand.evidence["price"]


@pytest.mark.parametrize(("tier", "per_token"), [(None, 20_000), ("flex", 20_000), ("priority", 40_000)])
def test_a_tier_that_may_not_be_served_bounds_nothing(tier: str | None, per_token: int) -> None:
    """A provider may serve the standard tier where a cheaper one was asked for, and bill it."""
    assert worst().of_request(request(model="tiered", tier=tier)).output_token_nano == per_token


@pytest.mark.parametrize(
    ("prompt", "sent", "per_token"),
    [
        ([HumanMessage("Hi")], {}, 10_000),
        ([HumanMessage([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}])], {}, 100_000),
        ([HumanMessage([{"type": "media", "mime_type": "audio/mp3", "data": ""}])], {}, 100_000),
        ([HumanMessage([{"type": "text", "text": "Hi"}])], {}, 10_000),
        ([HumanMessage("Hi")], {"modalities": ["text", "audio"]}, 100_000),
        ([HumanMessage("Hi")], {"response_modalities": ["AUDIO"]}, 100_000),
    ],
)
def test_audio_is_priced_where_there_is_some(prompt: list[BaseMessage], sent: Any, per_token: int) -> None:
    """In the prompt, earlier in the conversation, or in the answer that is asked for."""
    case = worst()
    assert case.of_request(request(prompt, model="heard", sent=sent)).output_token_nano == per_token
    after = [*prompt, AIMessage("Yes?"), HumanMessage("Go on.")]
    assert case.of_request(request(after, model="heard", sent=sent)).output_token_nano == per_token


def test_the_providers_own_tools_are_named_and_bounded_where_they_can_be() -> None:
    """Their fees are held where a number of calls is stated; what they find is input that nobody can count before."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    case = worst()

    def of(*tools: Any, **sent: Any) -> tuple[int, Any]:
        demand = case.of_request(request(model="seeker", tools=tools, sent=sent))
        return (demand.input_nano or 0) - 1_000 * demand.input_tokens, demand.evidence.get("unbounded")

    assert of({**search, "max_uses": 5}) == (50_000_000, ["web_search"])
    assert of({"type": "web_search"}, max_tool_calls=2) == (20_000_000, ["web_search"])
    assert of(search) == (0, ["web_search"])
    assert of({"google_search": {}}, look) == (0, ["google_search"])
    assert of({"type": "function", "function": {"name": "web_search"}}, {"name": "look", "input_schema": {}}) == (
        0,
        None,
    )


def test_an_empty_prompt_and_a_text_have_a_worst_case() -> None:
    """Older text models take a text, and some callers send nothing."""
    case = worst()
    assert case.of_request(request("word " * 1_000)).input_tokens > 1_000
    for empty in ("", [], [SystemMessage("You answer.")]):
        assert 0 < case.of_request(request(empty)).input_tokens < 200
        case.answered(open_call(empty), Usage(input_tokens=9))  # type: ignore[arg-type]


def test_input_that_cannot_be_counted_before_is_named() -> None:
    """A reader of a denial, or of an overrun, sees what no count can bound; of plain text there is nothing to name."""
    case = worst()
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    paper = {"type": "media", "mime_type": "application/pdf", "data": ""}
    shown = [HumanMessage([{"type": "text", "text": "Look."}, picture, paper])]
    assert case.of_request(request(shown)).evidence["unbounded"] == ["file", "image"]
    kept = {"previous_response_id": "r1", "conversation": None}
    assert case.of_request(request(sent=kept)).evidence["unbounded"] == ["previous_response_id"]
    assert "unbounded" not in case.of_request(request([HumanMessage("Hi")])).evidence
