"""How a replay's result is written: for pipes, for terminals, and as JSON in the documented format."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.console import Console

from langchain_agentcost.finops.render_text import text_width
from langchain_agentcost.replay import Episode, Faults, Result, Tariffs, replay
from langchain_agentcost.replay.episode import Piece
from langchain_agentcost.replay.render_plot import Scale, spread
from langchain_agentcost.replay.render_table import DEARER, MIRAGE, PARTS, harm, mark, parts
from langchain_agentcost.replay.strategies import STRATEGIES
from langchain_agentcost.replay.sums import Key
from tests.replay.made import SONNET, Turn, episode, says, uses

RESULT = "The order of Ann Example has two lamps, a chair and a very long description of each. " * 12


def shopping(name: str, *, reads: int = 12, **fields: Any) -> Episode:
    """A run that reads many orders, and at last a part by a serial number that stood in the second of them."""
    turns: list[Turn] = [
        uses("get_order", f"{RESULT} Number {at}, serial SERIAL-{at:05}.", id=f"ORDER-{at:05}") for at in range(reads)
    ]
    tail = uses("get_part", RESULT, serial="SERIAL-00001")
    return episode(*turns, tail, says("Done."), system="You help in a shop. " * 300, name=name, **fields)


def shop(wanted: str, *, benchmark: str = "shop", family: str = "support", runs: int = 3) -> Result:
    """A replay of a few such runs, each of a task of its own; every third one failed."""
    made = [
        shopping(f"{benchmark}-{at}", task=f"t{at}", benchmark=benchmark, family=family, success=at % 3 > 0)
        for at in range(runs)
    ]
    return replay(made, wanted, tariffs=SONNET)


def line_of(result: Result, strategy: str) -> str:
    """The line of a strategy in the plain table."""
    return next(line for line in str(result).splitlines() if line.startswith(f"{strategy} "))


def terminal(result: Result, width: int) -> list[str]:
    """The lines that a terminal of that width shows."""
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(result.rich())
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_block_for_each_benchmark_then_the_family() -> None:
    """Benchmarks come with their family, and the sums of a family that has several come last, under its name."""
    result = shop("minify", benchmark="north")
    result.merge(shop("minify", benchmark="south"))
    result.merge(shop("minify", benchmark="code", family="coding"))
    titles = [line.split(":")[0] for line in str(result).splitlines() if " runs of " in line and ":" in line]
    assert titles == [
        "code (family coding)",
        "north (family support)",
        "south (family support)",
        "all of family support",
    ]


def test_a_saving_that_caching_takes_away_is_marked() -> None:
    """Sliding masking saves a lot without prompt caching, and nothing with it: a mirage; a note says what that is."""
    result = shop("mask_sliding:keep=4,prompt_cache")
    row = next(row for row in result.rows() if row.strategy.startswith("mask"))
    assert row.usd_saved_pct_cache_off is not None
    assert row.usd_saved_pct_cache_off > 20
    assert row.usd_saved_pct_cache_on is not None
    assert row.usd_saved_pct_cache_on < 5
    assert f"  {MIRAGE}  " in line_of(result, "mask_sliding:keep=4")
    assert re.search(rf"^{MIRAGE} +large under", str(result), re.MULTILINE)


def test_prompt_caching_itself_is_no_mirage() -> None:
    """Its saving stands in the column without caching; nothing of it disappears, and a note says where it is."""
    result = shop("prompt_cache")
    assert MIRAGE not in str(result)
    assert re.search(r"^prompt_cache +exact +0% .* [5-9]\d\.\d%", line_of(result, "prompt_cache"))
    assert "what caching itself saves stands under 'caching off'" in str(result)


def test_what_costs_more_is_marked_where_that_is_sure() -> None:
    """A volatile head makes each bill larger; a loss whose interval has 0 in it is not called one."""
    row = next(row for row in shop("volatile_head").rows() if row.strategy == "volatile_head")
    assert mark(row) == DEARER
    assert mark(replace(row, ci_high=0.5)) == ""
    assert mark(replace(row, usd_saved_pct_cache_on=None)) == ""


def test_what_is_not_known_is_a_dash() -> None:
    """One task has no interval, and runs that nobody judged have no cost of a success: neither is 0."""
    cells = line_of(replay([shopping("only")], "minify", tariffs=SONNET), "none").split()
    assert cells == ["none", "exact", "0%", "-", "0%", "0%", cells[6], "-", *cells[8:]]


def test_no_success_is_not_the_same_as_not_judged() -> None:
    """Where all judged runs failed there is no cost of a success, and the table says why."""
    assert "no success" in line_of(replay([shopping("a", success=False)], "minify", tariffs=SONNET), "minify")


def test_harm_is_in_words() -> None:
    """Dangling literals, stale hits, wrong actions, missing tools and killed successes are named with their number."""
    row = next(row for row in shop("mask_sliding:keep=4").rows() if row.strategy != "none")
    counted = {"stale_hits": 1, "wrong_action_hits": 35, "missing_tool": 2, "successes_killed": 1, "dangling_pct": 8.45}
    result = shop("mask_sliding:keep=4")
    assert re.search(r"  \d+\.\d% dangling$", line_of(result, "mask_sliding:keep=4"))
    assert harm(replace(row, harm=counted, stopped=3)) == (
        "8.4% dangling, 1 stale hit, 35 wrong actions, 2 calls of a missing tool, 1 success killed, 3 runs stopped"
    )
    assert harm(replace(row, harm={})) == "none found"
    served = replace(row, harm={}, counts={"tool_reads": 675, "tool_hits": 266})
    assert harm(served) == "none found, 266 of 675 reads served"
    assert harm(replace(row, harm={}, fidelity="price bound only")) == "not measured"
    assert harm(replace(row, harm={}, stopped=1, judged=0)) == "1 run stopped, successes among them unknown"


def test_notes_say_what_is_missing() -> None:
    """Faults, unpriced and unread runs and an early end are named under the table, the first ones by name."""
    faults = Faults()
    for number in range(7):
        faults.add(f"a.jsonl:{number}", "not JSON")
    known = shopping("a")
    hashed = replace(known, id="b", marks={id(m): Piece(b"x", 10) for m in known.calls[-1].history})
    unpriced = shopping("c", model="nobody-sells-this")
    result = replay([known, hashed], "minify", tariffs=SONNET, faults=faults, warm=True)
    result.merge(replay([unpriced], "minify", tariffs=Tariffs()))
    result.complete = False
    text = str(result)
    assert "Incomplete     the replay was stopped" in text
    assert re.search(r"Faults +7 could not be read: a.jsonl:0: not JSON; .* and 2 more$", text, re.MULTILINE)
    assert "1, left out, since no price is known: nobody-sells-this (1)" in text
    assert re.search(r"Unread runs +1 whose texts are not known", text)
    assert re.search(r"Prices +claude-sonnet-4-5; list ", text)
    assert "; warm: " in text
    assert "  1 of 2  " in line_of(result, "minify")


def test_runs_that_a_real_graph_confirmed_are_counted() -> None:
    """Who asks for a real graph is told how many replays it confirmed; where nobody asked there is no such line."""
    driven = replay([shopping("a"), shopping("b")], "minify", tariffs=SONNET, drive=1)
    assert re.search(r"Verified +2 of the replays, a run under a strategy each", str(driven))
    assert "Verified" not in str(shop("minify"))


def test_a_bill_is_cut_into_its_parts() -> None:
    """Cached, written, uncached, output and overhead in percent; a bill of nothing has no parts."""
    row = shop("minify").rows()[0]
    split = {name: Decimal(usd) for name, usd in zip(PARTS, ("0.5", "0.2", "0.1", "0.15", "0.05"), strict=True)}
    assert parts(replace(row, usd=Decimal(1), split_usd=split)) == "50 / 20 / 10 / 15 / 5"
    assert parts(replace(row, usd=Decimal(0), split_usd=dict.fromkeys(PARTS, Decimal(0)))) == "-"


def test_a_result_without_runs_says_so() -> None:
    """Nothing to replay is no table of zeros."""
    text = str(replay([], "minify", tariffs=SONNET))
    assert text.splitlines()[0] == "Replay: no run could be replayed"
    assert "minify" not in text


def test_no_control_character_reaches_a_terminal() -> None:
    """What a trace says cannot clear the screen, start a line or make the table wider than it is."""
    result = shop("minify", benchmark="a\x1b[2Jb\n[red]", family="x\r\u202e")
    for text in (str(result), "\n".join(terminal(result, 200))):
        assert not set(text) & {"\x1b", "\r", "\u202e"}
        assert "a [2Jb [red] (family x  )" in text


def test_plain_columns_line_up() -> None:
    """Under a heading, every figure ends where the heading does, whatever benchmark it is of."""
    result = shop("minify,mask_sliding:keep=4,volatile_head", benchmark="東京")
    result.merge(shop("minify,mask_sliding:keep=4,volatile_head", benchmark="b"))
    lines = str(result).splitlines()
    heading = next(line for line in lines if line.startswith("strategy"))
    end = heading.index("95% interval") + len("95% interval")
    rows = [line for line in lines if line.startswith(("none ", "minify ", "mask_", "volatile"))]
    assert len(rows) == 12
    assert all(row[end - 1].isdigit() and row[end] == " " for row in rows)


@pytest.mark.parametrize("width", [80, 100, 160, 220])
def test_a_terminal_keeps_the_headline(width: int) -> None:
    """At any usual width the saving, its interval, the saving without caching and the mark are there, and fit."""
    lines = terminal(shop("mask_sliding,volatile_head"), width)
    assert max(map(text_width, lines)) <= width
    text = "\n".join(lines)
    heading = next(line for line in lines if line.startswith("strategy"))
    assert heading.split("  ")[0] == "strategy"
    for kept in ("saved", "95% interval", "caching off"):
        assert kept in heading
    assert DEARER in text
    assert ("Left out for width" in text) == (width < 220)


def test_json_is_the_dictionary() -> None:
    """What is written reads back as `to_dict`; money is text with nine places, so that nothing is lost."""
    result = shop("minify")
    read = json.loads(result.to_json())
    assert read == result.to_dict()
    assert re.fullmatch(r"\d+\.\d{9}", read["rows"][0]["usd"])


def test_the_parts_of_a_bill_are_the_bill() -> None:
    """As the format promises, `split_usd` sums up to `usd`, and the curve of a plot ends at the mean bill of a run."""
    wanted = "summarize:above=3000:keep=2:to=50:margin=0:break_even=no,reference:above=100,mask_batched"
    result = shop(wanted)
    for row in result.rows():
        sums = result.sums[Key(row.family, row.benchmark_set, row.strategy)]
        assert sum(row.split_usd.values(), Decimal(0)) == row.usd
        assert sums.cumulative_usd()[-1] == pytest.approx(float(row.usd) / row.episodes)
    assert sum(row.overhead_calls > 0 for row in result.rows()) == 1


def test_an_interval_does_not_depend_on_the_order_of_runs() -> None:
    """Results that are merged in another order are the same to the last digit."""
    runs = [shopping(f"run-{at}", task=f"t{at}", reads=6 + 2 * at) for at in range(4)]
    one, other = (replay(made, "mask_sliding", tariffs=SONNET) for made in (runs, []))
    for at in (2, 0, 3, 1):
        other.merge(replay([runs[at]], "mask_sliding", tariffs=SONNET))
    assert one.to_dict()["rows"] == other.to_dict()["rows"]


def test_every_field_is_documented() -> None:
    """FORMAT.md, which is part of the package, names every key that a result can have, harm and settings included."""
    text = resources.files("langchain_agentcost.replay").joinpath("FORMAT.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9_]+)`", text))
    result = shop(",".join(STRATEGIES)).to_dict()
    keys = {*result, *result["settings"], *result["faults"]}
    for row in result["rows"]:
        keys |= {*row, *row["split_usd"], *row["harm"], *row["counts"]}
    assert keys - documented == set()
    assert f"version {result['format_version']}" in text


def test_every_count_of_the_package_is_documented() -> None:
    """What strategies tally, by the names in their source, is in FORMAT.md too."""
    text = resources.files("langchain_agentcost.replay").joinpath("FORMAT.md").read_text(encoding="utf-8")
    tallied = set()
    for source in resources.files("langchain_agentcost.replay.strategies").iterdir():
        if source.name.endswith(".py"):
            tallied |= set(re.findall(r'tally\["(\w+)"\]', source.read_text(encoding="utf-8")))
    assert {"tool_hits", "summaries"} <= tallied
    assert {name for name in tallied if f"`{name}`" not in text} == set()


@given(st.lists(st.floats(0, 400), max_size=20).map(sorted), st.floats(1, 18))
def test_labels_are_moved_apart(wanted: list[float], gap: float) -> None:
    """Whatever the places, labels keep their order and their distance, and stay inside where there is room."""
    places = spread(wanted, gap, 0, 400)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(places))
    assert all(-1e-6 <= place <= 400 + 1e-6 for place in places)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    """An axis has at least one round value and not many more than asked for, all of them between its ends."""
    assume(span >= 1e-6 * abs(low))  # below that, the ends themselves are lost in a float's last digits
    scale = Scale(low, low + span, 0, 100)
    ticks = scale.ticks(6)
    assert len(ticks) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
