"""What one provider's model wrote is taken by another's: the real classes build the request, over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)
from langchain_core.tools import StructuredTool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_agentcost.routing.handoff import for_model, settings_for, tools_for
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.canned_provider import (
    CannedProvider,
    Json,
    anthropic_message,
    gemini_content,
    openai_chat,
    openai_response,
)

Build = Callable[[CannedProvider], BaseChatModel]

MARK = {"cache_control": {"type": "ephemeral"}}
ASKED = [
    SystemMessage([{"type": "text", "text": "You book seats.", **MARK}]),
    HumanMessage([{"type": "text", "text": "Is row nine free?", "extras": dict(MARK)}]),
]
FOREIGN = {
    "openai": re.compile(r'thinking|signature|cache_control|tool_use|"reasoning"|"rs_|"fc_|server_tool|__gemini'),
    "responses": re.compile(r"thinking|signature|cache_control|tool_use|server_tool|__gemini"),
    "anthropic": re.compile(r'encrypted_content|"rs_|"fc_|"reasoning"|"function_call"|summary_text|annotations|Gemini'),
    "gemini": re.compile(r'cache_control|encrypted_content|"rs_|"fc_|"reasoning"|redacted|SIGNED'),
}


def _openai(provider: CannedProvider) -> BaseChatModel:
    return ChatOpenAI(model="gpt-4.1-mini", base_url=provider.openai_url, api_key=SecretStr("none"), max_retries=0)


def _responses(provider: CannedProvider) -> BaseChatModel:
    model = _openai(provider)
    return model.model_copy(update={"use_responses_api": True, "output_version": "responses/v1"})


def _anthropic(provider: CannedProvider) -> BaseChatModel:
    return ChatAnthropic(model_name="claude-haiku-4-5", base_url=provider.url, api_key=SecretStr("none"), max_retries=0)  # type: ignore[call-arg]


def _gemini(provider: CannedProvider) -> BaseChatModel:
    return ChatGoogleGenerativeAI(model="gemini-3-pro", base_url=provider.url, api_key=SecretStr("none"), max_retries=1)


def _chat_call() -> Json:
    body = openai_chat("", usage=None)
    call = {"id": "call_1", "type": "function", "function": {"name": "seats", "arguments": '{"row": 9}'}}
    body["choices"][0]["message"] |= {"content": None, "tool_calls": [call], "refusal": None}
    return body


def _response_call() -> Json:
    reasoning = {"type": "reasoning", "id": "rs_1", "encrypted_content": "SECRET", "summary": [
        {"type": "summary_text", "text": "I ponder."}]}  # fmt: skip
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_2", "name": "seats", "arguments": '{"row": 9}'}
    return openai_response("Let me look.", usage=None, tools=(reasoning, {**call, "status": "completed"}))


def _anthropic_call() -> Json:
    thinking = {"type": "thinking", "thinking": "I ponder.", "signature": "SIGNED"}
    searched = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "row"}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "seats", "input": {"row": 9}}
    usage = {"input_tokens": 9, "output_tokens": 1}
    body = anthropic_message("Let me look.", usage=usage, blocks=(thinking, {"type": "redacted_thinking", "data": "X"}))
    return {**body, "content": [*body["content"], searched, call], "stop_reason": "tool_use"}


def _gemini_call() -> Json:
    body = gemini_content("Let me look.", usage=None, model="gemini-3-pro")
    call = {"functionCall": {"name": "seats", "args": {"row": 9}}, "thoughtSignature": "R2VtaW5p"}
    body["candidates"][0]["content"]["parts"].append(call)
    return body


AUTHORS: dict[str, tuple[Build, Callable[[], Json]]] = {
    "openai": (_openai, _chat_call),
    "responses": (_responses, _response_call),
    "anthropic": (_anthropic, _anthropic_call),
    "gemini": (_gemini, _gemini_call),
}
ANSWERS: dict[str, Callable[[], Json]] = {
    "openai": lambda: openai_chat("Yes.", usage=None),
    "responses": lambda: openai_response("Yes.", usage=None),
    "anthropic": lambda: anthropic_message("Yes.", usage={"input_tokens": 9, "output_tokens": 1}),
    "gemini": lambda: gemini_content("Yes.", usage=None, model="gemini-3-pro"),
}


def _written_by(author: str) -> list[BaseMessage]:
    """A thread of which the real class of a provider has written the answer, with the tool's result."""
    build, body = AUTHORS[author]
    with CannedProvider(body()) as provider:
        answer = build(provider).invoke("Is row nine free?")
    assert isinstance(answer, AIMessage)
    assert len(answer.tool_calls) == 1
    return [*ASKED, answer, ToolMessage("free", tool_call_id=answer.tool_calls[0]["id"] or "")]


