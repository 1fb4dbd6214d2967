"""What the key of a prompt tells apart, and what it does not."""

from __future__ import annotations

import itertools
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.content import create_image_block
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from langchain_agentcost.caching.keys import PromptKey, canonical_messages, keyed, model_fingerprint, prompt_key
from langchain_agentcost.errors import Unkeyable
from langchain_agentcost.testing import FakeMeteredChatModel

KEY = "sk-not-to-be-seen"
GLOBAL = ("global",)

texts = st.text(st.characters(), max_size=6) | st.sampled_from(["", "\0", "1:", "-", "a", "b", "\ud800", "\U00010000"])
missing = st.none() | texts


def key_of(*messages: BaseMessage, model: str = "m", version: str = "") -> PromptKey:
    """Give the key of a prompt whose answer everybody shares."""
    return prompt_key(messages, model=model, namespace=GLOBAL, version=version)


@given(st.lists(missing, max_size=4), st.lists(missing, max_size=4), st.none() | st.binary(min_size=1, max_size=4))
def test_parts_are_never_run_together(one: list[str | None], other: list[str | None], secret: bytes | None) -> None:
    """Two lists of parts have one hash only if they are equal, whatever is in them."""
    assert (keyed(*one, secret=secret) == keyed(*other, secret=secret)) == (one == other)


def test_a_secret_gives_other_hashes() -> None:
    """Who does not know it cannot guess what was hashed."""
    assert len({keyed("a"), keyed("a", secret=b"one"), keyed("a", secret=b"two")}) == 3


class _Facts(TypedDict):
    tenant: str
    user: str
    session: str | None
    model: str
    system: str | None
    history: list[str]
    version: str


facts = st.fixed_dictionaries(
    {
        "tenant": texts, "user": texts, "session": missing, "model": texts, "system": missing,
        "history": st.lists(texts, max_size=2), "version": texts,
    }
)  # fmt: skip


def _partition(given_facts: _Facts, text: str) -> PromptKey:
    system = [] if given_facts["system"] is None else [SystemMessage(given_facts["system"])]
    kinds = itertools.cycle((HumanMessage, AIMessage))
    history = [kind(said) for kind, said in zip(kinds, given_facts["history"], strict=False)]
    space = ("session", *(given_facts[name] for name in ("tenant", "user", "session")))
    return prompt_key(
        [*system, *history, HumanMessage(text)],
        model=given_facts["model"],
        namespace=space,
        version=given_facts["version"],
    )


@given(facts, facts, texts, texts)
def test_partitions_are_equal_only_if_everything_is(one: _Facts, other: _Facts, text: str, another: str) -> None:
    """No tenant, user, session, model, system prompt, history or version is taken for another one; the text is free."""
    first, second = _partition(one, text), _partition(other, another)
    assert (first.partition == second.partition) == (one == other)
    assert (first.exact == second.exact) == (one == other and text == another)


@given(facts, st.sampled_from(list(_Facts.__annotations__)), texts)
def test_one_difference_is_enough(given_facts: _Facts, name: str, text: str) -> None:
    """Two prompts that differ in a single fact are in two partitions."""
    changed: Any = dict(given_facts)
    changed[name] = [*changed[name], "x"] if name == "history" else (changed[name] or "") + "x"
    assert _partition(given_facts, text).partition != _partition(changed, text).partition


def test_namespaces_of_different_scopes_never_meet() -> None:
    """A tenant called as a user, or a session as a run, is in a partition of its own."""
    spaces: list[tuple[str | None, ...]] = [
        ("global",), ("tenant", "a"), ("user", "a", "b"), ("session", "a", "b", "c"), ("run", "a", "b", "c"),
        ("session", None, "b", "c"), ("session", "", "b", "c"), ("user", "a", "b\0c"), ("user", "a\0b", "c"),
    ]  # fmt: skip
    made = {prompt_key([HumanMessage("q")], model=model, namespace=s).partition for s in spaces for model in ("m", "a")}
    assert len(made) == 2 * len(spaces)


def call(name: str, call_id: str, **args: Any) -> dict[str, Any]:
    """Give a tool call."""
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


