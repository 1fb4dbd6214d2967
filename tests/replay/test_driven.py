"""Recorded runs in a real LangGraph graph: its ledger says what the arithmetic replay says, and its limits stop there.

Every request of the graph is compared by its hash with the one that the arithmetic replay sent.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.tracers.langchain import wait_for_all_tracers
from langsmith import tracing_context
from langsmith.utils import get_env_var

from langchain_agentcost import Budget, CircuitBreaker, meter_costs
from langchain_agentcost.errors import ReplayError, ReplayMismatch
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.replay import Call, Episode, Fidelity, Session, Tariffs, replay, stage
from langchain_agentcost.replay.driven import drive
from langchain_agentcost.replay.episode import NOTHING, Piece, assemble
from langchain_agentcost.replay.request import Decision, Request, Stopped
from langchain_agentcost.replay.script import Turn
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategies import STRATEGIES
from langchain_agentcost.replay.strategies.limits import Held
from langchain_agentcost.replay.strategy import Limit, Scene
from langchain_agentcost.replay.verify import both, compare, verify
from langchain_agentcost.testing import LangSmithCollector
from tests.replay.made import SONNET, counted, episode, says, scene, schemas, strategy, uses

LONG = '{ "rows": [ ' + ", ".join(f'"word {number}"' for number in range(1_500))
LONG += "".join(f', "item-{number:06}"' for number in range(200)) + " ] }"  # more names than a stub lists

WORK = episode(
    uses("look_up", LONG, key="a"),
    *(uses("search", f"{number} {LONG}", query=f"q{number}") for number in range(15)),
    uses("write", "no disk", failed=True, row="item-000150"),
    says("Shall I go on?", then="Yes."),
    says("Done.", then="Thanks."),
    says("Bye."),
    system="rule " * 1_500,
    tools=schemas("look_up", "search", "write", "never_used"),
)

COMBINED = (
    "mask_batched+minify",
    "truncate:tokens=300+breakers",
    "limits:preset=coding+truncate:tokens=300",  # limits see what is really sent, wherever they stand
    "summarize:above=8000:keep=4:break_even=no+breakers",
)


@pytest.mark.parametrize("name", [*STRATEGIES, *COMBINED])
def test_a_real_graph_is_billed_what_the_arithmetic_says(name: str) -> None:
    """Calls, tokens, cache reads, nano-dollars, the strategy's own calls: the ledger has the same, call by call."""
    pair = both(scene(WORK), strategy(name))
    assert pair.difference is None
    assert len(pair.driven.calls) == pair.replayed.calls > 0


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("model", ["gpt-4.1", "deepseek-chat", "gemini-2.5-pro", "gpt-oss-120b"])
def test_so_it_is_whatever_the_provider_caches(model: str, warm: bool) -> None:  # a parameter
    """Free writes, steps of the cache, no cache at all; and a cache that is warm when the run starts."""
    pair = both(scene(WORK, tariffs=Tariffs(model=model)), strategy("mask_batched"), warm=warm)
    assert pair.difference is None
    assert pair.driven.nano == pair.replayed.on_nano > 0


def test_what_providers_counted_is_what_the_ledger_has() -> None:
    """Recorded counts are shared out among the messages, and come out again in the real graph."""
    run = episode(uses("look_up", "found", recorded=counted(2_345)), says("Yes.", recorded=counted(3_456, 77)))
    pair = both(scene(run), strategy("none"))
    assert [booked.usage.input_tokens for booked in pair.driven.calls] == [2_345, 3_456]
    assert pair.driven.calls[1].usage.output_tokens == 77
    assert pair.difference is None


def test_calls_of_several_models_have_each_their_price() -> None:
    """A run whose calls were answered by different models is billed call by call."""
    run = episode(
        says("Yes.", then="Sure?", recorded=counted(3_000, model="gpt-4.1")),
        says("No.", then="Oh.", recorded=counted(3_100, model="gpt-4.1-mini")),
        says("Well.", recorded=counted(3_200, model="gpt-4.1")),
        provider="openai",
    )
    for name in ("none", "route_short"):
        assert both(scene(run, tariffs=Tariffs()), strategy(name)).difference is None