def _sent(messages: list[BaseMessage], target: str) -> Json:
    """What the real class of a provider sends."""
    with CannedProvider(ANSWERS[target]()) as provider:
        model = AUTHORS[target][0](provider)
        assert model.invoke(for_model(messages, model)).text == "Yes."
        return provider.requests[-1]


def _ids(value: object, keys: frozenset[str]) -> Iterator[str]:
    """Every value of these keys, wherever it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys and isinstance(inner, str):
                yield inner
            yield from _ids(inner, keys)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner, keys)


PAIRED: dict[str, Callable[[Json], tuple[list[str], list[str]]]] = {
    "openai": lambda body: (
        [call["id"] for message in body["messages"] for call in message.get("tool_calls", ())],
        [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"],
    ),
    "responses": lambda body: (
        [item["call_id"] for item in body["input"] if item["type"] == "function_call"],
        [item["call_id"] for item in body["input"] if item["type"] == "function_call_output"],
    ),
    "anthropic": lambda body: (
        [block["id"] for message in body["messages"] for block in message["content"] if block["type"] == "tool_use"],
        list(_ids(body, frozenset({"tool_use_id"}))),
    ),
    "gemini": lambda body: (
        [part["functionCall"]["name"] for turn in body["contents"] for part in turn["parts"] if "functionCall" in part],
        [
            part["functionResponse"]["name"]
            for turn in body["contents"]
            for part in turn["parts"]
            if "functionResponse" in part
        ],
    ),
}


@pytest.mark.parametrize("target", AUTHORS)
@pytest.mark.parametrize("author", AUTHORS)
def test_the_other_class_sends_the_call_with_its_result_and_nothing_foreign(author: str, target: str) -> None:
    """A thread that another provider began goes on: its call and result are sent, and nothing of its own."""
    body = _sent(_written_by(author), target)
    calls, results = PAIRED[target](body)
    assert len(calls) == 1
    assert calls == results
    if author != target:
        written = json.dumps(body)
        assert FOREIGN[target].search(written) is None, written
        assert "I ponder." not in written


@pytest.mark.parametrize("author", AUTHORS)
def test_what_the_same_provider_wrote_is_the_very_same_object(author: str) -> None:
    """The answer of the model's own provider is handed over as it is, so that caches and signed thinking hold."""
    thread = _written_by(author)
    with CannedProvider(ANSWERS[author]()) as provider:
        fit = for_model(thread, AUTHORS[author][0](provider))
    assert fit[2] is thread[2]
    assert fit[3] is thread[3]


def test_anthropic_gets_its_signed_thinking_back() -> None:
    """Signed thinking goes back to Anthropic beside the tool call, as its documents demand."""
    kinds = [block["type"] for block in _sent(_written_by("anthropic"), "anthropic")["messages"][1]["content"]]
    assert kinds[:2] == ["thinking", "redacted_thinking"]


def test_without_the_handoff_the_other_class_would_send_what_is_rejected() -> None:
    """The foreign things are really there: sent as it is, an Anthropic thread brings OpenAI cache marks and blocks."""
    with CannedProvider(ANSWERS["openai"]()) as provider:
        AUTHORS["openai"][0](provider).invoke(_written_by("anthropic"))
        assert FOREIGN["openai"].search(json.dumps(provider.requests[-1]))


def test_items_of_openai_responses_are_not_sent_to_its_chat_completions() -> None:
    """One provider with two endpoints: the items of the one are left out where the other is asked."""
    body = _sent(_written_by("responses"), "openai")
    assert body["messages"][2]["content"] == "Let me look."
    assert "SECRET" not in json.dumps(body)


def test_bound_settings_decide_the_endpoint() -> None:
    """A model that is bound to what only Responses takes keeps the items of Responses."""
    thread = _written_by("responses")
    model = ChatOpenAI(model="gpt-4.1-mini", api_key=SecretStr("none"))
    assert for_model(thread, model)[2] is not thread[2]
    assert for_model(thread, model.bind(reasoning={"effort": "low"}))[2] is thread[2]


