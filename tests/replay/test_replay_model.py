"""The replay model: it answers what was recorded where it is asked what was recorded, and fails elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

from langchain_agentcost import CostMeter
from langchain_agentcost.errors import ReplayError, ReplayMismatch
from langchain_agentcost.replay import Episode, Recorded, Tariffs
from langchain_agentcost.replay.episode import NOTHING, Piece, assemble
from langchain_agentcost.replay.prices import CardBook
from langchain_agentcost.testing import ReplayChatModel
from langchain_agentcost.usage import Usage
from tests.replay.made import SONNET, counted, episode, played, says, schemas, uses

HIDDEN = "the word is canary"

RUN = episode(
    uses("look_up", "a long result " * 100, key="k-1"),
    uses("look_up", HIDDEN, key="k-2"),
    says("Here it is. ", then="Thanks! Anything else?"),
    says("No."),
    tools=schemas("look_up", "write"),
    model="claude-sonnet-4-5",
    provider="anthropic",
)


def asked(of: Episode, call: int) -> list[BaseMessage]:
    """What a call of a run was sent, in messages of its own."""
    return [message.model_copy() for message in of.calls[call].messages]


def ready(of: Episode = RUN, *, skip: int = 0, tools: Sequence[Any] | None = None, **given: Any) -> Any:
    """A model with the run's tools that has answered so many calls already."""
    model = ReplayChatModel(episode=of, **given).bind_tools(of.tools if tools is None else tools)
    for call in range(skip):
        model.invoke(asked(of, call))
    return model


def test_the_recorded_answers_come_in_their_order() -> None:
    """Each call is given what it was given then: text, and tool calls with their ids."""
    model = ready()
    answers = [model.invoke(asked(RUN, call)) for call in range(4)]
    assert [(a.content, a.tool_calls) for a in answers] == [
        (call.answer.content, call.answer.tool_calls) for call in RUN.calls
    ]
    assert [answer.id for answer in answers] != [call.answer.id for call in RUN.calls]


def test_what_is_left_is_counted() -> None:
    """Code that ends too early is found by what it did not ask."""
    model = ReplayChatModel(episode=RUN)
    model.bind_tools(RUN.tools).invoke(asked(RUN, 0))
    assert model.left == 3


def test_ids_and_metadata_are_no_difference() -> None:
    """Ids of messages, names and metadata change from run to run."""
    messages = [m.model_copy(update={"id": f"new-{n}", "name": "n"}) for n, m in enumerate(asked(RUN, 1))]
    assert ready(skip=1).invoke(messages).tool_calls[0]["args"] == {"key": "k-2"}


def _tampered(at: int, **update: Any) -> list[BaseMessage]:
    messages = asked(RUN, 2)
    messages[at] = messages[at].model_copy(update=update)
    return messages


OTHER_CALL = [{"name": "look_up", "args": {"key": "k-1 "}, "id": "call-1", "type": "tool_call"}]
OTHER_TOOL = [{"name": "write", "args": {"key": "k-1"}, "id": "call-1", "type": "tool_call"}]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (_tampered(0, content="You help!"), r"message 1 of 6 \(system\) has other content: 9 characters where 9"),
        (_tampered(0, content="You help. "), r"10 characters where 9 are expected, other ones from the 10th on"),
        (_tampered(2, tool_calls=OTHER_CALL), r"message 3 of 6 \(ai\) has other tool calls: call 1 has other arg"),
        (_tampered(2, tool_calls=OTHER_TOOL), r"message 3 of 6 \(ai\) has other tool calls: call 1 is of another tool"),
        (_tampered(2, tool_calls=[]), r"message 3 of 6 \(ai\) has other tool calls: 0 where 1 are expected"),
        (_tampered(5, content=["the word is canary"]), r"message 6 of 6 \(tool\) has other content"),
        (asked(RUN, 2)[1:], r"5 messages where 6 are expected; message 1 differs first"),
        (asked(RUN, 2)[:-1], r"5 messages where 6 are expected; the first are as expected"),
        ([*asked(RUN, 2), HumanMessage("?")], r"7 messages where 6 are expected; the first are as expected"),
        ([HumanMessage("You help."), *asked(RUN, 2)[1:]], r"message 1 of 6 \(human\) is of another type: system"),
    ],
)
def test_a_changed_prompt_is_refused_and_quoted_nowhere(messages: list[BaseMessage], said: str) -> None:
    """One character, one tool call, one message: the error says where and what kind, and no word of the texts."""
    with pytest.raises(ReplayMismatch, match=said) as refused:
        ready(skip=2).invoke(messages)
    assert "(call 3 of 4)" in str(refused.value)
    assert "canary" not in str(refused.value)
    assert "help" not in str(refused.value)


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (schemas("write", "look_up"), "the 2 tools come in another order"),
        (schemas("look_up"), "1 tool where 2 are expected"),
        (schemas("look_up", "erase"), "tool 2 of 2 has another description"),
        ((), "0 tools where 2 are expected"),
    ],
)
def test_other_tools_are_refused(tools: Sequence[Any], said: str) -> None:
    """The tools stand before the prompt: their order and descriptions are part of what is sent."""
    with pytest.raises(ReplayMismatch, match=said):
        ready(tools=tools).invoke(asked(RUN, 0))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.data())