@pytest.mark.parametrize("name", ["summarize:above=8000:keep=4:break_even=no", "reference"])
def test_a_strategy_that_calls_a_model_itself_pays_in_the_graph(name: str) -> None:
    """Summaries and fetches are real calls before the model's, booked apart, with what they read from the cache."""
    pair = both(scene(WORK), strategy(name))
    assert len(pair.driven.overhead) == pair.replayed.overhead_calls > 0
    assert pair.difference is None


def test_routed_calls_go_to_a_model_of_another_price() -> None:
    """The ledger prices them by the cheaper model's card."""
    plain, routed = (both(scene(WORK), strategy(name)).driven for name in ("none", "route_short:to=1/10:share=1"))
    assert routed.nano * 9 < plain.nano


LOOP = episode(*(uses("look_up", "nothing", key="a") for _ in range(20)), says("I give up."))
FAILING = episode(*(uses("look_up", f"error {n}", failed=True, key=f"k{n}") for n in range(20)), says("I give up."))
SAME_FAILURE = episode(*(uses("run", f"exit {n}", failed=True, cmd="make") for n in range(7)), says("Hm."), uses("run"))
TALK = episode(*(says("Please wait.", then="ok") for _ in range(20)))


@pytest.mark.parametrize(
    ("run", "why", "calls"), [(LOOP, "identical_calls", 8), (FAILING, "tool_errors", 8), (TALK, "no_progress", 9)]
)
def test_a_real_breaker_stops_the_real_graph_where_the_arithmetic_says(run: Episode, why: str, calls: int) -> None:
    """The same calls are made, and the same breaker trips."""
    pair = both(scene(run), strategy("breakers"))
    assert (pair.driven.stopped, len(pair.driven.calls)) == (why, calls)
    assert pair.difference is None


@dataclass(frozen=True)
class Under:
    """Holds a run to limits of the test's own."""

    name: ClassVar[str] = "under"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = True

    held: tuple[Limit, ...]

    def limits(self) -> Sequence[Limit]:
        """Give the limits."""
        return self.held

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Held(scene, self.held)


def test_a_failure_that_reads_differently_is_another_result_to_both() -> None:
    """The same command that fails in a new way each time is no repetition."""
    pair = both(scene(SAME_FAILURE), Under((CircuitBreaker.identical_calls(4, warn=None),)))
    assert pair.difference is None
    assert pair.driven.stopped is None


@pytest.mark.parametrize(
    ("held", "why", "calls"),
    [
        (Budget(steps=5, per="run"), "budget", 5),
        (Budget(tool_calls=3, per="run"), "budget", 4),
        (Budget(steps=5, per="run", on_limit="drain"), "budget", 5),
        (Budget(steps=5, per="run", on_limit="interrupt"), "budget", 5),
        (Budget(steps=5, per="run", on_limit="warn"), None, 21),
        (CircuitBreaker.identical_calls(4, on_trip="drain", warn=None), "identical_calls", 5),
        (CircuitBreaker.identical_calls(4, on_trip="interrupt", warn=None), "identical_calls", 4),
        (CircuitBreaker.identical_calls(4, on_trip="warn", warn=None), None, 21),
        (CircuitBreaker.context_growth(1.0001, floor_tokens=10, warn=None), "context_growth", 1),
    ],
)
def test_every_action_ends_the_real_run_where_the_arithmetic_ends_it(held: Limit, why: str | None, calls: int) -> None:
    """Raising, draining, asking a person and warning, by budgets of counts and by breakers."""
    pair = both(scene(LOOP), Under((held,)))
    assert pair.difference is None
    assert (pair.driven.stopped, len(pair.driven.calls)) == (why, calls)


def test_a_real_budget_of_tokens_may_stop_a_run_earlier_and_that_is_told_apart() -> None:
    """The meter counts a prompt with a margin, the arithmetic takes the recorded count: until then all is equal."""
    recorded = scene(WORK).sizes.tokens(Toolset(WORK.tools), WORK.calls[9].messages)
    pair = both(scene(WORK), Under((Budget(total_tokens=recorded + 50, per="step"),)))
    assert pair.apart == len(pair.driven.calls) - pair.replayed.calls < 0
    assert pair.difference is None
    assert pair.driven.stopped == pair.replayed.stopped == "budget"