def test_a_thread_goes_to_another_provider_and_back() -> None:
    """Through the router: Anthropic begins, OpenAI goes on, Anthropic ends, with its thinking and its own prompt."""

    def seats(row: int) -> str:
        """Tell which seats are free."""
        return str(row)

    usage = {"input_tokens": 9, "output_tokens": 1}
    with (
        CannedProvider(_anthropic_call(), anthropic_message("Booked.", usage=usage)) as strong,
        CannedProvider(_chat_call()) as cheap,
    ):
        tiers = [Tier("small", _openai(cheap)), Tier("frontier", _anthropic(strong))]
        router = RouterRunnable(tiers).bind_tools([seats])
        thread = list(ASKED)
        for tier in ("frontier", "small", "frontier"):
            answer = router.invoke(thread, {"configurable": {"router_tier": tier}})
            thread = [*thread, answer, *(ToolMessage("free", tool_call_id=call["id"]) for call in answer.tool_calls)]
    assert thread[-1].text == "Booked."
    assert FOREIGN["openai"].search(json.dumps(cheap.requests)) is None
    first, last = (request["messages"] for request in strong.requests)
    assert last[: len(first)] == first, "its prompt cache holds"
    assert [block["type"] for block in last[1]["content"]][:2] == ["thinking", "redacted_thinking"]
    calls, results = PAIRED["anthropic"](strong.requests[-1])
    assert calls == results == ["toolu_1", "call_1"]


def test_a_result_loses_what_its_calls_provider_wants_beside_it() -> None:
    """The kind of an OpenAI output item is of no use to others, and stays where OpenAI itself goes on."""
    call = {"name": "seats", "args": {}, "id": "call_1"}
    thread: list[BaseMessage] = [
        AIMessage("", tool_calls=[call], response_metadata={"model_provider": "openai"}),
        ToolMessage("free", tool_call_id="call_1", additional_kwargs={"type": "custom_tool_call_output"}),
    ]
    assert for_model(thread, FakeMeteredChatModel(usage="anthropic"))[1].additional_kwargs == {}
    assert for_model(thread, FakeMeteredChatModel(usage="openai"))[1] is thread[1]


def test_claude_takes_its_own_on_every_cloud() -> None:
    """Claude on Bedrock gets cache marks and thinking, as LangChain's fallback has it, whatever its cloud is called."""

    class Bedrock(FakeMeteredChatModel):
        @property
        def _llm_type(self) -> str:
            return "anthropic-bedrock-chat"

    thought = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}])
    thread = [*ASKED, thought]
    fit = for_model(thread, Bedrock(provider="amazon_bedrock"))
    assert all(one is other for one, other in zip(fit, thread, strict=True))


def test_a_refusal_stays_said() -> None:
    """What a model declined to do is part of the thread, wherever its provider writes it."""
    declined = AIMessage([{"type": "refusal", "refusal": "I may not."}], response_metadata={"model_provider": "openai"})
    aside = AIMessage("", additional_kwargs={"refusal": "I may not."}, response_metadata={"model_provider": "openai"})
    said = [message.content for message in for_model([declined, aside], FakeMeteredChatModel(usage="anthropic"))]
    assert said == ["I may not.", "I may not."]


def test_an_answer_of_thinking_alone_is_left_out() -> None:
    """Nothing is left of another provider's thinking, and an empty answer would be rejected."""
    thought = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}])
    question = HumanMessage("And?")
    assert for_model([thought, question], FakeMeteredChatModel(usage="openai")) == [question]


def test_who_wrote_an_answer_is_told_by_its_blocks_where_nothing_says_so() -> None:
    """An answer without the provider's name is Anthropic's where it holds thinking."""
    answer = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Four."}])
    assert for_model([answer], FakeMeteredChatModel(usage="anthropic"))[0] is answer
    assert for_model([answer], FakeMeteredChatModel(usage="openai"))[0].content == "Four."


def test_an_answer_that_is_nobodys_own_is_left_alone() -> None:
    """Plain text and tool calls need nothing done, and are the very same object."""
    answer = AIMessage("Four.", tool_calls=[{"name": "seats", "args": {}, "id": "call_1"}])
    assert for_model([answer], FakeMeteredChatModel(usage="anthropic"))[0] is answer


