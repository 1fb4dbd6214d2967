from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from langchain_agentcost.replay.advice import KINDS, Advice, advise
from langchain_agentcost.replay.advice.findings import DETECTORS
from langchain_agentcost.replay.advice.terminal import renderable
from langchain_agentcost.replay.advice.text import plain
from langchain_agentcost.replay.traces import Faults
from tests.replay.advice_runs import MISTAKES, billed, in_a_loop, support, unused_tool

EVIL = "desk\x1b]0;owned\x07\x1b[31m\u202e<script>"


@pytest.fixture(scope="module")
def several() -> Advice:
    """Advice with findings of several kinds, one in tokens among them."""
    own = [replace(run, model="our-own", source="ours") for run in support(in_a_loop)]
    talks = [replace(run, source="talks", benchmark="talks") for run in MISTAKES["context_growth"]()]
    return advise([*MISTAKES["prompt_cache"](), *own, *talks])


def on_terminal(made: Advice, *, width: int = 100, top: int = 10) -> str:
    """What a terminal of that width shows, without its colours."""
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(renderable(made, top=top))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_findings_are_ranked_by_dollars_and_those_in_tokens_come_last(several: Advice) -> None:
    """The largest saving in dollars is first; what has no price cannot be compared with it."""
    units = [finding.saving.unit for finding in several.findings]
    assert units == ["usd", "usd", "tokens"]
    assert several.findings[0].saving.amount > several.findings[1].saving.amount


def test_the_text_has_all_that_a_reader_needs(several: Advice) -> None:
    """Title, verdicts, savings with intervals, evidence, quality, effort, code, prices: all in plain text."""
    said = str(several)
    assert said.splitlines()[0].startswith("Advice on 72 runs with ")
    assert "tokens without a price" in said.splitlines()[0]
    assert "1 worth it, 1 not worth it yet, 1 not worth it" in said
    for part in ("saves $0.417, 63.1% [61.6, 64.4] - worth it", "evidence", "fidelity", "effort", "latency", "risk"):
        assert part in said
    assert "             agent = create_agent(model, tools, middleware=[caching])" in said
    assert "Without a price" in said
    assert "calls^" in said


def test_what_is_beyond_the_top_is_one_line_each(several: Advice) -> None:
    """Findings that are not shown in full are listed; those that save nothing are counted."""
    said = plain(several, top=1)
    assert "agent = create_agent" in said
    assert "meter = CostMeter" not in said
    assert "3.  loops" in said
    assert "1 that save nothing (context_growth 1)" in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_of_any_width_shows_all_of_it(several: Advice, width: int) -> None:
    """Lines are folded at the width, and nothing is left out."""
    said = on_terminal(several, width=width)
    assert all(len(line) <= width for line in said.splitlines())
    words = " ".join(said.split())
    assert "not worth it yet" in words
    assert "AnthropicPromptCachingMiddleware" in words.replace(" ", "")
    assert "Further findings" in on_terminal(several, width=width, top=1)


def test_hostile_names_never_reach_a_terminal() -> None:
    """Terminal escapes in sources, models, tools and tasks are blanks in text, on terminals and in code."""
    tools = [dict(one) for one in unused_tool()]
    tools[-1] = {"type": "function", "function": {**tools[-1]["function"], "name": EVIL}}  # type: ignore[dict-item]
    runs = billed(support(in_a_loop, tools=tuple(tools), source=EVIL, benchmark=f"{EVIL}b"))
    faults = Faults()
    faults.add(EVIL, EVIL)
    made = advise([*runs, *(replace(run, model=EVIL, source="x") for run in support(in_a_loop))], faults=faults)
    assert {finding.kind for finding in made.findings} == {"loops", "unused_tools"}
    shown = [str(made), on_terminal(made), *(finding.code for finding in made.findings)]
    for text in (*shown, json.dumps(made.to_dict()["findings"][0]["evidence"], ensure_ascii=False)):
        assert not set("\x1b\x07\u202e") & set(text)


def test_no_runs_are_told_as_such() -> None:
    """Without runs there is nothing to advise; without findings no more is claimed than could be looked at."""
    assert "There are no runs." in str(advise([]))
    few = advise(support(runs=3))
    assert "Nothing was found in what could be looked at; what could not is named below." in str(few)
    assert "Not looked at" in str(few)
    assert "unused_tools: it takes 21 runs of known texts (3 runs)" in str(few)
    assert "Nothing was found, of all that is looked for." in str(replace(few, unjudged=()))
    assert few.to_dict()["not_looked_at"][-1] == {
        "kind": "unused_tools",
        "why": "it takes 21 runs of known texts",
        "runs": 3,
    }


def test_what_is_not_complete_says_so(several: Advice) -> None:
    """An interrupted reading and faults are noted under the findings."""
    faults = Faults()
    faults.add("line 3", "not JSON")
    said = str(replace(several, complete=False, faults=faults))
    assert "not all runs were looked at" in said
    assert "1 faults in the traces, the first: line 3: not JSON" in said


def test_the_data_is_json_and_has_every_finding(several: Advice) -> None:
    """The format is named and versioned; dollars are text of full precision, tokens are numbers."""
    data = json.loads(json.dumps(several.to_dict(), allow_nan=False))
    assert (data["format"], data["format_version"], data["complete"]) == ("langchain-agentcost/advice", 1, True)
    assert [one["kind"] for one in data["findings"]] == [finding.kind for finding in several.findings]
    assert data["findings"][0]["saving"]["amount"] == "0.417348900"
    assert isinstance(data["findings"][2]["saving"]["amount"], int)
    assert data["findings"][1]["quality"]["metric"] == "successes that miss nothing they used"
    assert {"effort", "latency", "risk", "code", "evidence", "facts"} <= data["findings"][0].keys()
    assert data["bills"][0]["growth_exponent"] is None or data["bills"][0]["growth_exponent"]["p"] > 0


def test_kinds_are_named_once() -> None:
    """Every kind of finding has a name of its own, and a title."""
    assert len(set(KINDS)) == len(KINDS) == 10
    assert all(kind.title and kind.manner.risk for kind in DETECTORS)
