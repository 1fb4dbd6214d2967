"""The package's own ledger as runs: a real meter on real graphs, and what a replay makes of what it kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_agentcost import CostMeter
from langchain_agentcost.attribution import Attribution
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.ledger import Entry, Ledger, MemoryLedger
from langchain_agentcost.limits.store import open_store
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.replay import STRATEGIES, Episode, Faults, read_traces, replay, strategies
from langchain_agentcost.replay.sizes import Sizes
from langchain_agentcost.replay.traces import ledger as traces
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

KEY = b"sixteen bytes or more"
MODEL = "claude-sonnet-4-5"
PROMPTS = (2_000, 2_300, 2_450)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@tool
def get_order(number: int) -> str:
    """Look up an order, with all that is known of it."""
    return f"order {number}: two lamps, blue, to be sent to the shop in the harbour street on Monday"


def desk(meter: CostMeter, number: int = 3, **config: Any) -> None:
    """One request to a support desk with three model calls, whose prompts have `PROMPTS` tokens."""
    asks = [AIMessage("", tool_calls=[{"name": "get_order", "args": {"number": n}, "id": f"c{n}"}]) for n in (1, 2)]
    counts = iter(PROMPTS)
    model = FakeMeteredChatModel(
        answers=[*asks, "Two lamps."],
        usage="anthropic",
        model=MODEL,
        counts=lambda *_: FakeCounts(next(counts), 30, cache_read_tokens=1_024),
    )
    agent: Any = create_agent(model, [get_order], system_prompt="You work for a shop.", name="desk")
    agent.invoke({"messages": [("user", f"Where is order {number}?")]}, {"callbacks": meter.callbacks, **config})


def read(ledger: Ledger, **options: Any) -> list[Episode]:
    """What is read of a ledger, without a fault."""
    faults = Faults()
    found = list(traces.episodes(ledger, faults=faults, **options))
    assert faults.named == []
    return found


def prompts(episode: Episode) -> list[int]:
    """The size of each call's prompt."""
    sizes = Sizes(episode, TokenCounter())
    return [sum(sizes.of(message).tokens for message in call.messages) for call in episode.calls]


def test_metered_run_becomes_an_episode() -> None:
    """A metered run has its calls, in one history, and its recorded prompts come out again to the token."""
    with CostMeter(fingerprint_key=KEY) as meter:
        desk(meter, metadata={"tenant": "acme", "session_id": "talk-1"})
        [episode] = read(meter.ledger)
        entries = list(meter.ledger.entries({"kind": "llm"}))
    assert prompts(episode) == list(PROMPTS)
    assert len({id(call.history) for call in episode.calls}) == 1
    assert (episode.source, episode.benchmark, episode.task) == ("acme", "desk", "talk-1")
    assert (episode.model, episode.provider, episode.readable) == (entries[0].attribution.model, "anthropic", False)
    assert [call.recorded.cost_nano for call in episode.calls] == [
        entry.cost and entry.cost.total_nano for entry in entries
    ]
    assert [call.recorded.usage for call in episode.calls] == [entry.usage for entry in entries]
    assert all(call.recorded.knows_cache for call in episode.calls)


def test_ledger_is_replayed(tmp_path: Path) -> None:
    """A ledger's file is replayed: its tokens are billed, the prompt cache is simulated, texts are not read."""
    path = tmp_path / "costs.db"
    with CostMeter(f"sqlite:///{path}", fingerprint_key=KEY) as meter:
        for number in range(3):
            desk(meter, number)
    result = replay(read_traces([f"sqlite:///{path}"], Faults()), strategies(["prompt_cache", "mask_sliding"]))
    rows = {row.strategy: row for row in result.rows()}
    assert set(rows) == {"none", "prompt_cache"}
    assert result.unread == 3
    assert (rows["none"].calls, rows["none"].input_tokens) == (9, 3 * sum(PROMPTS))
    # the second call of a run finds the first one's prompt in the cache, the third the second one's
    read_tokens = PROMPTS[0] + PROMPTS[1]
    assert rows["none"].cache_read_pct == pytest.approx(100 * read_tokens / sum(PROMPTS))
    assert rows["none"].usd_cache_off == Decimal("0.000003") * 3 * sum(PROMPTS) + Decimal("0.000015") * 9 * 30