def run_of(a: str, b: str, *, swap: bool = False, **noise: Any) -> list[BaseMessage]:
    """Give a prompt with two parallel tool calls under these ids."""
    results = [ToolMessage("12", tool_call_id=a), ToolMessage("13", tool_call_id=b)]
    if swap:
        results = [ToolMessage("13", tool_call_id=a), ToolMessage("12", tool_call_id=b)]
    asked = AIMessage("", tool_calls=[call("find", a, order=1), call("find", b, order=2)], **noise)
    return [SystemMessage("Be brief."), HumanMessage("Compare."), asked, *results]


@pytest.mark.parametrize(
    "noise",
    [
        {"id": "run-1"},
        {"response_metadata": {"model_name": "gpt-x", "id": "r1"}},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "total_cost": 0}},
        {"additional_kwargs": {"refusal": None, "parsed": {"a": 1}}},
    ],
)
def test_what_changes_from_call_to_call_is_no_part_of_it(noise: dict[str, Any]) -> None:
    """Ids, metadata, usage and LangChain's own `total_cost: 0` of a hit never cause a miss (langchain-core 1.7.2)."""
    assert key_of(*run_of("call_1", "call_2", **noise)) == key_of(*run_of("x", "y"))


def test_results_stay_with_their_calls() -> None:
    """Parallel results that are swapped are another prompt, whatever the ids are."""
    assert key_of(*run_of("a", "b")) != key_of(*run_of("a", "b", swap=True))
    assert key_of(*run_of("a", "b", swap=True)) == key_of(*run_of("b", "a", swap=True))


def test_a_chunk_is_what_it_is_a_chunk_of() -> None:
    """An answer that was streamed and put into the history is the answer."""
    whole = [HumanMessage("q"), AIMessage("a", tool_calls=[call("f", "1", x=1)]), ToolMessage("r", tool_call_id="1")]
    chunk = AIMessageChunk(content="a", tool_call_chunks=[{"name": "f", "args": '{"x": 1}', "id": "1", "index": 0}])
    assert key_of(*whole) == key_of(HumanMessageChunk(content="q"), chunk, whole[2])


BLOCKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "text", "text": "a", "id": "msg_1"}, {"type": "text", "text": "a", "index": 0}),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "a"}),
    (
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
    ),
    (
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "f", "arguments": "{}"},
    ),
    ({"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "reasoning", "id": "rs_2", "summary": []}),
]


@pytest.mark.parametrize(("one", "other"), BLOCKS, ids=lambda block: str(block["type"]))
def test_ids_of_blocks_are_no_part_of_it(one: dict[str, Any], other: dict[str, Any]) -> None:
    """What providers and LangChain number blocks with is left out."""
    assert key_of(HumanMessage("q"), AIMessage([one])) == key_of(HumanMessage("q"), AIMessage([other]))


def test_a_block_that_langchain_numbers_itself_is_the_same() -> None:
    """Two blocks that were made alike have ids of LangChain's own, and one key."""
    one, other = (create_image_block(url="https://example.org/a.png") for _ in range(2))
    assert one["id"] != other["id"]
    assert key_of(HumanMessage(content_blocks=[one])) == key_of(HumanMessage(content_blocks=[other]))


DIFFERENT: list[list[BaseMessage]] = [
    [],
    [HumanMessage("a")],
    [HumanMessage("a", name="ann")],
    [HumanMessage("a", name="bob")],
    [HumanMessage("a", name="")],
    [HumanMessage(["a"])],
    [HumanMessage([{"type": "text", "text": "a"}])],
    [HumanMessage([{"type": "text", "text": "a"}, {"type": "text", "text": ""}])],
    [HumanMessage("a\n")],
    [HumanMessage([{"type": "text", "text": "a"}, {"type": "image", "url": "data:,1"}])],
    [HumanMessage([{"type": "text", "text": "a"}, {"type": "image", "url": "data:,2"}])],
    [HumanMessage([{"type": "text", "text": "a"}, {"type": "image", "file_id": "1"}])],
    [HumanMessage([{"type": "image", "source_type": "id", "id": "file-1"}])],
    [HumanMessage([{"type": "image", "source_type": "id", "id": "file-2"}])],
    [HumanMessage([{"type": "item_reference", "id": "msg_1"}])],
    [HumanMessage([{"type": "item_reference", "id": "msg_2"}])],
    [SystemMessage("a")],
    [SystemMessage("a", additional_kwargs={"__openai_role__": "developer"})],
    [AIMessage("a")],
    [AIMessage("a", additional_kwargs={"function_call": {"name": "f", "arguments": "1"}})],
    [AIMessage("a", additional_kwargs={"function_call": {"name": "f", "arguments": "2"}})],
    [AIMessage("a", additional_kwargs={"reasoning_content": "since"})],
    [AIMessage("a", tool_calls=[call("f", "1")])],
    [AIMessage("a", tool_calls=[call("f", "1", x=1)])],
    [AIMessage("a", tool_calls=[call("f", "1", x="1")])],
    [AIMessage("a", tool_calls=[call("f", "1", x=True)])],
    [AIMessage("a", tool_calls=[call("f", "1"), call("f", "2")])],
    [AIMessage("a", tool_calls=[call("f", "1"), call("f", "1")])],
    [AIMessage("a", tool_calls=[call("g", "1")])],
    [AIMessage("a", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}])],
    [AIMessage([{"type": "reasoning", "encrypted_content": "1", "summary": []}])],
    [AIMessage([{"type": "reasoning", "encrypted_content": "2", "summary": []}])],
    [ToolMessage("a", tool_call_id="1")],
    [ToolMessage("a", tool_call_id="1", status="error")],
    [ToolMessage("a", tool_call_id="1", name="f")],
    [FunctionMessage(content="a", name="f")],
    [ChatMessage(content="a", role="user")],
    [ChatMessage(content="a", role="critic")],
    [HumanMessage("a"), HumanMessage("b")],
    [HumanMessage("b"), HumanMessage("a")],
    [HumanMessage("a"), AIMessage("b")],
    [SystemMessage("a"), HumanMessage("b")],
    [SystemMessage("a"), SystemMessage("b"), HumanMessage("b")],
    [HumanMessage("x"), AIMessage("y"), HumanMessage("a")],
    [HumanMessage("x"), AIMessage("z"), HumanMessage("a")],
    [HumanMessage("x", name="example_user"), AIMessage("y", name="example_assistant"), HumanMessage("a")],
]


def test_different_prompts_have_different_keys() -> None:
    """Roles, names, blocks, images, files, arguments, order and few-shot examples all count."""
    made = [key_of(*messages).exact for messages in DIFFERENT]
    same = [(DIFFERENT[a], DIFFERENT[b]) for a, b in itertools.combinations(range(len(made)), 2) if made[a] == made[b]]
    assert same == []


def test_only_the_text_is_left_out_of_the_partition() -> None:
    """Who says the last text counts: "Who am I?" has another answer for another name."""
    assert key_of(HumanMessage("a")).partition == key_of(HumanMessage("b")).partition
    assert key_of(HumanMessage("a", name="ann")).partition != key_of(HumanMessage("a", name="bob")).partition
    assert key_of(HumanMessage("a")).partition != key_of().partition


@pytest.mark.parametrize(
    ("messages", "text", "first"),
    [
        ([HumanMessage("q")], "q", True),
        ([SystemMessage("s"), HumanMessage("q")], "q", True),
        ([HumanMessage(["q", {"type": "text", "text": "r"}])], "q\nr", True),
        ([HumanMessage([{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}])], "q", True),
        ([HumanMessage("x"), AIMessage("y"), HumanMessage("q")], "q", False),
        ([HumanMessage("x"), AIMessage("y")], None, False),
        ([HumanMessage([{"type": "text", "text": "q"}, {"type": "image", "url": "data:,1"}])], None, True),
        ([HumanMessage([{"type": "text", "text": "q", "citations": []}])], None, True),
        ([HumanMessage([{"type": "text"}])], None, True),
        ([], None, True),
    ],
)
def test_the_text_that_is_looked_for_is_the_last_users(
    messages: list[BaseMessage], text: str | None, first: bool
) -> None:
    """It is there where the prompt ends in a user's text alone, and the first turn is told from later ones."""
    key = key_of(*messages)
    assert (key.text, key.first_turn) == (text, first)


