"""LangSmith exports: real traces, read back from a LangSmith on loopback, and the shapes that exports come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.tracers.langchain import LangChainTracer

from langchain_agentcost.replay import Episode, Faults, Tariffs, read_traces, replay
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.traces import langsmith
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel, LangSmithCollector
from langchain_agentcost.tokens import TokenCounter

Record = dict[str, Any]


@tool
def get_order(number: int) -> str:
    """Look up an order."""
    if number == 13:
        raise ValueError("the shop is closed")
    return f"order {number}: two lamps"


@tool
def cancel_order(number: int) -> str:
    """Cancel an order."""
    return f"order {number} cancelled"


def asks(tool_name: str, key: str, **args: Any) -> AIMessage:
    """An answer that asks for one tool."""
    return AIMessage("", tool_calls=[{"name": tool_name, "args": args, "id": key}])


@pytest.fixture(scope="module")
def world() -> Iterator[LangSmithCollector]:
    """A LangSmith on loopback."""
    with LangSmithCollector() as collector:
        yield collector


def traced(world: LangSmithCollector, run: Callable[[list[Any]], object]) -> list[Record]:
    """Run something with LangSmith's own tracer; its runs as the server keeps them, in the order of their start."""
    known = set(world.runs())
    client = world.client()
    tracer = LangChainTracer(client=client, project_name="shop")
    run([tracer])
    tracer.wait_for_futures()
    client.flush()
    found = [run for key, run in world.runs().items() if key not in known]
    return sorted((json.loads(json.dumps(run, default=str)) for run in found), key=lambda run: str(run["start_time"]))


def desk(callbacks: list[Any], answers: Sequence[AIMessage | str], counts: Sequence[int], **config: Any) -> None:
    """One request to a support desk, whose provider counts its prompts as told."""
    given = iter(counts)
    model = FakeMeteredChatModel(answers=answers, counts=lambda *_: FakeCounts(next(given), 12, cache_read_tokens=64))
    agent: Any = create_agent(model, [get_order, cancel_order], system_prompt="You work for a shop.", name="desk")
    agent.invoke({"messages": [("user", "Where is order 3?")]}, {"callbacks": callbacks, **config})


@pytest.fixture(scope="module")
def trace(world: LangSmithCollector) -> list[Record]:
    """A request with three model calls and two tools, of which one fails."""
    answers: list[AIMessage | str] = [
        asks("get_order", "c1", number=3),
        asks("cancel_order", "c2", number=3),
        "It is cancelled.",
    ]
    metadata = {"tenant": "acme", "session_id": "talk-1"}
    return traced(world, lambda handlers: desk(handlers, answers, [300, 340, 381], metadata=metadata))


def exported(folder: Path, runs: Sequence[Any]) -> Path:
    """The file that an export of these runs is."""
    path = folder / "export.jsonl"
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))
    return path


def read(folder: Path, runs: Sequence[Any]) -> tuple[list[Episode], Faults]:
    """What is read of an export."""
    faults = Faults()
    return list(read_traces([exported(folder, runs)], faults)), faults


def one(folder: Path, runs: Sequence[Any]) -> Episode:
    """The only trace of an export, without a fault."""
    found, faults = read(folder, runs)
    assert (len(found), faults.named) == (1, [])
    return found[0]


def model_runs(runs: Sequence[Record]) -> list[Record]:
    """The model runs among them."""
    return [run for run in runs if run["run_type"] == "llm"]


def test_trace_becomes_an_episode(trace: list[Record], tmp_path: Path) -> None:
    """A real agent's trace has its calls, tools, labels, model and provider."""
    episode = one(tmp_path, trace)
    assert episode.id == trace[0]["trace_id"]
    assert [call.length for call in episode.calls] == [2, 4, 6]
    assert [message.type for message in episode.calls[2].messages] == ["system", "human", "ai", "tool", "ai", "tool"]
    assert episode.calls[2].answer.text == "It is cancelled."
    assert [schema["function"]["name"] for schema in episode.tools] == ["get_order", "cancel_order"]
    assert (episode.source, episode.benchmark, episode.task) == ("acme", "desk", "talk-1")
    assert (episode.model, episode.provider) == ("gpt-5-mini-2025-08-07", "openai")
    assert episode.success is None


def test_recurring_messages_are_the_same_objects(trace: list[Record], tmp_path: Path) -> None:
    """Calls that go on from each other share one history, and an answer is the message that is sent again."""
    first, second, third = one(tmp_path, trace).calls
    assert first.history is second.history is third.history
    assert second.messages[2] is first.answer


