"""Usage through the real LangChain classes of OpenAI, Anthropic and Google, from a provider's bytes on loopback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI, OpenAI

from langchain_agentcost.usage import Usage, looks_cached
from tests.canned_provider import (
    CannedProvider,
    Json,
    Reply,
    anthropic_message,
    gemini_content,
    openai_chat,
    openai_response,
    openai_text,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Received unexpected tool content block"),  # langchain-anthropic, unbound tools
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # google-genai, where aiohttp is there
]


class Ends(BaseCallbackHandler):
    """Reads each result as the meter does."""

    def __init__(self) -> None:
        self.usages: list[Usage | None] = []
        self.texts: list[str] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Read it."""
        message, usage = Usage.from_llm_result(response)
        assert not looks_cached(response)
        self.usages.append(usage)
        self.texts.append(message.text if message is not None else response.generations[0][0].text)


WAYS = ("invoke", "stream", "ainvoke", "astream")
STREAMED = ("stream", "astream")


async def usage_of(model: BaseChatModel, way: str) -> Usage | None:
    """Call a model in one of four ways and give what its end event says."""
    ends = Ends()
    config: Any = {"callbacks": [ends]}
    if way == "invoke":
        model.invoke("Hello", config=config)
    elif way == "stream":
        list(model.stream("Hello", config=config))
    elif way == "ainvoke":
        await model.ainvoke("Hello", config=config)
    else:
        [chunk async for chunk in model.astream("Hello", config=config)]
    assert ends.texts == ["Hello there"]
    return ends.usages[0]


def chat_openai(provider: CannedProvider, **fields: Any) -> ChatOpenAI:
    """The real class, pointed at loopback; streams ask for usage as they do with OpenAI's own base_url."""
    return ChatOpenAI(
        **{"model": "gpt-5-mini", "base_url": provider.openai_url, "api_key": "none", "stream_usage": True, **fields}
    )


def chat_anthropic(provider: CannedProvider, **fields: Any) -> ChatAnthropic:
    """The real class, pointed at loopback."""
    return ChatAnthropic(**{"model": "claude-haiku-4-5", "base_url": provider.url, "api_key": "none", **fields})


def chat_google(provider: CannedProvider, **fields: Any) -> ChatGoogleGenerativeAI:
    """The real class, pointed at loopback."""
    return ChatGoogleGenerativeAI(
        **{"model": "gemini-2.5-flash", "base_url": provider.url, "api_key": "none", **fields}
    )


CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 7, "cache_write_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 3},
}
RESPONSE = {
    "input_tokens": 1000,
    "output_tokens": 50,
    "total_tokens": 1050,
    "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 10},
    "output_tokens_details": {"reasoning_tokens": 20},
}
SERVER_CALLS = (
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"], "results": None},
)
CLAUDE: Json = {
    "input_tokens": 100,
    "output_tokens": 50,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 500,
    "output_tokens_details": {"thinking_tokens": 9},
}
CLAUDE_SPLIT: Json = {
    **CLAUDE,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "service_tier": "priority",
}
SEARCHES = (
    {"type": "server_tool_use", "id": "st_1", "name": "web_search", "input": {"query": "q"}},
    {"type": "web_search_tool_result", "tool_use_id": "st_1", "content": []},
)
GEMINI: Json = {
    "promptTokenCount": 1000,
    "candidatesTokenCount": 50,
    "thoughtsTokenCount": 25,
    "cachedContentTokenCount": 400,
    "totalTokenCount": 1075,
}
GROUNDED = {"webSearchQueries": ["a", "b"]}


@dataclass(frozen=True, slots=True)
class Case:
    """A reply, the class that reads it and what the usage must be."""

    body: Json
    model: Callable[[CannedProvider], BaseChatModel]
    expected: Usage


def openai_case(tier: str | None, expected_tier: str | None) -> Case:
    """Chat completions of a service tier."""
    stated: Json = {"service_tier": tier} if tier else {}
    body = openai_chat("Hello there", usage=CHAT, **stated)
    return Case(body, chat_openai, Usage(1000, 50, 512, 100, 0, 7, 20, 3, expected_tier))