def test_what_is_no_prompt_is_refused() -> None:
    """A RemoveMessage says nothing by itself, and a client in a tool call has no value."""
    with pytest.raises(Unkeyable, match="RemoveMessage"):
        canonical_messages([RemoveMessage(id="1")])
    with pytest.raises(Unkeyable):
        key_of(AIMessage("", tool_calls=[call("f", "1", client=object())]))


def openai(**changed: Any) -> ChatOpenAI:
    """Give a model of OpenAI's."""
    return ChatOpenAI(**{"model": "gpt-4.1", "api_key": KEY, "temperature": 0, **changed})


def anthropic(**changed: Any) -> ChatAnthropic:
    """Give a model of Anthropic's."""
    return ChatAnthropic(**{"model": "claude-opus-4-6", "api_key": KEY, **changed})


def google(**changed: Any) -> ChatGoogleGenerativeAI:
    """Give a model of Google's."""
    return ChatGoogleGenerativeAI(**{"model": "gemini-2.5-pro", "google_api_key": KEY, **changed})


def fake(**changed: Any) -> FakeMeteredChatModel:
    """Give a model of this package's."""
    return FakeMeteredChatModel(**changed)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def subtract(a: int, b: int) -> int:
    """Subtract."""
    return a - b


class Total(BaseModel):
    """A total."""

    value: int


class Wider(BaseModel):
    """A total."""

    value: int = Field(description="In euros.")


MAKERS = [openai, anthropic, google, fake]


@pytest.mark.parametrize("make", MAKERS)
def test_models_made_alike_have_one_fingerprint_without_the_key(make: Any) -> None:
    """Two instances are one model, and another API key, time-out or retry count is no other one."""
    print_ = model_fingerprint(make())
    assert print_ == model_fingerprint(make())
    assert KEY not in print_
    if make is not fake:
        name = "google_api_key" if make is google else "api_key"
        noise = {
            name: "sk-another",
            "timeout": 5,
            "max_retries": 9,
            "tags": ["x"],
            "metadata": {"a": 1},
            "verbose": True,
        }
        assert print_ == model_fingerprint(make(**noise))


@pytest.mark.parametrize("make", MAKERS)
def test_tools_in_another_order_are_the_same_tools(make: Any) -> None:
    """Their order does not count, and what they are does."""
    model = make()
    bound = [model_fingerprint(model.bind_tools(tools)) for tools in ([add, subtract], [subtract, add], [add], [])]
    assert bound[0] == bound[1]
    assert len({*bound, model_fingerprint(model)}) >= 3
    assert model_fingerprint(model, sent={"tools": [add, subtract]}) == model_fingerprint(
        model, sent={"tools": [subtract, add]}
    )


CHANGES: list[tuple[Any, list[dict[str, Any]]]] = [
    (openai, [
        {}, {"model": "gpt-4.1-mini"}, {"temperature": 0.5}, {"base_url": "https://example.org/v1"}, {"seed": 7},
        {"max_tokens": 5}, {"stop": ["x"]}, {"model_kwargs": {"x": 1}}, {"extra_body": {"x": 1}}, {"top_p": 0.5},
        {"reasoning_effort": "low"}, {"n": 2}, {"logprobs": True}, {"use_responses_api": True},
        {"organization": "acme"}, {"default_headers": {"x-version": "1"}}, {"default_headers": {"x-version": "2"}},
    ]),
    (anthropic, [
        {}, {"model": "claude-haiku-4-5"}, {"temperature": 0.5}, {"base_url": "https://example.org"}, {"max_tokens": 5},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"stop": ["x"]}, {"top_k": 5}, {"betas": ["x"]},
        {"mcp_servers": [{"type": "url", "url": "https://a.example", "name": "a"}]},
        {"mcp_servers": [{"type": "url", "url": "https://b.example", "name": "a"}]},
    ]),
    (google, [
        {}, {"model": "gemini-2.5-flash"}, {"temperature": 0.1}, {"max_tokens": 5}, {"top_k": 5}, {"top_p": 0.5},
        {"thinking_budget": 5},
        {"safety_settings": {"HARM_CATEGORY_HARASSMENT": "OFF"}}, {"base_url": "https://example.org"},
    ]),
    (fake, [{}, {"model": "gpt-y"}, {"usage": "anthropic"}, {"answers": ["other"]}, {"n": 2}]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "changes"), CHANGES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_parameter_that_may_change_answers_counts(make: Any, changes: list[dict[str, Any]]) -> None:
    """Models that differ in one of them have different fingerprints, and none has the key in it."""
    made = [model_fingerprint(make(**changed)) for changed in changes]
    same = [(changes[a], changes[b]) for a, b in itertools.combinations(range(len(made)), 2) if made[a] == made[b]]
    assert same == []
    assert not any(KEY in one for one in made)