def test_recorded_usage_comes_out_again(trace: list[Record], tmp_path: Path) -> None:
    """The prompts add up to what the provider counted, call by call, and its cache reads are known."""
    episode = one(tmp_path, trace)
    sizes = Sizes(episode, TokenCounter())
    tools = sizes.of_tools(Toolset(episode.tools)).tokens
    assert [tools + sum(sizes.of(m).tokens for m in call.messages) for call in episode.calls] == [300, 340, 381]
    assert [
        (c.recorded.knows_cache, c.recorded.usage and c.recorded.usage.cache_read_tokens) for c in episode.calls
    ] == [(True, 64)] * 3
    assert all(call.recorded.at_s is not None and call.recorded.at_s > 1.7e9 for call in episode.calls)


def test_order_of_the_lines_does_not_matter(trace: list[Record], tmp_path: Path) -> None:
    """An export with the latest run first, as a query gives it, is read as one with the first run first."""
    forwards, backwards = one(tmp_path, trace), one(tmp_path, trace[::-1])
    assert [[m.content for m in c.messages] for c in forwards.calls] == [
        [m.content for m in c.messages] for c in backwards.calls
    ]
    assert [c.length for c in backwards.calls] == [2, 4, 6]


def test_tool_results_belong_to_the_answer(trace: list[Record], tmp_path: Path) -> None:
    """What a tool gave is the result of the call whose answer asked for it."""
    results = [[result.content for result in call.results] for call in one(tmp_path, trace).calls]
    assert results == [["order 3: two lamps"], ["order 3 cancelled"], []]


def test_result_that_no_prompt_has_comes_from_the_tool_run(trace: list[Record], tmp_path: Path) -> None:
    """The results of the last answer are read from the tools' own runs, which were never sent to a model again."""
    last = model_runs(trace)[-1]
    cut = [run for run in trace if run is not last]
    assert [r.content for r in one(tmp_path, cut).calls[-1].results] == ["order 3 cancelled"]


def test_failed_tool_is_a_failure(world: LangSmithCollector, tmp_path: Path) -> None:
    """A tool run that ends in an error makes a result of status error, and a root run that fails no success."""

    def failing(handlers: list[Any]) -> None:
        with pytest.raises(ValueError, match="closed"):
            desk(handlers, [asks("get_order", "c1", number=13)], [300])

    episode = one(tmp_path, traced(world, failing))
    [result] = episode.calls[0].results
    assert result.status == "error"
    assert "closed" in str(result.content)
    assert episode.success is False


@pytest.mark.parametrize(
    ("fields", "success"),
    [
        ({"feedback_stats": {"correctness": {"n": 1, "avg": 1.0}}}, True),
        ({"feedback_stats": {"correctness": {"n": 2, "avg": 0.25}}}, False),
        ({"feedback_stats": {"helpfulness": {"n": 1, "avg": 1.0}}}, None),
        ({"feedback_stats": {"success": {"n": 1, "avg": None}}}, None),
        ({"feedback_stats": {"success": {"n": 1, "avg": float("nan")}}}, None),
        ({"feedback_stats": {"success": {"avg": 1.0}}, "error": "late"}, True),
        ({"error": "GraphInterrupt((Interrupt(value='sure?'),))"}, None),
        ({"error": "ValueError('no')"}, False),
    ],
)
def test_success_is_what_feedback_says(
    trace: list[Record], tmp_path: Path, fields: Record, success: bool | None
) -> None:
    """Feedback that is about success decides, else an error that is no pause; anything else leaves it open."""
    assert one(tmp_path, [{**trace[0], **fields}, *trace[1:]]).success is success


def test_shape_of_a_query(trace: list[Record], tmp_path: Path) -> None:
    """Runs as the second version of the API gives them: types in capitals, ids of all parents, metadata apart."""
    queried = []
    for run in trace:
        extra = {key: value for key, value in run["extra"].items() if key != "metadata"}
        metadata = {key: value for key, value in run["extra"]["metadata"].items() if key != "usage_metadata"}
        dotted = run["dotted_order"].split(".")
        queried.append(
            {
                **{key: run.get(key) for key in ("id", "name", "trace_id", "dotted_order", "start_time", "end_time")},
                **{key: run.get(key) for key in ("inputs", "outputs", "error")},
                "run_type": run["run_type"].upper(),
                "parent_run_ids": [part.partition("Z")[2] for part in dotted[:-1]],
                "extra": extra,
                "metadata": metadata,
                "project_id": "p-1",
                "is_root": len(dotted) == 1,
                "total_cost": 0.000125,
                "reference_example_id": "example-7" if len(dotted) == 1 else None,
            }
        )
    episode = one(tmp_path, queried)
    assert [call.length for call in episode.calls] == [2, 4, 6]
    assert [call.recorded.cost_nano for call in episode.calls] == [125_000] * 3
    assert episode.task == "example-7"