def test_every_strategy_that_reads_no_text_takes_a_ledger() -> None:
    """All strategies that need no texts replay a run of which only hashes are known; the others leave it out."""
    with CostMeter(fingerprint_key=KEY) as meter:
        desk(meter)
        result = replay(traces.episodes(meter.ledger), ",".join(STRATEGIES))
    blind = {name for name, kind in STRATEGIES.items() if not kind.needs_text}
    assert {row.strategy for row in result.rows()} == blind


def test_ledger_in_use_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that a meter still writes to is read, by a relative path too, and stays usable."""
    monkeypatch.chdir(tmp_path)
    with CostMeter("sqlite:///costs.db", fingerprint_key=KEY) as meter:
        desk(meter)
        assert len(list(read_traces(["costs.db"], Faults()))) == 1
        desk(meter)
        assert len(list(read_traces(["sqlite:///costs.db"], Faults()))) == 2


def test_without_fingerprints_the_runs_are_faults() -> None:
    """A run that was metered without fingerprints is named, with what to do, and left out."""
    with CostMeter() as meter:
        desk(meter)
        faults = Faults()
        assert list(traces.episodes(meter.ledger, faults=faults)) == []
    [fault] = faults.named
    assert fault.why.startswith("3 of its 3 calls have no fingerprints")
    assert "CostMeter(fingerprint_key=" in fault.why


def test_many_runs_without_fingerprints_are_one_fault() -> None:
    """The same reason is told once, with how many runs it holds for, however early the reading ends."""
    with CostMeter() as meter:
        for _ in range(4):
            desk(meter)
        faults = Faults()
        assert list(traces.episodes(meter.ledger, faults=faults)) == []
    assert faults.count == 1
    assert faults.named[0].place.startswith("4 runs, the first of them ")
    assert faults.named[0].why.startswith("12 of their 12 calls have no fingerprints")


def test_sub_agent_has_a_history_of_its_own() -> None:
    """Another agent's prompts are another history, and the first one is gone on with; all prompts come out again."""
    counted = FakeMeteredChatModel(answers=["Light."], counts=FakeCounts(170, 5))
    expert: Any = create_agent(counted, [get_order], system_prompt="Lamps.", name="expert")

    @tool
    def ask_expert(question: str) -> str:
        """Ask an expert."""
        return str(expert.invoke({"messages": [("user", question)]})["messages"][-1].text)

    asks = AIMessage("", tool_calls=[{"name": "ask_expert", "args": {"question": "How heavy?"}, "id": "c1"}])
    counts = iter([300, 340])
    model = FakeMeteredChatModel(answers=[asks, "Light."], counts=lambda *_: FakeCounts(next(counts), 5))
    with CostMeter(fingerprint_key=KEY) as meter:
        agent: Any = create_agent(model, [ask_expert], name="desk")
        agent.invoke({"messages": [("user", "How heavy are lamps?")]}, {"callbacks": meter.callbacks})
        [episode] = read(meter.ledger)
    first, inner, last = episode.calls
    assert first.history is last.history
    assert inner.history is not first.history
    assert inner.messages[0] is not first.messages[0]  # what stands for the tools of each
    assert prompts(episode) == [300, 170, 340]


def test_resumed_conversation_is_one_task() -> None:
    """The requests of one thread are runs of one task, so that intervals are over conversations."""
    model = FakeMeteredChatModel(answers=["One.", "Two."])
    with CostMeter(fingerprint_key=KEY) as meter:
        agent: Any = create_agent(model, [], name="desk", checkpointer=InMemorySaver())
        config: Any = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t1"}}
        for text in ("a", "b"):
            agent.invoke({"messages": [("user", text)]}, config)
        found = read(meter.ledger)
    assert len(found) == 2
    assert {episode.task for episode in found} == {"t1"}


def call(name: str, run: str, at: int, prompt: Sequence[tuple[str, int]] | None = (("aa", 5),), **fields: Any) -> Entry:
    """A booked model call, so many seconds after the first."""
    who = Attribution(run=run, session=f"session of {run}", workflow="desk", model=MODEL, provider="anthropic")
    given: dict[str, Any] = {"usage": Usage(100, 10), "cost": Cost(500, input_nano=500), "attribution": who, **fields}
    fingerprints = None if prompt is None else tuple(prompt)
    return Entry(name, "llm", NOW + timedelta(seconds=at), fingerprints=fingerprints, **given)


def kept(*entries: Entry) -> MemoryLedger:
    """A ledger with these entries."""
    ledger = MemoryLedger()
    for entry in entries:
        ledger.append(entry)
    return ledger