@pytest.mark.parametrize(
    ("provider", "given", "rule"),
    [
        ("mistralai", "call_1", r"[a-zA-Z0-9]{9}"),
        ("openai", "x" * 41, r".{1,40}"),
        ("anthropic", "functions.seats:0", r"[a-zA-Z0-9_-]{1,64}"),
    ],
)
def test_an_id_that_is_rejected_is_another_in_call_and_result(provider: str, given: str, rule: str) -> None:
    """The new id is one that the provider takes, and the same in the call, the block that repeats it and the result."""
    block = {"type": "tool_call", "id": given, "name": "seats", "args": {}}
    call = {"name": "seats", "args": {}, "id": given}
    thread: list[BaseMessage] = [AIMessage([block], tool_calls=[call]), ToolMessage("free", tool_call_id=given)]
    answer, result = for_model(thread, FakeMeteredChatModel(provider=provider))
    assert isinstance(answer, AIMessage)
    assert isinstance(result, ToolMessage)
    assert re.fullmatch(rule, result.tool_call_id)
    assert answer.tool_calls[0]["id"] == result.tool_call_id
    assert answer.content == [{**block, "id": result.tool_call_id}]
    assert thread[0].content == [block], "what was given stays as it was"


def test_an_invalid_call_keeps_its_result() -> None:
    """A call whose arguments could not be read is answered with an error, which needs the call's new id too."""
    broken = {"type": "invalid_tool_call", "name": "seats", "args": "{", "id": "call_1", "error": None}
    thread = [AIMessage("", invalid_tool_calls=[broken]), ToolMessage("bad", tool_call_id="call_1", status="error")]
    answer, result = for_model(thread, FakeMeteredChatModel(provider="mistralai"))
    assert isinstance(answer, AIMessage)
    assert isinstance(result, ToolMessage)
    assert answer.invalid_tool_calls[0]["id"] == result.tool_call_id != "call_1"


@pytest.mark.parametrize("usage", ["openai", "anthropic"])
def test_cache_marks_stay_where_they_are_taken(usage: str) -> None:
    """Cache marks are left out, wherever they are, for a provider that rejects them, and for no other."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "free", **MARK}]}
    thread = [*ASKED, HumanMessage([result, "plain"]), HumanMessage("Hi", additional_kwargs=dict(MARK))]
    fit = for_model(thread, FakeMeteredChatModel(usage=usage))
    written = json.dumps([message_to_dict(message) for message in fit])
    assert ("cache_control" in written) == (usage == "anthropic")
    assert [one is other for one, other in zip(fit, thread, strict=True)] == [usage == "anthropic"] * len(thread)


def test_a_block_that_is_nothing_but_a_mark_is_left_out() -> None:
    """Bedrock's cache point is a block of its own."""
    thread = [HumanMessage([{"type": "text", "text": "Hi"}, {"cachePoint": {"type": "default"}}])]
    assert for_model(thread, FakeMeteredChatModel(usage="openai"))[0].content == [{"type": "text", "text": "Hi"}]
    assert for_model(thread, FakeMeteredChatModel(provider="amazon_bedrock"))[0] is thread[0]


def test_tools_lose_the_marks_that_are_rejected() -> None:
    """A tool's marks go, in its extras and in its schema, and the tool that was given keeps them."""
    tool = StructuredTool.from_function(len, name="count", description="d", extras={**MARK, "strict": True})
    bare = StructuredTool.from_function(len, name="bare", description="d", extras=dict(MARK))
    schema = {"name": "seats", "input_schema": {}, **MARK}
    fit = tools_for([tool, bare, schema, _gemini_call], FakeMeteredChatModel(usage="openai"))
    assert [fit[0].extras, fit[1].extras, fit[2]] == [{"strict": True}, None, {"name": "seats", "input_schema": {}}]
    assert fit[3] is _gemini_call
    assert tools_for([tool], FakeMeteredChatModel(usage="anthropic"))[0] is tool


@pytest.mark.parametrize(
    ("provider", "left"),
    [
        ("openai", {"temperature": 0, "prompt_cache_key": "k", "extra_headers": {"x-mine": "1"}}),
        ("fireworks", {"temperature": 0, "prompt_cache_key": "k",
                       "extra_headers": {"X-Session-Affinity": "s", "x-mine": "1"}}),
        ("anthropic", {"temperature": 0, "cache_control": {}, "extra_headers": {"x-mine": "1"}}),
        ("groq", {"temperature": 0, "extra_headers": {"x-mine": "1"}}),
    ],
)  # fmt: skip
def test_settings_keep_what_the_provider_knows(provider: str, left: Json) -> None:
    """Cache settings and affinity headers reach only who takes them; all that everyone takes stays."""
    headers = {"X-Session-Affinity": "s", "x-mine": "1"}
    asked = {"temperature": 0, "cache_control": {}, "prompt_cache_key": "k", "extra_headers": headers}
    assert settings_for(asked, FakeMeteredChatModel(provider=provider)) == left


