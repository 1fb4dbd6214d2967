"""Caps for answers that are fitted on earlier runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.strategies import max_output
from langchain_agentcost.replay.strategies.max_output import MaxOutput
from tests.replay.made import counted, episode, says, scene, uses

HALF = MaxOutput(quantile=0.5, headroom=1.0)
"""Five answers are enough for it, and of ten the second longest is the bound."""


def _run(number: int, *lengths: int, task: str | None = None, model: str | None = None) -> Episode:
    turns = [
        uses("search", recorded=counted(100 * (place + 1), tokens, model=model)) for place, tokens in enumerate(lengths)
    ]
    return episode(*turns, name=f"run-{number}", task=task or f"task-{number}")


def _played(of: Episode, memory: dict[str, Any], by: MaxOutput = HALF) -> Outcome:
    return run(scene(of, memory=memory), by)


def test_nothing_is_capped_before_enough_answers_were_seen() -> None:
    """The first run has no cap, however long its answers are, and costs what it did."""
    outcome = _played(_run(1, 10, 9_000), {})
    assert outcome.tally["capped_calls"] == outcome.tally["cut_answers"] == outcome.overhead_calls == 0


def test_an_answer_beyond_the_cap_is_counted_as_cut() -> None:
    """The cap is what earlier runs fit; what goes beyond is harm, with its tokens and what they cost."""
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21)), memory)
    outcome = _played(_run(2, 15, 19, 119), memory)
    assert outcome.tally["capped_calls"] == 3
    assert outcome.tally["cap_tokens"] == 3 * 19
    assert outcome.tally["cut_answers"] == 1
    assert outcome.tally["cut_tokens"] == 100
    assert outcome.tally["cut_nano_usd"] == 100 * 15_000


def test_a_cut_answer_costs_the_call_that_was_cut() -> None:
    """It is asked for again: the first try's answer up to the cap, over a prompt that the cache has, is on top."""
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21)), memory)
    of = _run(2, 15, 119)
    outcome, plain = _played(of, memory), run(scene(of), HALF)
    assert outcome.overhead_calls == 1
    assert outcome.overhead_tokens == 200 + 19
    assert outcome.off_nano - plain.off_nano == 200 * 3_000 + 19 * 15_000
    assert outcome.output_tokens == plain.output_tokens


def test_without_a_retry_only_the_counts_say_what_was_cut() -> None:
    """The recorded answer is played all the same: a dollar that is not proven is in no bill."""
    memory: dict[str, Any] = {}
    plan = MaxOutput(quantile=0.5, headroom=1.0, retry=False)
    _played(_run(1, *range(11, 21)), memory, plan)
    of = _run(2, 15, 119)
    outcome = _played(of, memory, plan)
    assert outcome.tally["cut_answers"] == 1
    assert outcome.on_nano == run(scene(of), plan).on_nano


def test_answers_that_stay_cut_never_tighten_later_caps() -> None:
    """What was cut counts as longer than all, as nobody would have seen its length."""
    plan = MaxOutput(quantile=0.5, headroom=1.0, retry=False)
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21)), memory, plan)
    second, third, fourth = [_played(_run(number, 500, 500, 500), memory, plan).tally for number in (2, 3, 4)]
    assert (second["cut_answers"], second["cap_tokens"]) == (3, 3 * 19)
    assert (third["cut_answers"], third["cap_tokens"]) == (3, 3 * 20)
    assert fourth["capped_calls"] == 0


def test_a_run_is_not_capped_by_its_own_answers_nor_its_tasks() -> None:
    """No hindsight, and a repetition of a task is no traffic."""
    memory: dict[str, Any] = {}
    assert _played(_run(1, *range(11, 31)), memory).tally["capped_calls"] == 0
    assert _played(_run(2, *range(11, 31), task="task-1"), memory).tally["capped_calls"] == 0
    assert _played(_run(3, 12, task="task-3"), memory).tally["capped_calls"] == 1


def test_each_model_has_a_cap_of_its_own() -> None:
    """The answers of one model say nothing of another's."""
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21), model="gpt-4.1"), memory)
    assert _played(_run(2, 15, model="gpt-5.6"), memory).tally["capped_calls"] == 0
    assert _played(_run(3, 15, model="gpt-4.1"), memory).tally["capped_calls"] == 1


def test_the_cap_stays_the_same_within_a_run() -> None:
    """A run is told one cap, whatever its own answers would make of it."""
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21)), memory)
    outcome = _played(_run(2, *[900] * 30), memory)
    assert outcome.tally["cap_tokens"] == 30 * 19


def test_of_many_tasks_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: of a task that was forgotten, its own answers count as anybody's."""
    monkeypatch.setattr(max_output, "TASKS_KEPT", 2)
    memory: dict[str, Any] = {}
    for number in (1, 2, 3):
        _played(_run(number, *range(11, 21)), memory)
    assert len(memory["answers"][None].by_task) == 2
    assert _played(_run(1, 15), memory).tally["capped_calls"] == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(1, 400), min_size=1, max_size=12), min_size=2, max_size=8), st.booleans())
def test_what_is_sent_is_what_was_recorded(runs: list[list[int]], retry: bool) -> None:
    """Prompts and answers are the recorded ones; only calls of its own are added, one for each cut answer."""
    plan = MaxOutput(quantile=0.5, headroom=1.0, retry=retry)
    memory: dict[str, Any] = {}
    for number, lengths in enumerate(runs):
        of = _run(number, *lengths)
        outcome, plain = _played(of, memory, plan), run(scene(of), plan)
        assert outcome.steps == plain.steps
        assert outcome.on_nano - outcome.overhead_nano == plain.on_nano
        assert outcome.overhead_calls == (outcome.tally["cut_answers"] if retry else 0)


@pytest.mark.parametrize("bad", [{"quantile": 0.0}, {"quantile": 1.0}, {"headroom": 0.9}])
def test_numbers_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    """A share is below 1, and a cap is no lower than what it was fitted to."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        MaxOutput(**bad)


def test_a_cut_prompt_is_read_from_the_cache_once_it_is_long_enough() -> None:
    """The call that is made again finds the prompt that the first one has just written."""
    memory: dict[str, Any] = {}
    _played(_run(1, *range(11, 21)), memory)
    long = episode(says("x", recorded=counted(10_000, 119)), name="run-2", task="task-2", user="word " * 9_000)
    of = scene(long, memory=memory)
    outcome = run(of, HALF)
    assert outcome.overhead_nano == 10_000 * 300 + 19 * 15_000