def test_a_real_budget_stops_a_run_later_where_another_provider_counted_more() -> None:
    """Priced as a model whose tokenizer finds fewer tokens than the recorded provider's: that is told apart too."""
    turns = [uses("look_up", "found", n=n, recorded=counted(tokens)) for n, tokens in enumerate((1_000, 9_000, 9_100))]
    run = scene(episode(*turns, says("Done.", recorded=counted(9_200))), tariffs=Tariffs(model="gpt-4.1"))
    under = Under((Budget(input_tokens=6_000, per="step"),))
    pair = both(run, under)
    assert (pair.difference, pair.apart, pair.replayed.stopped) == (None, 1, "budget")
    [_, checked] = verify([run.episode], [under], tariffs=run.tariffs)
    assert (checked.earlier, checked.later, checked.differences) == (0, 1, [])


def test_a_breaker_that_stops_a_run_at_another_call_is_a_difference() -> None:
    """Only budgets may differ: where a real breaker stops nothing that the arithmetic one stops, it is said."""
    pair = both(scene(LOOP), _Other((CircuitBreaker.identical_calls(4, warn=None),)))
    assert pair.difference is not None
    assert "calls 4 by arithmetic, 8 in the graph" in pair.difference


class _Other(Under):
    """Says that it holds a run to other limits than it does."""

    def limits(self) -> Sequence[Limit]:
        """Give others."""
        return CircuitBreaker.defaults()


@dataclass(frozen=True)
class Ends:
    """Ends a run before a call by itself."""

    name: ClassVar[str] = "ends"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Ending(scene)


class _Ending(Session):
    def before(self, call: Call, request: Request) -> Decision:
        """End before the fourth message."""
        return Stopped("had enough") if len(request.messages) > 4 else request


def test_a_strategy_may_end_a_run_by_itself() -> None:
    """What is not the meter's to stop is stopped before the model's node."""
    pair = both(scene(LOOP), Ends())
    assert pair.difference is None
    assert (pair.driven.stopped, len(pair.driven.calls)) == ("had enough", 2)


def test_a_served_call_is_not_made() -> None:
    """What another task has asked before is answered by a cache: no model is called, the run goes on."""
    first = scene(TALK)
    memory: dict[str, Any] = {}
    both(replace(first, memory=memory), strategy("response_cache"))
    assert memory == {}
    strategy("response_cache").begin(replace(first, memory=memory))
    run = strategy("response_cache").begin(replace(first, memory=memory))
    run.before(TALK.calls[0], Request(Toolset(TALK.tools), TALK.calls[0].messages))
    pair = both(scene(replace(TALK, task="task-2"), memory=memory), strategy("response_cache"))
    assert pair.difference is None
    assert (pair.driven.served, len(pair.driven.calls)) == (1, 19)


def test_what_a_strategy_remembers_is_left_as_it_was() -> None:
    """Comparing must not teach: the replay that follows remembers what it would have."""
    memory: dict[str, Any] = {"used": {"search"}, "seen": 30}
    both(scene(WORK, memory=memory), strategy("prune_tools"))
    assert memory == {"used": {"search"}, "seen": 30}


TAMPERED: dict[str, Callable[[Request], Request]] = {
    "message 1 of": lambda r: r._replace(messages=(SystemMessage("rule! " * 1_500), *r.messages[1:])),
    "where 1 are expected": lambda r: r._replace(messages=r.messages[:1]),
    "tools come in another order": lambda r: r._replace(tools=Toolset(tuple(reversed(r.tools.schemas)))),
    "what stands before the tools": lambda r: r._replace(tools=Toolset(r.tools.schemas, "It is noon.")),
    "another model is asked": lambda r: r._replace(model="gpt-4.1"),
}


@pytest.mark.parametrize("said", TAMPERED)
def test_a_request_that_the_arithmetic_did_not_send_is_found(said: str) -> None:
    """If one of the two replays sent anything else than the other, driving would fail and say where."""
    turns = [Turn(call, Request(Toolset(WORK.tools), call.messages)) for call in WORK.calls]
    turns[2] = Turn(turns[2].call, TAMPERED[said](turns[2].request))
    with pytest.raises(ReplayMismatch, match=rf"\(call 3 of \d+\) .*{said}"):
        drive(scene(WORK), strategy("none"), turns=turns)