def response_case(tier: str, expected_tier: str | None, output_version: str | None = None) -> Case:
    """The Responses API with the provider's own tools, in a version of LangChain's content."""
    body = openai_response("Hello there", usage=RESPONSE, service_tier=tier, tools=SERVER_CALLS)
    tools = (("file_search", 1), ("web_search", 1))
    expected = Usage(1000, 50, 512, 10, reasoning_tokens=20, service_tier=expected_tier, server_tools=tools)
    return Case(
        body,
        lambda provider: chat_openai(provider, use_responses_api=True, output_version=output_version),
        expected,
    )


def gemini_case(usage: Json, expected: Usage, **candidate: Any) -> Case:
    """GenerateContent."""
    model = "gemini-3-flash-preview" if candidate else "gemini-2.5-flash"
    return Case(gemini_content("Hello there", usage=usage, model=model, **candidate), chat_google, expected)


CASES = {
    "openai": openai_case(None, None),
    "openai-default": openai_case("default", None),
    "openai-priority": openai_case("priority", "priority"),
    "openai-flex": openai_case("flex", "flex"),
    "openai-scale": openai_case("scale", "scale"),
    "responses": response_case("default", None),
    "responses-flex": response_case("flex", "flex"),
    "responses-v0": response_case("priority", "priority", "v0"),
    "responses-v1": response_case("priority", "priority", "v1"),
    "gemini-thinking": gemini_case(GEMINI, Usage(1000, 75, 400, reasoning_tokens=25)),
    "gemini-grounded": gemini_case(
        GEMINI,
        Usage(1000, 75, 400, reasoning_tokens=25, server_tools=(("web_search", 2),)),
        groundingMetadata=GROUNDED,
    ),
    "gemini-tool-prompt": gemini_case(
        {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 17},
        Usage(15, 2),
    ),
    "anthropic": Case(
        anthropic_message("Hello there", usage=CLAUDE),
        chat_anthropic,
        Usage(1600, 50, 1000, 500, reasoning_tokens=9),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_usage_is_the_same_however_the_model_is_called(name: str) -> None:
    """Invoked, streamed, sync or async: each provider's counts, tier and server tools arrive alike."""
    case = CASES[name]
    with CannedProvider(case.body) as provider:
        model = case.model(provider)
        for way in WAYS:
            assert await usage_of(model, way) == case.expected, way


async def test_anthropics_lifetimes_and_tier_arrive_unless_streamed() -> None:
    """langchain-anthropic hands over the 1-hour split and the tier only without streaming; the sum is right always."""
    whole = Usage(1600, 50, 1000, 200, 300, reasoning_tokens=9, service_tier="priority")
    streamed = Usage(1600, 50, 1000, 500, reasoning_tokens=9)
    with CannedProvider(anthropic_message("Hello there", usage=CLAUDE_SPLIT)) as provider:
        model = chat_anthropic(provider)
        for way in WAYS:
            assert await usage_of(model, way) == (streamed if way in STREAMED else whole), way


@pytest.mark.parametrize("output_version", ["v0", "v1"])
async def test_anthropics_searches_are_counted(output_version: str) -> None:
    """The provider's count is read where it is handed over, and the content is counted where the answer is streamed."""
    usage = {**CLAUDE, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}
    with CannedProvider(anthropic_message("Hello there", usage=usage, blocks=SEARCHES)) as provider:
        model = chat_anthropic(provider, output_version=output_version)
        for way in WAYS:
            found = await usage_of(model, way)
            assert found is not None
            assert found.server_tools == (("web_search", 1),), way


async def test_a_stream_through_a_custom_base_url_has_no_usage() -> None:
    """ChatOpenAI does not ask a proxy for usage, so it is unknown: None, not 0."""
    with CannedProvider(openai_chat("Hello there", usage=CHAT)) as provider:
        model = chat_openai(provider, stream_usage=None)
        assert await usage_of(model, "stream") is None
        assert await usage_of(model, "astream") is None


async def test_gemini_without_usage_has_none() -> None:
    """A reply without usageMetadata is unknown."""
    with CannedProvider(gemini_content("Hello there", usage=None, model="gemini-2.5-flash")) as provider:
        model = chat_google(provider)
        for way in WAYS:
            assert await usage_of(model, way) is None


def first_result(model: Any, **kwargs: Any) -> list[LLMResult]:
    """What a batch of one or more calls hands to on_llm_end."""
    results: list[LLMResult] = []

    class Keep(BaseCallbackHandler):
        def on_llm_end(self, response: LLMResult, **_: Any) -> None:
            results.append(response)

    model.batch(["Hello"] * kwargs.pop("calls", 1), config={"callbacks": [Keep()]}, **kwargs)
    return results


def test_several_answers_of_openai_are_billed_once() -> None:
    """With n=2 both generations of ChatOpenAI carry the whole usage; it is not multiplied."""
    with CannedProvider(openai_chat("Hello", usage=CHAT, n=2)) as provider:
        (result,) = first_result(chat_openai(provider, n=2))
    assert len(result.generations[0]) == 2
    assert Usage.from_llm_result(result)[1] == Usage(1000, 50, 512, 100, 0, 7, 20, 3)


def test_several_candidates_of_gemini_are_billed_once() -> None:
    """ChatGoogleGenerativeAI puts the same usage on each candidate."""
    with CannedProvider(gemini_content("Hello", usage=GEMINI, n=2, model="gemini-2.5-flash")) as provider:
        (result,) = first_result(chat_google(provider, n=2))
    assert len(result.generations[0]) == 2
    assert Usage.from_llm_result(result)[1] == Usage(1000, 75, 400, reasoning_tokens=25)


def test_a_text_models_batch_is_billed_once() -> None:
    """OpenAI's text model answers a batch in one response, whose usage goes to the first prompt."""
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    with CannedProvider(openai_text("a", "b", usage=usage)) as provider:
        model = OpenAI(model="gpt-3.5-turbo-instruct", base_url=provider.openai_url, api_key="none")  # type: ignore[arg-type]
        results = first_result(model, calls=2)
    usages = [Usage.from_llm_result(result, batch_size=2)[1] for result in results]
    assert usages == [Usage(10, 2), Usage()]


def test_a_wrong_total_of_a_provider_is_flagged() -> None:
    """What a provider adds up wrongly reaches the reader as an anomaly, through the real class."""
    with CannedProvider(openai_chat("Hello", usage={**CHAT, "total_tokens": 9})) as provider:
        (result,) = first_result(chat_openai(provider))
    usage = Usage.from_llm_result(result)[1]
    assert usage is not None
    assert usage.anomalies == ("total_tokens was 9, but input + output is 1050",)


def test_a_stream_that_breaks_hands_over_what_was_said() -> None:
    """The canned provider breaks a stream as a lost connection does: the error carries the text so far, no usage."""
    caught: list[Any] = []

    class Keep(BaseCallbackHandler):
        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            caught.append(kwargs["response"])

    with CannedProvider(Reply(openai_chat("Hello there", usage=CHAT), events=1)) as provider:
        model = chat_openai(provider, max_retries=0)
        with pytest.raises(Exception, match="Connection error"):
            list(model.stream("Hello", config={"callbacks": [Keep()]}))
    message, usage = Usage.from_llm_result(caught[0])
    assert message is not None
    assert (message.text, usage) == ("Hello", None)


def test_the_canned_provider_answers_in_order_and_keeps_requests() -> None:
    """Replies are given in order, a failure with its status, and the last one again."""
    replies = (Reply({"error": {"message": "slow down"}}, status=429), openai_chat("One", usage=CHAT))
    with CannedProvider(*replies) as provider:
        model = chat_openai(provider, max_retries=0)
        with pytest.raises(Exception, match="slow down"):
            model.invoke("first")
        assert [model.invoke("second").text, model.invoke("third").text] == ["One", "One"]
        assert [request["messages"][0]["content"] for request in provider.requests] == ["first", "second", "third"]
