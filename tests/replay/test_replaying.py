from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.money import from_nano
from langchain_agentcost.replay import Episode, Faults, Result, Row, replay
from langchain_agentcost.replay.episode import Piece
from langchain_agentcost.replay.strategies import DEFAULT
from langchain_agentcost.replay.strategies.masking import MaskSliding
from langchain_agentcost.replay.tariff import Tariffs
from tests.replay.made import PRICES, SONNET, counted, episode, played, says, schemas, uses

TOOLS = schemas("get_order", "cancel_order", "search")


def _episode(number: int, **fields: object) -> Episode:
    turns = [uses("get_order", f"Order {n} of {number} is on its way. " * 20, order=f"AB-{n:07}") for n in range(6)]
    given = {"name": f"run-{number}", "task": f"task-{number}", "tools": TOOLS, "success": number % 2 == 0, **fields}
    return episode(*turns, says("Done."), system="You help. " * 400, **given)  # type: ignore[arg-type]


def _rows(result: Result, benchmark: str = "traces") -> dict[str, Row]:
    return {row.strategy: row for row in result.rows() if row.benchmark_set == benchmark}


def test_what_was_recorded_is_always_replayed_and_saves_exactly_nothing() -> None:
    """Without being asked for, none is the first row, and every saving of it is 0 with certainty."""
    result = replay(map(_episode, range(3)), "truncate:tokens=20", tariffs=SONNET)
    none = result.rows()[0]
    assert none.strategy == "none"
    assert (none.tokens_saved_pct, none.usd_saved_pct_cache_on, none.usd_saved_pct_cache_off) == (0, 0, 0)
    assert (none.ci_low, none.ci_high) == (0, 0)


def test_a_row_is_the_sum_of_its_runs() -> None:
    """Bills, calls and tokens of a row are those of the runs, one by one."""
    episodes = [_episode(number) for number in range(3)]
    row = _rows(replay(episodes, "mask_sliding:keep=1", tariffs=SONNET))["mask_sliding:keep=1"]
    outcomes = [played(of, "mask_sliding:keep=1") for of in episodes]
    assert row.usd == from_nano(sum(outcome.on_nano for outcome in outcomes))
    assert row.usd_cache_off == from_nano(sum(outcome.off_nano for outcome in outcomes))
    assert (row.episodes, row.calls) == (3, sum(outcome.calls for outcome in outcomes))
    assert row.input_tokens == sum(outcome.input_tokens for outcome in outcomes)
    before = sum(played(of).on_nano for of in episodes)
    assert row.usd_saved_pct_cache_on == pytest.approx(100 * (1 - sum(o.on_nano for o in outcomes) / before))


def test_the_prompt_cache_is_billed_with_caching_in_both_columns() -> None:
    """Against a bill without caching it is what caching saves; against one with caching it is 0."""
    rows = _rows(replay(map(_episode, range(3)), "prompt_cache,prompt_cache+minify", tariffs=SONNET))
    off = rows["none"].usd_cache_off
    for name in ("prompt_cache", "prompt_cache+minify"):
        saved = rows[name].usd_saved_pct_cache_off
        assert saved == pytest.approx(float(100 * (1 - rows["none"].usd / off)))
        assert rows[name].usd_saved_pct_cache_on == 0


def test_strategies_may_be_objects_and_come_once() -> None:
    """Two with the same label are one row; the order is that of asking."""
    result = replay([_episode(0)], (MaskSliding(1), MaskSliding(3), MaskSliding(1)), tariffs=SONNET)
    assert list(_rows(result)) == ["none", "mask_sliding:keep=1", "mask_sliding"]


def test_the_default_strategies_are_replayed_where_none_is_named() -> None:
    """All of them, with the recorded run first."""
    assert list(_rows(replay([_episode(0)], tariffs=SONNET))) == ["none", *DEFAULT]


def test_a_strategy_that_does_not_exist_is_an_error_before_the_first_run() -> None:
    """Nothing is read of the traces."""
    episodes = map(_episode, range(3))
    with pytest.raises(ReplayError, match="There is no strategy 'mask'"):
        replay(episodes, "mask")
    assert next(episodes).id == "run-0"


def test_runs_without_a_price_are_left_out_and_named() -> None:
    """Each is counted under the model at fault; nothing of it is in a bill."""
    episodes = [
        _episode(0, model="gpt-4.1"),
        _episode(1, model="mystery-7b"),
        _episode(2, model="mystery-7b"),
        _episode(3),
        episode(says("Hi.", recorded=counted(9, model="other-7b")), model=None, name="run-4"),
    ]
    result = replay(episodes, "truncate", tariffs=Tariffs(PRICES))
    assert result.unpriced == {"mystery-7b": 2, "(no model)": 1, "other-7b": 1}
    assert result.episodes == 1