@dataclass(frozen=True)
class Forgets:
    """Sends something else each time that it is asked: its two replays cannot agree."""

    name: ClassVar[str] = "forgets"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True
    runs: ClassVar[list[int]] = []

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        self.runs.append(1)
        return _Forgetting(scene, f"I am number {len(self.runs)}.")


class _Forgetting(Session):
    def __init__(self, scene: Scene, said: str) -> None:
        super().__init__(scene)
        self._said = HumanMessage(said)

    def before(self, call: Call, request: Request) -> Request:
        """Add a message."""
        return request._replace(messages=(*request.messages, self._said))


def test_two_replays_that_disagree_are_told_apart_by_call_and_message() -> None:
    """A difference is a sentence with the place of the first one, and the run's name."""
    [_, checked] = verify([LOOP], [Forgets()], tariffs=SONNET)
    assert (checked.strategy, checked.runs, checked.calls) == ("forgets", 1, 0)
    [said] = checked.differences
    assert said.startswith("run-1: ")
    assert "(call 1 of 21) is not what is to be sent: message 3 of 3 (human) has other content" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"calls": 3}, "calls 3 by arithmetic, 21 in the graph"),
        ({"read_tokens": 1}, "cached tokens 1 by arithmetic, 0 in the graph"),
        ({"on_nano": 7}, "nano-USD 7 by arithmetic"),
        ({"stopped": "budget"}, "stopped budget by arithmetic, None in the graph"),
        ({"served": 2}, "served calls 2 by arithmetic, 0 in the graph"),
        ({"output_tokens": 0}, "output tokens 0 by arithmetic"),
        ({"overhead_nano": 5}, "their nano-USD 5 by arithmetic, 0 in the graph"),
    ],
)
def test_every_figure_is_compared(changed: dict[str, Any], said: str) -> None:
    """Whichever figure is off, the comparison names it with both values."""
    pair = both(scene(LOOP), strategy("none"))
    assert compare(pair.replayed, pair.driven) is None
    found = compare(replace(pair.replayed, **changed), pair.driven)
    assert found is not None
    assert said in found


def conversation(*messages: BaseMessage, answered: tuple[int, ...]) -> Episode:
    """A run of any messages; the answers of its model are at these places."""
    return Episode("run-1", assemble(messages, dict.fromkeys(answered, NOTHING)), tools=schemas("a"))


def asks(*ids: str | None, tool: str = "a", **args: Any) -> AIMessage:
    """An answer that asks for a tool once for each id."""
    return AIMessage("", tool_calls=[ToolCall(name=tool, args=args, id=key) for key in ids])


def gives(key: str, content: Any = "ok", **fields: Any) -> ToolMessage:
    """A tool's result."""
    return ToolMessage(content, tool_call_id=key, **fields)


START, END = HumanMessage("Go."), AIMessage("Done.")