def test_any_change_of_any_text_is_found(texts: list[str], data: st.DataObject) -> None:
    """Whatever the texts are and whichever is changed, the prompt is another one; unchanged, it is the same."""
    messages: list[BaseMessage] = [HumanMessage(text) for text in texts]
    at = data.draw(st.integers(0, len(texts) - 1))
    other = data.draw(st.text(max_size=8).filter(lambda text: text != texts[at]))
    run = Episode("run-1", assemble([*messages, AIMessage("!")], {len(texts): NOTHING}))
    changed = [*messages[:at], HumanMessage(other), *messages[at + 1 :]]
    model = ReplayChatModel(episode=run)
    with pytest.raises(ReplayMismatch, match=f"message {at + 1} of"):
        model.invoke(changed)
    assert model.invoke([HumanMessage(text) for text in texts]).content == "!"


def test_a_refused_call_is_not_used_up() -> None:
    """Who asks again and asks what was recorded is answered."""
    model = ready()
    with pytest.raises(ReplayMismatch):
        model.invoke("Something else")
    assert model.invoke(asked(RUN, 0)).tool_calls[0]["args"] == {"key": "k-1"}


@pytest.mark.parametrize("mode", ["exact", "open-loop"])
def test_a_call_too_many_is_refused(mode: str) -> None:
    """A run that goes on longer than the recorded one has left the record, in either mode."""
    with pytest.raises(ReplayMismatch, match=r"is call 5, and only 4 are to be made\. The recorded run ended"):
        ready(skip=4, mode=mode).invoke(asked(RUN, 3))


def test_open_loop_answers_by_number() -> None:
    """Whatever is asked, the third call gets the third answer."""
    model = ready(mode="open-loop", tools=())
    assert [model.invoke("What?").content for _ in range(4)][2:] == ["Here it is. ", "No."]


def test_a_real_agent_runs_against_its_trace() -> None:
    """`create_agent` with real tools asks what was recorded, and comes to the recorded end."""
    agent, run = _agent_and_run("look it up")
    model = ReplayChatModel(episode=run)
    state = create_agent(model, **agent).invoke({"messages": [("user", "Please help me.")]})
    assert state["messages"][-1].content == "Found."
    assert model.left == 0


def test_a_real_agent_whose_tool_gives_something_else_is_refused() -> None:
    """A tool that gives another result than the recorded one is found at the next call."""
    agent, run = _agent_and_run("look it up")
    agent["tools"] = [_looking_up("look it up", gives="nothing")]
    with pytest.raises(ReplayMismatch, match=r"message 4 of 4 \(tool\) has other content: 7 characters where 6"):
        create_agent(ReplayChatModel(episode=run), **agent).invoke({"messages": [("user", "Please help me.")]})


def _looking_up(description: str, *, gives: str) -> Any:
    @tool(description=description)
    def look_up(key: str) -> str:
        return gives

    return look_up


def _agent_and_run(description: str) -> tuple[dict[str, Any], Episode]:
    found = _looking_up(description, gives="a fact")
    run = episode(uses("look_up", "a fact", key="k"), says("Found."), tools=(convert_to_openai_tool(found),))
    return {"tools": [found], "system_prompt": "You help."}, run


ODD: Sequence[tuple[Any, list[Any]]] = [
    ("two  blanks, a\ttab and a newline at the end\n", []),
    ("", [("a", {}), ("b", {"x": [1, {"y": None}], "": "é\x1b[31m"})]),
    ("   ", []),
    ([{"type": "text", "text": "a block"}, "and a text"], [("a", {"n": 1e300, "big": 2**70})]),
    ("<script>alert(1)</script>\u202e", [("?", {"arguments": "no JSON"})]),
    ([], []),
]