def test_what_is_bound_counts_as_it_does_in_a_call() -> None:
    """The outer binding counts before the inner one, what is sent before both, and nesting does not show."""
    model = openai()
    nested = model.bind(stop=["x"], seed=1).bind(seed=2)
    assert model_fingerprint(nested) == model_fingerprint(model.bind(stop=["x"], seed=2))
    assert model_fingerprint(nested) == model_fingerprint(model, sent={"stop": ["x"], "seed": 2})
    assert model_fingerprint(nested, sent={"seed": 3}) == model_fingerprint(model.bind(stop=["x"], seed=3))
    ways = [model, nested, model.bind(response_format={"type": "json_object"}), model.bind(stop=["y"], seed=2)]
    ways += [model.bind(response_format=kind) for kind in (Total, Wider)]
    assert len({model_fingerprint(one) for one in ways}) == len(ways)


def test_headers_are_hidden_and_what_is_for_tracers_or_the_bill_does_not_count() -> None:
    """A key in a header is not to be read; tracing and the provider's prompt cache change no answer."""
    model = openai(default_headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in model_fingerprint(model)
    assert KEY not in model_fingerprint(model, sent={"extra_headers": {"x": KEY}})
    noise = model.bind(ls_structured_output_format={"schema": Total}, prompt_cache_key="a", cache_control={"a": 1})
    assert model_fingerprint(noise) == model_fingerprint(model)


@pytest.mark.parametrize("make", [openai, anthropic, google])
@pytest.mark.parametrize("raw", [True, False])
def test_a_chain_is_refused_and_the_model_in_it_is_not(make: Any, raw: bool) -> None:
    """Structured output is a chain of a model and a parser, which was told from others by its name alone."""
    chain = make().with_structured_output(Total, include_raw=raw)
    with pytest.raises(Unkeyable, match="around the model"):
        model_fingerprint(chain)
    if not raw:
        others = [make().with_structured_output(kind).first for kind in (Total, Wider)]
        assert model_fingerprint(chain.first) == model_fingerprint(others[0]) != model_fingerprint(others[1])


@pytest.mark.parametrize("other", [RunnableLambda(lambda x: x), openai() | RunnableLambda(lambda x: x)])
def test_functions_are_refused(other: Any) -> None:
    """Two functions of one name may do anything."""
    with pytest.raises(Unkeyable):
        model_fingerprint(other)


def test_retries_do_not_count_and_fallbacks_do() -> None:
    """Who may answer counts, how often it is tried does not."""
    model, other = openai(), anthropic()
    assert model_fingerprint(model.with_retry()) == model_fingerprint(model)
    assert model_fingerprint(model.bind(seed=1).with_retry()) == model_fingerprint(model.bind(seed=1))
    with_other = model_fingerprint(model.with_fallbacks([other]))
    assert with_other == model_fingerprint(openai().with_fallbacks([anthropic()]))
    different: list[Any] = [
        model.with_fallbacks([google()]),
        other.with_fallbacks([model]),
        model.with_fallbacks([other, other]),
    ]
    different += [model.with_fallbacks([other]).bind(stop=["x"]), model]
    assert len({with_other, *(model_fingerprint(one) for one in different)}) == 6


def test_what_is_configurable_counts_as_it_is_configured() -> None:
    """A model whose field or alternative is chosen by the run is the one that is chosen."""
    field = ConfigurableField(id="heat")
    model = openai().configurable_fields(temperature=field)
    warm = model.with_config(configurable={"heat": 0.5})
    assert model_fingerprint(model) == model_fingerprint(openai())
    assert model_fingerprint(warm) == model_fingerprint(openai(temperature=0.5))
    either = openai().configurable_alternatives(ConfigurableField(id="which"), default_key="a", b=anthropic())
    chosen = RunnableLambda[int, str](lambda _: model_fingerprint(either))
    assert chosen.invoke(0, {"configurable": {"which": "b"}}) == model_fingerprint(anthropic())
    assert chosen.invoke(0) == model_fingerprint(openai())


def test_the_configurable_model_of_langchain_counts_as_what_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`init_chat_model` without a fixed model is the one that the run names, with what was bound to it."""
    from langchain.chat_models import init_chat_model  # noqa: PLC0415  # optional

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = init_chat_model("openai:gpt-4.1", temperature=0, configurable_fields=("model", "temperature"))
    asked = RunnableLambda[Any, str](model_fingerprint)
    assert model_fingerprint(model) == model_fingerprint(openai())
    assert model_fingerprint(model.bind_tools([add])) == model_fingerprint(openai().bind_tools([add]))
    assert asked.invoke(model, {"configurable": {"temperature": 0.5}}) == model_fingerprint(openai(temperature=0.5))


@pytest.mark.parametrize("model", [FakeListChatModel(responses=["a", "b"]), fake(answers=["a", "b"])])
def test_a_call_does_not_change_the_fingerprint(model: Any) -> None:
    """A fake model that counts its answers is still the same model."""
    before = model_fingerprint(model)
    model.invoke("q")
    assert model_fingerprint(model) == before


def test_a_changed_field_changes_the_fingerprint() -> None:
    """Nothing is remembered of a model, so nothing of it can be out of date."""
    model = openai(model_kwargs={"a": 1})
    seen = {model_fingerprint(model)}
    model.temperature = 0.5
    seen.add(model_fingerprint(model))
    model.model_kwargs["a"] = 2
    assert len({*seen, model_fingerprint(model)}) == 3


def test_a_model_within_a_model_counts() -> None:
    """A class that hands its calls to another model is told from one with another such model."""

    class Outer(FakeListChatModel):
        inner: Any = None

    made = [Outer(responses=["a"], inner=inner) for inner in (openai(), anthropic(), openai())]
    one, other, again = (model_fingerprint(model) for model in made)
    assert one == again != other


def test_a_models_own_methods_are_not_called() -> None:
    """Only what `init_chat_model` gives is asked for the model that it makes, no class with a method of that name."""

    class Mine(FakeListChatModel):
        def _model(self, _: object) -> None:
            raise AssertionError("it was called")

    assert "Mine" in model_fingerprint(Mine(responses=["a"]))


def test_what_cannot_be_described_is_refused() -> None:
    """A tool that no provider could be told of, or a client that is sent along, has no value to compare."""
    for sent in ({"tools": [object()]}, {"client": object()}, {"response_format": int}):
        with pytest.raises(Unkeyable):
            model_fingerprint(openai(), sent=sent)


class _Mode(Enum):
    FAST = 1
    DEEP = 2


class _Tuned(FakeListChatModel):
    """A model with a parameter of any kind."""

    tuned: Any = None
    eos_token: str | None = None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tuned": _Mode.FAST}, {"tuned": _Mode.DEEP}),
        ({"tuned": Path("a")}, {"tuned": Path("b")}),
        ({"tuned": {"lora": {"a"}}}, {"tuned": {"lora": {"b"}}}),
        ({"eos_token": "a"}, {"eos_token": "b"}),
    ],
)
def test_parameters_that_json_has_no_form_for_count_too(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two models that differ in any parameter are two models."""
    made = [model_fingerprint(_Tuned(responses=["x"], **fields)) for fields in (one, other)]
    assert made[0] != made[1]


def test_a_parameter_without_a_value_is_no_part_of_any_key() -> None:
    """What cannot be compared is not left out of the comparison: the call is not cached."""
    with pytest.raises(Unkeyable):
        model_fingerprint(_Tuned(responses=["x"], tuned=object()))