SHAPES: dict[str, Episode] = {
    "parallel calls": conversation(START, asks("1", "2"), gives("1"), gives("2", "no"), END, answered=(1, 4)),
    "in another order": conversation(START, asks("1", "2"), gives("2"), gives("1"), END, answered=(1, 4)),
    "a missing result": conversation(START, asks("1", "2"), gives("2"), END, answered=(1, 3)),
    "no result at all": conversation(START, asks("1"), END, answered=(1, 2)),
    "a result without a call": conversation(START, asks("1"), gives("1"), gives("9"), END, answered=(1, 4)),
    "a call without an id": conversation(START, asks(None), gives(""), END, answered=(1, 3)),
    "an id twice": conversation(START, asks("1", "1"), gives("1"), gives("1", "x"), END, answered=(1, 4)),
    "user between results": conversation(
        START, asks("1", "2"), gives("1"), HumanMessage("Wait"), gives("2"), END, answered=(1, 5)
    ),
    "an answer that no model gave": conversation(START, END, START, AIMessage("Canned."), START, END, answered=(1, 5)),
    "a first answer that no model gave": conversation(AIMessage("Hi, canned."), START, END, answered=(2,)),
    "results at the end": conversation(START, asks("1"), gives("1"), answered=(1,)),
    "the same answer again": conversation(START, END, START, END, START, END, answered=(1, 3, 5)),
    "system in the middle": conversation(START, END, SystemMessage("Be brief."), START, END, answered=(1, 4)),
    "no prompt": conversation(END, answered=(0,)),
    "two answers in a row": conversation(START, END, AIMessage("And more."), answered=(1, 2)),
    "a prompt written anew": Episode(
        "run-1",
        (
            Call((START, asks("1"), gives("1")), 1, asks("1"), (gives("1"),)),
            Call((HumanMessage("In short: go."), END), 1, END),
            Call((START, asks("1"), gives("1"), END), 3, END),
        ),
    ),
    "hostile names": conversation(
        START,
        asks("1", tool="<script>\x1b[2J\n", self=1, config="c", run_manager="r", callbacks=[], tool_input="t"),
        gives("1", "\x00 {{x}} %s \u202e", name="../../etc"),
        END,
        answered=(1, 3),
    ),
    "odd contents": conversation(
        HumanMessage([{"type": "text", "text": "a"}, "b", {"type": "nobody knows", "x": [None, {"y": 1e400}]}]),
        asks("1", deep={"a": [{"b": [1, 2, {"c": None}]}]}, nan=float("nan"), big=2**80),
        gives("1", [{"type": "nobody knows"}, "text"]),
        gives("1", ""),
        AIMessage([{"type": "text", "text": "Done."}]),
        START,
        AIMessage(""),
        answered=(1, 4, 6),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_of_any_shape_are_made_as_they_were_recorded(shape: str) -> None:
    """Whatever the order of messages, missing results and hostile contents: the graph sends what was recorded."""
    run = SHAPES[shape]
    for name in ("none", "breakers", "minify"):
        pair = both(scene(run), strategy(name))
        assert pair.difference is None
        assert len(pair.driven.calls) == len(run.calls)


def test_the_trace_is_left_as_it_was() -> None:
    """LangGraph gives ids to the messages of its state: those of the trace are others."""
    before = [message.model_copy() for message in WORK.calls[0].history]
    both(scene(WORK), strategy("mask_sliding"))
    assert list(WORK.calls[0].history) == before
    assert {message.id for message in WORK.calls[0].history} == {None}


def test_two_runs_can_be_driven_at_once() -> None:
    """Threads do not get into each other's runs."""
    other = replace(LOOP, id="run-2")
    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(lambda run: both(scene(run), strategy("breakers")), [WORK, other, WORK, other]))
    assert [pair.difference for pair in pairs] == [None] * 4
    assert [pair.driven.stopped for pair in pairs] == [None, "identical_calls"] * 2


def test_nothing_of_it_is_traced_or_metered_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces are private: neither LangSmith nor a meter that is around sees them played."""
    with LangSmithCollector() as collector:
        for name, value in collector.environment().items():
            monkeypatch.setenv(name, value)
        environment: Any = get_env_var
        environment.cache_clear()
        try:
            with tracing_context(enabled=True, client=collector.client()), meter_costs() as around:
                drive(scene(LOOP), strategy("none"))
            wait_for_all_tracers()
            collector.client().flush()
        finally:
            monkeypatch.undo()
            environment.cache_clear()
        assert collector.runs() == {}
        assert around.report(by="model").total.calls == 0


def test_a_switch_that_makes_meters_deaf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kill switch on, a real meter could not confirm anything."""
    monkeypatch.setenv("AGENTCOST_MODE", "off")
    with pytest.raises(ReplayError, match="AGENTCOST_MODE=off switches meters off: unset it"):
        drive(scene(LOOP), strategy("none"))


def test_nothing_is_logged_or_told_of_limits_that_are_only_played(caplog: pytest.LogCaptureFixture) -> None:
    """Alerts are for runs that happen: a budget's own function is not called for a replayed one."""
    told: list[Alert] = []
    loop = CircuitBreaker.identical_calls(3, warn=None, on_trip=told.append)
    held = (Budget(steps=5, per="run", on_limit=told.append), loop)
    with caplog.at_level(logging.INFO, "langchain_agentcost"):
        both(scene(LOOP), Under(held))
    assert told == []
    assert caplog.records == []


def test_a_sample_of_every_benchmark_is_verified() -> None:
    """The first runs of each; those without texts or prices are left out, and memory is what it would be."""
    runs = [
        *(replace(LOOP, id=f"a{number}", benchmark="A") for number in range(4)),
        replace(LOOP, id="b0", benchmark="B"),
        replace(LOOP, id="c0", benchmark="C", marks={1: Piece(b"hash", 1)}),
    ]
    none, prune = verify(runs, "prune_tools:after=1", tariffs=SONNET, each=2)
    assert (none.strategy, none.runs, none.calls, none.differences) == ("none", 3, 63, [])
    assert (prune.runs, prune.earlier, prune.later, prune.differences) == (3, 0, 0, [])


def test_a_replay_says_how_many_of_its_runs_a_real_graph_confirmed() -> None:
    """`drive=1` makes the first run of every source and benchmark, under every strategy; the rest is arithmetic."""
    runs = [replace(LOOP, id=f"{source}{n}", source=source) for source in ("a", "b") for n in range(3)]
    driven, plain = (replay(runs, "breakers", tariffs=SONNET, drive=each) for each in (1, 0))
    assert [(row.strategy, row.verified) for row in driven.rows()] == [("none", 2), ("breakers", 2)]
    assert [row.verified for row in plain.rows()] == [0, 0]
    assert [row.usd for row in driven.rows()] == [row.usd for row in plain.rows()]


def test_a_replay_whose_graph_disagrees_is_no_result() -> None:
    """Which strategy and run it is, and what was not equal, is said in place of figures that nobody can believe."""
    with pytest.raises(ReplayMismatch, match=r"^forgets on run 'run-1': .* do not agree.*\(call 1 of 21\)"):
        replay([LOOP], [Forgets()], tariffs=SONNET, drive=1)


def test_a_run_that_a_real_budget_stops_earlier_is_not_called_confirmed() -> None:
    """It is no mismatch, and no confirmation."""
    recorded = scene(WORK).sizes.tokens(Toolset(WORK.tools), WORK.calls[9].messages)
    result = replay([WORK], [Under((Budget(total_tokens=recorded + 50, per="step"),))], tariffs=SONNET, drive=1)
    assert [row.verified for row in result.rows()] == [1, 0]


def test_a_tool_that_gives_something_else_is_found_even_where_it_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy is shown the recorded prompt only where the graph's state is that prompt."""
    monkeypatch.setattr(stage._PlayedTool, "_run", lambda self, **_: ToolMessage("?", tool_call_id="1", name="x"))
    pair = both(scene(WORK), strategy("mask_sliding:keep=0"))
    assert pair.difference is not None
    assert "The graph's state before call 2 is not what was recorded: message 4 of 4 (tool)" in pair.difference


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_command_line_drives_too(tmp_path: Path, jobs: str) -> None:
    """`replay --drive 1` leaves the number of confirmed runs in the JSON, and no log of limits that were played."""
    said: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    for number in range(10):
        asked = {"id": f"c{number}", "function": {"name": "look_up", "arguments": "{}"}}
        said += [{"role": "assistant", "tool_calls": [asked]}, {"role": "tool", "tool_call_id": f"c{number}"}]
    (tmp_path / "runs.jsonl").write_text(json.dumps({"id": "1", "messages": said}) + "\n")
    command = [sys.executable, "-m", "langchain_agentcost.cli", "replay", "runs.jsonl", "--strategy", "breakers"]
    command += ["--prices", "gpt-4.1", "--drive", "1", "--jobs", jobs, "--json", "out.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["strategy"], row["verified"], row["stopped"]) for row in rows] == [("none", 1, 0), ("breakers", 1, 1)]


def test_an_empty_run_has_nothing_to_make() -> None:
    """No call, no graph."""
    pair = both(scene(Episode("empty", (), model="gpt-4.1")), strategy("none"))
    assert (pair.difference, pair.driven.nano) == (None, 0)
