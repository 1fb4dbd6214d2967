from __future__ import annotations

from typing import Any

import pytest

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.episode import Episode
from tests.replay.made import episode, played, says, sent, strategy, texts, uses

EAGER = "select:above=3000:low=0.5:keep=2:break_even=no"
"""Cuts whenever a prompt is too long."""


def _run(results: int, words: int = 200, user: str = "Look.") -> Episode:
    topics = ("copper", "linen", "walnut", "amber")
    turns = [uses("search", f"{topics[n % 4]} {n} " + "word " * words, n=n) for n in range(results)]
    return episode(*turns, says("Done."), user=user)


def test_a_prompt_within_the_budget_stays() -> None:
    """Nothing is left out that fits."""
    of = _run(5)
    assert [request.messages for request in sent(of, EAGER)] == [call.messages for call in of.calls]


def test_a_prompt_beyond_the_budget_is_cut_to_the_lower_mark() -> None:
    """Prompts stay near the budget, and between two cuts they only grow."""
    of = _run(60)
    outcome = played(of, EAGER)
    assert max(outcome.steps) <= 3_000
    assert 1 < outcome.tally["cuts"] < 20
    assert played(of).steps[-1] > 12_000


def test_what_the_task_is_about_stays() -> None:
    """At a cut the blocks that share words with what the user said are kept, old ones before newer others."""
    last = texts(sent(_run(11, words=300, user="Find walnut."), EAGER)[-1].messages)
    kept = [text[: text.index(" word")] for text in last if " word" in text]
    assert "walnut 2" in kept
    assert "amber 7" not in kept


def test_by_default_it_acts_only_where_it_pays() -> None:
    """Where runs of the source are known to end soon no cut is made; a long run is cheaper for its cuts."""
    by, known = "select:above=3000:low=0.5:keep=2", dict[str, Any]()
    for _ in range(5):
        learned = played(_run(15), by, memory=known)
    assert learned == played(_run(15))
    assert played(_run(15), EAGER).on_nano > learned.on_nano
    assert played(_run(150), by).on_nano < played(_run(150)).on_nano


def test_what_it_expects_to_save_is_counted_after_what_comes_back() -> None:
    """Blocks that are chosen again at a later cut make it save less; what is predicted is no more than what comes."""
    outcome, none = played(_run(150), "select:above=6000"), played(_run(150))
    assert 0 < outcome.tally["predicted_nano_usd"] < 2 * (none.on_nano - outcome.on_nano)


def test_what_is_left_out_and_used_dangles() -> None:
    """Nothing stands for a block that goes."""
    of = episode(
        uses("search", "AB-0000001 " + "word " * 900),
        *(uses("search", f"linen {n} " + "word " * 900) for n in range(3)),
        uses("cancel_order", order="AB-0000001"),
    )
    assert played(of, EAGER).tally["dangling_steps"] == 1


@pytest.mark.parametrize("by", ["select:above=0", "select:keep=0", "select:low=1.0"])
def test_numbers_that_make_no_sense_are_refused(by: str) -> None:
    """The message says what may be."""
    with pytest.raises(ReplayError, match="low is between 0 and 1"):
        strategy(by)