def test_counts_of_the_run_itself(trace: list[Record], tmp_path: Path) -> None:
    """Where the answer carries no usage, the run's own counts and the details that the API gives are read."""
    told = []
    for run in json.loads(json.dumps(trace)):
        if run["run_type"] == "llm":
            run["extra"]["metadata"].pop("usage_metadata")
            run["outputs"]["generations"][0][0]["message"]["kwargs"].pop("usage_metadata")
            run |= {"prompt_tokens": 500, "completion_tokens": 9, "prompt_token_details": {"raw": {"cache_read": 32}}}
        told.append(run)
    [usage, *_] = [call.recorded.usage for call in one(tmp_path, told).calls]
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (500, 9, 32)


def test_sub_agent_has_a_history_of_its_own(world: LangSmithCollector, tmp_path: Path) -> None:
    """A prompt that does not go on from the one before begins another history; the first one is gone on with."""
    helper: Any = create_agent(FakeMeteredChatModel(answers=["Lamps are light."]), system_prompt="You know lamps.")

    @tool
    def ask_expert(question: str) -> str:
        """Ask an expert."""
        return str(helper.invoke({"messages": [("user", question)]})["messages"][-1].text)

    def run(handlers: list[Any]) -> None:
        answers: list[AIMessage | str] = [asks("ask_expert", "c1", question="How heavy?"), "They are light."]
        model = FakeMeteredChatModel(answers=answers)
        agent: Any = create_agent(model, [ask_expert], system_prompt="You work for a shop.", name="desk")
        agent.invoke({"messages": [("user", "How heavy are lamps?")]}, {"callbacks": handlers})

    first, inner, last = one(tmp_path, traced(world, run)).calls
    assert first.history is last.history
    assert inner.history is not first.history
    assert [message.content for message in inner.messages] == ["You know lamps.", "How heavy?"]
    assert last.length == 4


def test_trimmed_history_is_another_one(trace: list[Record], tmp_path: Path) -> None:
    """A call whose old messages were cut has a history of its own, with the same objects in it."""
    cut = json.loads(json.dumps(trace))
    prompt = model_runs(cut)[2]["inputs"]["messages"][0]
    del prompt[2:4]
    first, second, third = one(tmp_path, cut).calls
    assert first.history is second.history
    assert third.history is not second.history
    assert third.messages[0] is second.messages[0]
    assert third.length == 4


def test_wrapping_model_run_is_no_call(trace: list[Record], tmp_path: Path) -> None:
    """A model run that only passes the call on to another model below it is not billed twice."""
    inner = model_runs(trace)[0]
    order = f"{inner['dotted_order']}.20990101T000000000000Zinner"
    below = {**inner, "id": "inner", "parent_run_id": inner["id"], "dotted_order": order}
    assert len(one(tmp_path, [*trace, below]).calls) == 3


def test_cached_answer_is_no_call(world: LangSmithCollector, tmp_path: Path) -> None:
    """An answer from LangChain's own cache was sent to nobody, and is no call; the one that filled it is."""

    def run(handlers: list[Any]) -> None:
        model = FakeMeteredChatModel(cache=InMemoryCache())
        for _ in range(2):
            model.invoke("Hi", {"callbacks": handlers})

    found, faults = read(tmp_path, traced(world, run))
    assert [len(episode.calls) for episode in found] == [1]
    assert [fault.why for fault in faults.named] == ["no answer of a model in it"]


