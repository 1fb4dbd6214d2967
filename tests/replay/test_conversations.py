"""Runs that are turns of one conversation share the provider's prompt cache, as far as its time to live allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain_agentcost.replay import Episode, Row, replay
from langchain_agentcost.replay.episode import Recorded, assemble
from langchain_agentcost.replay.strategy import SESSIONS_KEPT
from tests.replay.made import SONNET, episode, says, scene

TURN_S = 60.0


def chat(count: int, *, gap_s: float = TURN_S, **fields: Any) -> Episode:
    """A chat of some turns as one run, of which a prompt cache takes every prompt."""
    said = [says(f"Answer {n}. {'Mill. ' * 300}", then=f"Question {n}.") for n in range(count)]
    whole = episode(*said, system="You mend mills. " * 600)
    timed = {call.length: Recorded(at_s=gap_s * n) for n, call in enumerate(whole.calls)}
    return Episode("chat", assemble(whole.calls[0].history, timed), model="claude-sonnet-4-5", **fields)


def turns(count: int, *, gap_s: float = TURN_S, **fields: Any) -> list[Episode]:
    """The same chat with a run for each turn."""
    whole = chat(count, gap_s=gap_s)
    return [
        replace(whole, id=f"turn {n}", calls=(call,), model="claude-sonnet-4-5", **fields)
        for n, call in enumerate(whole.calls)
    ]


def row_of(runs: list[Episode], by: str = "none") -> Row:
    """What a strategy makes of them."""
    return {row.strategy: row for row in replay(runs, by, tariffs=SONNET).rows()}[by]


def test_a_conversation_costs_the_same_in_one_run_and_in_turns() -> None:
    """Each turn finds in the cache what the turn before has sent."""
    whole, cut = row_of([chat(4)]), row_of(turns(4, session="s1"))
    assert cut.usd == whole.usd
    assert cut.cache_read_pct == whole.cache_read_pct != 0


def test_runs_without_a_session_start_cold() -> None:
    """What nobody says belongs together does not."""
    assert row_of(turns(4)).cache_read_pct == 0


def test_a_pause_that_is_longer_than_the_cache_lives_ends_it() -> None:
    """Turns that are six minutes apart find nothing in a cache of five."""
    assert row_of(turns(4, gap_s=360, session="s1")).cache_read_pct == 0


def test_conversations_do_not_share() -> None:
    """Two that say the same have each a cache of its own: a tenant's prompts are not another's."""
    first, second = turns(2, session="s1"), turns(2, session="s2")
    mixed = [first[0], replace(second[0], id="a"), first[1], replace(second[1], id="b")]
    assert row_of(mixed).usd == 2 * row_of(first).usd


def test_every_strategy_has_conversations_of_its_own() -> None:
    """What one strategy has sent is not in the cache of another."""
    assert row_of(turns(4, session="s1"), "volatile_head").cache_read_pct == 0


def test_a_graph_that_is_driven_shares_them_too() -> None:
    """The real meter bills the turns of a conversation to the nano-dollar what the arithmetic does."""
    result = replay(turns(3, session="s1"), "prompt_cache", tariffs=SONNET, drive=3)
    assert [row.verified for row in result.rows()] == [3, 3]


def test_the_oldest_of_very_many_conversations_is_forgotten() -> None:
    """Memory is bounded, whatever the traffic."""
    memory: dict[str, Any] = {}
    for number in range(SESSIONS_KEPT + 5):
        of = Episode("r", assemble(episode(says("Hi.")).calls[0].history, {2: Recorded()}), session=f"s{number}")
        assert scene(of, memory=memory).conversation == {}
    assert len(memory["conversations"]) == SESSIONS_KEPT
    assert "s0" not in memory["conversations"]