def correction(name: str, of: Entry, nano: int) -> Entry:
    """A change of what an entry costs."""
    cost = Cost(nano, input_nano=nano)
    return Entry(name, "correction", of.at, of.attribution, parent_id=of.id, name="repriced", cost=cost)


def outcome(name: str, at: int, *, success: bool | None, **of: str) -> Entry:
    """An outcome of a run or a session."""
    return Entry(f"{name} {at}", "outcome", NOW + timedelta(seconds=at), Attribution(**of), name=name, success=success)  # type: ignore[arg-type]  # names of labels


def test_corrections_are_added_up() -> None:
    """What a call cost is its cost with all later corrections; of a call without a price, the corrections alone."""
    priced, unpriced, unknown = call("1", "r", 0), call("2", "r", 1, cost=None), call("3", "r", 2, cost=None)
    ledger = kept(
        priced,
        unpriced,
        unknown,
        correction("4", priced, 40),
        correction("5", priced, -15),
        correction("6", unpriced, 7),
    )
    [episode] = read(ledger)
    assert [each.recorded.cost_nano for each in episode.calls] == [525, 7, None]


@pytest.mark.parametrize(
    ("outcomes", "success"),
    [
        ([], None),
        ([outcome("resolved", 50, success=True, run="r")], True),
        ([outcome("resolved", 50, success=True, run="r"), outcome("resolved", 60, success=False, run="r")], False),
        ([outcome("resolved", 50, success=True, run="r"), outcome("polite", 60, success=False, run="r")], False),
        ([outcome("resolved", 50, success=None, run="r")], None),
        ([outcome("abandoned", 50, success=False, run="r")], None),
        ([outcome("resolved", 50, success=True, session="session of r")], True),
        (
            [
                outcome("resolved", 50, success=False, run="r"),
                outcome("resolved", 60, success=True, session="session of r"),
            ],
            False,
        ),
        ([outcome("resolved", 50, success=True, run="another")], None),
    ],
)
def test_success_is_what_outcomes_say(outcomes: list[Entry], success: bool | None) -> None:
    """The latest outcome of each name counts, the run's before the session's, and one that says no is a no."""
    [episode] = read(kept(call("1", "r", 0), *outcomes))
    assert episode.success is success


def test_outcome_can_be_named() -> None:
    """With a name, only outcomes of this name count."""
    ledger = kept(
        call("1", "r", 0), outcome("resolved", 5, success=True, run="r"), outcome("polite", 6, success=False, run="r")
    )
    assert [episode.success for episode in read(ledger, outcome="resolved")] == [True]


def test_refused_calls_are_none() -> None:
    """A call that the provider refused without a bill is no call; one that broke off after tokens is."""
    refused = call("1", "r", 0, status="error", usage=None, cost=None)
    broken = call("2", "r", 1, status="aborted", usage=Usage(100, 3, estimated=True))
    [episode] = read(kept(refused, broken, call("3", "r", 2)))
    assert len(episode.calls) == 2


def test_equal_messages_keep_their_places() -> None:
    """Two equal messages in one prompt are two, and each is the same one in the next prompt."""
    yes = ("yes", 4)
    first = call("1", "r", 0, [("a", 4), yes], usage=Usage(80, 1))
    second = call("2", "r", 1, [("a", 4), yes, ("b", 4), yes], usage=Usage(200, 1))
    [episode] = read(kept(first, second))
    assert prompts(episode) == [80, 200]
    assert episode.calls[1].messages[:2] == episode.calls[0].messages
    assert episode.calls[1].messages[3] is not episode.calls[1].messages[1]


def test_run_that_comes_back_late_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of a run that was read out before is named, and changes nothing."""
    monkeypatch.setattr(traces, "Gathering", lambda make: Gathering(make, most=2))
    faults = Faults()
    ledger = kept(call("1", "a", 0), call("2", "b", 1), call("3", "c", 2), call("4", "a", 3))
    assert [len(episode.calls) for episode in traces.episodes(ledger, faults=faults)] == [1, 1, 1]
    assert [fault.place for fault in faults.named] == ["run a"]


def test_budget_store_is_no_ledger(tmp_path: Path) -> None:
    """The file of a budget store is refused with a sentence that says what it is."""
    path = tmp_path / "budgets.db"
    open_store(f"sqlite:///{path}").close()
    with pytest.raises(ReplayError, match="budget store, not a ledger"):
        list(read_traces([path], Faults()))