@pytest.mark.parametrize(("content", "calls"), ODD)
@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_every_way_of_asking_gives_the_same_answer(way: str, content: Any, calls: list[Any]) -> None:
    """Chunks add up to the recorded answer and its usage, however odd it is, sync and async."""
    made = [{"name": name, "args": args, "id": f"id-{place}"} for place, (name, args) in enumerate(calls)]
    run = Episode("odd", assemble([HumanMessage("Hi"), AIMessage(content, tool_calls=made)], {1: counted(7, 3)}))
    model = ReplayChatModel(episode=run)
    if way == "invoke":
        answer: BaseMessage = model.invoke("Hi")
    elif way == "ainvoke":
        answer = await model.ainvoke("Hi")
    else:
        chunks = [c async for c in model.astream("Hi")] if way == "astream" else list(model.stream("Hi"))
        answer = _added_up(chunks)
    assert answer.content == content or (not content and not answer.content)
    assert [(c["name"], c["args"], c["id"]) for c in answer.tool_calls] == [  # type: ignore[attr-defined]
        (c["name"], c["args"], c["id"]) for c in made
    ]
    assert Usage.from_message(answer) == Usage(7, 3)


def _added_up(chunks: Sequence[Any]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


@given(st.text())
def test_a_streamed_text_adds_up_to_what_was_recorded(text: str) -> None:
    """No blank is lost and none is added."""
    run = Episode("run-1", assemble([HumanMessage("Hi"), AIMessage(text)], {1: NOTHING}))
    assert "".join(str(chunk.content) for chunk in ReplayChatModel(episode=run).stream("Hi")) == text


def test_a_long_answer_comes_in_many_chunks() -> None:
    """A stream is one, word by word."""
    chunks = list(ready(skip=2).stream(asked(RUN, 2)))
    assert [chunk.content for chunk in chunks if chunk.content] == ["Here", " it", " is.", " "]


def test_an_answer_that_was_streamed_can_be_sent_back_as_it_is() -> None:
    """Code that adds chunks up and keeps the chunk sends the same to a provider."""
    model, messages = ready(), asked(RUN, 0)
    chunk = _added_up(list(model.stream(messages)))
    result = ToolMessage("a long result " * 100, tool_call_id="call-1")
    assert model.invoke([*messages, chunk, result]).tool_calls[0]["args"] == {"key": "k-2"}


def test_what_was_recorded_of_a_call_is_reported() -> None:
    """Without prices, usage is what the provider said then."""
    usage = Usage(1200, 30, cache_read_tokens=1024, cache_write_tokens=100, reasoning_tokens=20, service_tier="flex")
    run = episode(says("Yes.", recorded=Recorded(usage, model="gpt-5")), provider="openai")
    answer = ReplayChatModel(episode=run).invoke(asked(run, 0))
    assert Usage.from_message(answer) == usage
    assert answer.response_metadata["model_name"] == "gpt-5"


def test_where_nothing_was_recorded_it_is_counted() -> None:
    """A run that nobody counted has this package's count of what is asked, and of the answer."""
    answer = ready().invoke(asked(RUN, 0))
    recorded = played(RUN)
    assert answer.usage_metadata["input_tokens"] == recorded.steps[0]


def test_what_was_recorded_is_not_reported_of_another_prompt() -> None:
    """In open loop a shorter prompt has a smaller count than the recorded one."""
    run = episode(says("Yes.", recorded=counted(5_000)), user="word " * 4_000)
    shorter = [*asked(run, 0)[:1], HumanMessage("word " * 2_000)]
    usage = ReplayChatModel(episode=run, mode="open-loop").invoke(shorter).usage_metadata
    assert usage is not None
    assert 2_000 < usage["input_tokens"] < 3_000
    same = ReplayChatModel(episode=run, mode="open-loop").invoke(asked(run, 0)).usage_metadata
    assert same is not None
    assert same["input_tokens"] == 5_000


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-4.1", "deepseek-chat", "grok-3", "gpt-oss-120b"])
def test_a_real_meter_books_what_the_arithmetic_replay_says(model: str) -> None:
    """With prices, the simulated prompt cache included, ledger and arithmetic agree to the nano-dollar."""
    tariffs = Tariffs(model=model)
    run = replace(RUN, calls=tuple(replace(call, recorded=NOTHING) for call in RUN.calls))
    tariff = tariffs.of(model)
    assert tariff is not None
    meter = CostMeter(prices=CardBook({tariff.card.model: tariff.card}))
    asking = ready(run, tariffs=tariffs).with_config(callbacks=[meter])
    for call in range(4):
        asking.invoke(asked(run, call))
    expected = played(run, tariffs=tariffs)
    total = meter.report(by="model").total
    assert (total.llm_calls, total.cost.total_nano) == (4, expected.on_nano)
    assert total.usage.cache_read_tokens == expected.read_tokens
    assert total.usage.input_tokens == expected.input_tokens


def test_a_warm_cache_reads_the_static_part_at_once() -> None:
    """A run that follows another one finds its tools and system message in the provider's cache."""
    run = episode(says("Yes."), system="rule " * 2_000)
    cold, warm = (
        ReplayChatModel(episode=run, tariffs=SONNET, warm=warm).invoke(asked(run, 0)).usage_metadata
        for warm in (False, True)
    )
    assert cold is not None
    assert warm is not None
    assert "cache_read" not in cold["input_token_details"]
    assert warm["input_token_details"]["cache_read"] > 2_000


def test_a_model_that_is_named_in_the_call_answers_under_a_name_of_its_own() -> None:
    """A router's other model, or a share of the price: a meter can tell the calls apart."""
    model = ReplayChatModel(episode=RUN, mode="open-loop", tariffs=SONNET)
    names = [None, "gpt-4.1", "1/10"]
    answers = [model.bind(model=name).invoke("?") if name else model.invoke("?") for name in names]
    assert [answer.response_metadata["model_name"] for answer in answers] == [
        "claude-sonnet-4-5",
        "gpt-4.1",
        "1/10 of claude-sonnet-4-5",
    ]


def test_threads_are_each_given_another_answer() -> None:
    """However many threads ask, every recorded answer is given once."""
    run = episode(*(says(f"answer {number}", then="next") for number in range(200)))
    model = ReplayChatModel(episode=run, mode="open-loop", tariffs=SONNET)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.invoke("?").content, range(200)))
    assert sorted(map(str, answers)) == sorted(f"answer {number}" for number in range(200))