def test_headers_of_which_none_is_left_are_not_sent() -> None:
    """No empty headers are left behind."""
    asked = {"extra_headers": {"x-session-affinity": "s"}}
    assert settings_for(asked, FakeMeteredChatModel()) == {}


@pytest.mark.parametrize("target", ["anthropic", "openai", "gemini"])
def test_what_langchains_own_fallback_strips_is_stripped(target: str) -> None:
    """What `ModelFallbackMiddleware` strips for a provider, is stripped here too."""
    from langchain.agents.middleware.model_fallback import (  # noqa: PLC0415  # private: a test that it has not changed
        _sanitize_request_for_fallback,
    )
    from langchain.agents.middleware.types import ModelRequest  # noqa: PLC0415

    with CannedProvider(ANSWERS[target]()) as provider:
        model = AUTHORS[target][0](provider)
    settings: dict[str, Any] = {**MARK, "prompt_cache_key": "k", "extra_headers": {"x-session-affinity": "s", "y": "1"}}
    request: ModelRequest[Any] = ModelRequest(
        model=model, system_message=SystemMessage(ASKED[0].content), messages=[], model_settings=settings
    )
    theirs = _sanitize_request_for_fallback(request, model)
    assert settings_for(settings, model) == theirs.model_settings
    assert theirs.system_message is not None
    assert theirs.system_message.content == for_model(ASKED, model)[0].content


PROVIDERS = ("openai", "anthropic", "google_genai", "mistralai", "groq")
IDS = st.text("ab:._-1", min_size=1, max_size=70)
BLOCKS = st.sampled_from(
    [
        {"type": "text", "text": "said"},
        {"type": "text", "text": "said", **MARK},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]
)


@st.composite
def threads(draw: st.DrawFn) -> list[BaseMessage]:
    """Threads of several providers' answers, some with calls, each call with its result."""
    thread: list[BaseMessage] = [HumanMessage("Begin.")]
    ids = iter(draw(st.lists(IDS, min_size=1, max_size=6, unique=True)))
    for provider in draw(st.lists(st.sampled_from(PROVIDERS), min_size=1, max_size=5)):
        asked = [call for _ in range(draw(st.integers(0, 2))) if (call := next(ids, None)) is not None]
        calls = [{"name": "seats", "args": {"n": n}, "id": call} for n, call in enumerate(asked)]
        content: Any = draw(st.one_of(st.just("said"), st.lists(BLOCKS, max_size=3)))
        thread.append(AIMessage(content, tool_calls=calls, response_metadata={"model_provider": provider}))
        thread.extend(ToolMessage("free", tool_call_id=call) for call in asked)
        thread.append(HumanMessage("Go on."))
    return thread


@given(threads(), st.sampled_from(PROVIDERS))
def test_every_call_keeps_its_result(thread: list[BaseMessage], provider: str) -> None:
    """Whoever wrote it and whoever gets it: all calls are there, in order, each answered by its own result."""
    fit = for_model(thread, FakeMeteredChatModel(provider=provider))

    def pairs(messages: list[BaseMessage]) -> tuple[list[Any], list[Any]]:
        calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
        results = [message.tool_call_id for message in messages if isinstance(message, ToolMessage)]
        return calls, results

    before, after = pairs(thread), pairs(fit)
    assert [call["args"] for call in after[0]] == [call["args"] for call in before[0]]
    assert [call["id"] for call in after[0]] == after[1]
    assert len(set(after[1])) == len(set(before[1]))


@given(threads(), st.sampled_from(PROVIDERS), st.data())
def test_a_longer_thread_begins_with_what_the_shorter_became(
    thread: list[BaseMessage], provider: str, data: st.DataObject
) -> None:
    """The provider's prompt cache holds from call to call, and thinking stays bound to what stood before it."""
    model = FakeMeteredChatModel(provider=provider)
    cut = data.draw(st.integers(0, len(thread)))
    whole, part = for_model(thread, model), for_model(thread[:cut], model)
    assert whole[: len(part)] == part


@given(threads(), st.sampled_from(PROVIDERS))
def test_what_is_fit_is_left_alone(thread: list[BaseMessage], provider: str) -> None:
    """Done twice it is as done once: the second time every message is the very same object."""
    model = FakeMeteredChatModel(provider=provider)
    once = for_model(thread, model)
    assert all(one is other for one, other in zip(once, for_model(once, model), strict=True))