def test_runs_of_hashes_are_left_out_of_what_reads_texts() -> None:
    """They count for the recorded bill and for what needs no text, and are said to be missing elsewhere."""
    of = episode(says("", recorded=counted(2000)), system=None, user="", name="hashed")
    marks = {id(message): Piece(b"key", 100) for message in of.calls[0].messages}
    hashed = Episode(of.id, of.calls, task="hashed", marks=marks)
    result = replay([_episode(0), hashed], "truncate,prompt_cache", tariffs=SONNET)
    assert {name: row.episodes for name, row in _rows(result).items()} == {"none": 2, "truncate": 1, "prompt_cache": 2}
    assert result.unread == 1


def test_benchmarks_are_apart_and_families_are_summed() -> None:
    """A row for each benchmark, one for a family of several, and none over families."""
    episodes = [
        _episode(0, benchmark="a", family="x"),
        _episode(1, benchmark="b", family="x"),
        _episode(2, benchmark="c", family="y"),
    ]
    result = replay(episodes, "truncate", tariffs=SONNET)
    places = [(row.family, row.benchmark_set) for row in result.rows() if row.strategy == "none"]
    assert places == [("x", "a"), ("x", "b"), ("y", "c"), ("x", "*")]
    assert _rows(result, "*")["none"].episodes == 2


def test_equal_tasks_of_two_benchmarks_are_two_tasks() -> None:
    """The interval of a family is over tasks of both, even where they have the same names."""
    episodes = [_episode(0, benchmark=name, family="x", task="1") for name in ("a", "b")]
    assert _rows(replay(episodes, "truncate", tariffs=SONNET), "*")["none"].tasks == 2


def test_sources_do_not_share_memories() -> None:
    """A cache of one source's traffic serves nothing to another's."""
    same = [_episode(0, source="s", task="t1", name="1"), _episode(0, source="s", task="t2", name="2")]
    apart = [_episode(0, source="s", task="t1", name="1"), _episode(0, source="r", task="t2", name="2")]
    by = "response_cache,response_cache+minify"
    for episodes, served in ((same, 7), (apart, 0)):
        rows = _rows(replay(episodes, by, tariffs=SONNET))
        assert [rows[name].served_calls for name in by.split(",")] == [served, served]


def test_strategies_do_not_share_a_memory() -> None:
    """What one of two that are alike has seen, the other has not: each counts the runs by itself."""
    rows = _rows(replay(map(_episode, range(2)), "prune_tools:after=1,prune_tools:after=2", tariffs=SONNET))
    assert (rows["prune_tools:after=1"].tokens_saved_pct or 0) > 0
    assert rows["prune_tools:after=2"].tokens_saved_pct == 0


def test_an_interruption_keeps_what_is_done() -> None:
    """Ctrl-C between runs ends the replay: the result has the whole of each run that was done, and says so."""

    def interrupted() -> Iterator[Episode]:
        yield from map(_episode, range(2))
        raise KeyboardInterrupt

    result = replay(interrupted(), "truncate", tariffs=SONNET)
    assert not result.complete
    assert {row.episodes for row in result.rows()} == {2}
    assert replay(map(_episode, range(2)), "truncate", tariffs=SONNET).rows() == result.rows()


def test_each_run_is_told_when_it_is_done() -> None:
    """Progress is by run, in order."""
    done: list[str] = []
    replay(map(_episode, range(3)), "none", tariffs=SONNET, seen=lambda of: done.append(of.id))
    assert done == ["run-0", "run-1", "run-2"]


def test_runs_are_read_one_by_one() -> None:
    """The next run is read when the one before is done: memory does not grow with the traces."""
    done: list[str] = []

    def reading() -> Iterator[Episode]:
        for number in range(3):
            assert len(done) == number
            yield _episode(number)

    replay(reading(), "none", tariffs=SONNET, seen=lambda of: done.append(of.id))
    assert len(done) == 3


def test_a_warm_cache_is_warm_for_the_recorded_run_too() -> None:
    """Both bills fall, and nothing counts as saved by the warmth."""
    cold, warm = (replay([_episode(0)], "prompt_cache", tariffs=SONNET, warm=warm) for warm in (False, True))
    assert _rows(warm)["none"].usd < _rows(cold)["none"].usd
    assert _rows(warm)["prompt_cache"].usd_saved_pct_cache_on == 0
    assert warm.settings["warm"] is True


def test_the_result_says_what_it_rests_on() -> None:
    """Prices, their version and instant, and the faults of the traces are part of it."""
    faults = Faults()
    faults.add("line 3", "no run")
    result = replay([_episode(0)], "none", tariffs=SONNET, faults=faults)
    assert result.faults is faults
    assert result.settings["prices"] == "claude-sonnet-4-5"
    assert result.settings["price_version"] == PRICES.version
    assert replay([], "none", tariffs=Tariffs(PRICES)).settings["prices"] == "each run's own model"


def test_no_runs_give_no_rows() -> None:
    """Nothing was replayed, and nothing is claimed."""
    result = replay([], tariffs=SONNET)
    assert (result.rows(), result.episodes, result.calls, result.complete) == ((), 0, 0, True)