def test_clients_of_openai(tmp_path: Path) -> None:
    """Runs that OpenAI's wrapped client traced: messages, choices and usage in OpenAI's form."""
    run = {
        "id": "r1",
        "trace_id": "r1",
        "run_type": "llm",
        "name": "ChatOpenAI",
        "start_time": "2026-01-01T00:00:00",
        "inputs": {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "tools": [{"type": "function", "function": {"name": "look"}}],
        },
        "outputs": {
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": '{"at": "it"}'}}],
                    }
                }
            ],
            "usage": {"prompt_tokens": 40, "completion_tokens": 5},
        },
        "extra": {"metadata": {"ls_model_name": "gpt-4o", "ls_provider": "openai"}},
    }
    episode = one(tmp_path, [run])
    [call] = episode.calls
    assert call.answer.tool_calls[0]["args"] == {"at": "it"}
    assert call.recorded.usage is not None
    assert call.recorded.usage.input_tokens == 40
    assert (episode.model, len(episode.tools), episode.benchmark) == ("gpt-4o", 1, "ChatOpenAI")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"prompts": ["Hi"]}, {"generations": [[{"text": "Ho"}]]}),
        ({"messages": [{"type": "human", "content": "Hi"}]}, {"message": {"type": "ai", "content": "Ho"}}),
        ({"messages": [["user", "Hi"]]}, {"messages": [{"role": "assistant", "content": "Ho"}]}),
        ({"messages": [{"type": "human", "data": {"content": "Hi"}}]}, {"role": "assistant", "content": "Ho"}),
        ({"messages": "Hi"}, {"choices": [{"text": "Ho"}]}),
    ],
)
def test_other_shapes(tmp_path: Path, inputs: Record, outputs: Record) -> None:
    """Text models, plain dictionaries and messages among the outputs are read as what they say."""
    run = {"id": "r1", "run_type": "llm", "inputs": inputs, "outputs": outputs}
    [call] = one(tmp_path, [run]).calls
    assert [(message.type, message.content) for message in call.messages] == [("human", "Hi")]
    assert call.answer.content == "Ho"


def test_run_without_an_answer_is_a_fault(trace: list[Record], tmp_path: Path) -> None:
    """A model run that failed or is pending is left out, and said to be."""
    failed = {**model_runs(trace)[1], "outputs": None, "error": "RateLimitError"}
    found, faults = read(tmp_path, [failed if run["id"] == failed["id"] else run for run in trace])
    assert [len(episode.calls) for episode in found] == [2]
    assert [fault.why for fault in faults.named] == [f"run {failed['id']} is left out: it failed and has no answer"]


def test_export_without_inputs_is_a_fault(trace: list[Record], tmp_path: Path) -> None:
    """Model runs whose inputs were not selected are left out, and what to select is said."""
    found, faults = read(tmp_path, [{key: value for key, value in run.items() if key != "inputs"} for run in trace])
    assert found == []
    assert faults.count == 4
    assert "select the inputs for the export" in faults.named[0].why


def test_export_without_parents(trace: list[Record], tmp_path: Path) -> None:
    """Where runs do not say what is above them, only the one that the trace is named after is its root."""
    parents = ("parent_run_id", "parent_run_ids", "dotted_order")
    episode = one(tmp_path, [{key: value for key, value in run.items() if key not in parents} for run in trace])
    assert (episode.benchmark, len(episode.calls)) == ("desk", 3)


def test_duplicate_run_is_a_fault(trace: list[Record], tmp_path: Path) -> None:
    """A run that is in the export twice is one call, and the second line is named."""
    found, faults = read(tmp_path, [*trace, model_runs(trace)[0]])
    assert [len(episode.calls) for episode in found] == [3]
    assert faults.named[0].place == f"export.jsonl:{len(trace) + 1}"


def test_late_run_of_a_complete_trace_is_a_fault(
    trace: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that comes after its trace was read out is named, with what to do, and changes nothing."""
    monkeypatch.setattr(langsmith, "Gathering", lambda make: Gathering(make, most=1))
    other = [{**run, "trace_id": "t2", "id": f"x{run['id']}"} for run in model_runs(trace)]
    late = model_runs(trace)[2]
    found, faults = read(tmp_path, [*(run for run in trace if run is not late), *other, late])
    assert [len(episode.calls) for episode in found] == [2, 3]
    assert [str(fault) for fault in faults.named] == [
        f"export.jsonl:{len(trace) + 3}: trace {trace[0]['trace_id']} was complete by then: "
        "sort the export by start_time or trace_id"
    ]


def test_interleaved_traces_stay_apart(trace: list[Record], tmp_path: Path) -> None:
    """Runs of two traces that take turns become two episodes with three calls each."""
    other = [{**run, "trace_id": "t2", "id": f"x{run['id']}", "dotted_order": ""} for run in trace]
    mixed = [run for pair in zip(trace, other, strict=True) for run in pair]
    found, faults = read(tmp_path, mixed)
    assert ([len(episode.calls) for episode in found], faults.count) == ([3, 3], 0)


def test_replayed(trace: list[Record], tmp_path: Path) -> None:
    """A trace goes through every default strategy and costs what its tokens cost."""
    result = replay([one(tmp_path, trace)], tariffs=Tariffs(model="claude-sonnet-4-5"))
    recorded = next(row for row in result.rows() if row.strategy == "none")
    assert (recorded.benchmark_set, recorded.calls, recorded.input_tokens) == ("desk", 3, 1021)
    assert float(recorded.usd_cache_off) == pytest.approx((1021 * 3 + 36 * 15) / 1e6)