def test_threads_can_play_two_runs_at_once() -> None:
    """Models of two runs know nothing of each other."""
    other = episode(*(says(f"B{number}", then="and?") for number in range(40)), name="run-2")
    first = episode(*(says(f"A{number}", then="and?") for number in range(40)))

    def play(of: Episode) -> list[str]:
        model = ReplayChatModel(episode=of, tariffs=SONNET)
        return [str(model.invoke(asked(of, call)).content) for call in range(40)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(play, (first, other))) == [[f"{name}{n}" for n in range(40)] for name in ("A", "B")]


async def test_tasks_can_play_two_runs_at_once() -> None:
    """So it is in one event loop."""

    async def play(of: Episode) -> list[str]:
        model = ready(of)
        return [(await model.ainvoke(asked(of, call))).content for call in range(4)]

    first, second = await asyncio.gather(play(RUN), play(RUN))
    assert first == second == ["", "", "Here it is. ", "No."]


def test_a_run_without_texts_cannot_answer() -> None:
    """A ledger's fingerprints tell what was sent again, not what it was."""
    message = SystemMessage("known by its hash")
    run = replace(RUN, marks={id(message): Piece(b"hash", 10)})
    with pytest.raises(ReplayError, match="has hashes in place of texts"):
        ReplayChatModel(episode=run)


def test_a_run_without_a_price_says_which() -> None:
    """Prices are asked for, and the run's model has none."""
    run = replace(RUN, model="made-up-7b\x1b[31m")
    with pytest.raises(ReplayError, match=r"is of made-up-7b.*name one, Tariffs\(model=…\)"):
        ReplayChatModel(episode=run, tariffs=Tariffs())


def test_a_run_without_calls_has_nothing_to_answer() -> None:
    """An empty run is no fault until it is asked."""
    with pytest.raises(ReplayMismatch, match="only 0 are to be made"):
        ReplayChatModel(episode=Episode("empty", ())).invoke("Hi")


@pytest.mark.parametrize("given", [{"mode": "closed"}, {"modes": "exact"}, {"episode": "run-1"}])
def test_misspelt_arguments_are_refused(given: dict[str, Any]) -> None:
    """A typo must not make a test pass for nothing."""
    with pytest.raises(ValidationError) as refused:
        ReplayChatModel(**{"episode": RUN, **given})
    assert "You help" not in str(refused.value)


def test_no_text_of_the_trace_is_in_what_tracers_are_sent_of_the_model() -> None:
    """LangChain hands a model's representation to every tracer, with every call."""
    model = ReplayChatModel(episode=RUN, tariffs=SONNET)
    assert "canary" not in repr(model)
    assert "canary" not in repr(model._serialized)


def test_a_cache_of_langchain_keeps_runs_apart() -> None:
    """The same prompt in two runs had two answers: a cache in the process must not mix them up."""
    first, second = (episode(says(text), name=text) for text in ("A", "B"))
    cache = InMemoryCache()
    answers = [ReplayChatModel(episode=run, cache=cache).invoke(asked(run, 0)).content for run in (first, second)]
    assert answers == ["A", "B"]


def test_the_name_of_a_run_cannot_draw_on_the_terminal() -> None:
    """An id out of a trace is shown without its control characters."""
    run = replace(RUN, id="run\x1b[2J\n1")
    with pytest.raises(ReplayMismatch) as refused:
        ReplayChatModel(episode=run).invoke("Hi")
    assert "\x1b" not in str(refused.value)
