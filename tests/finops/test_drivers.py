from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from langchain_agentcost.finops import Drivers, drivers
from langchain_agentcost.finops.amounts import cost_of
from langchain_agentcost.ledger import Entry, InputSplit, Total
from langchain_agentcost.pricing.cost import PARTS
from langchain_agentcost.usage import Usage
from tests.finops.booked import BACK_ENDS, START, Book, booked, cost, ledgers, opened, usd

PROMPT = Usage(input_tokens=100, cache_read_tokens=40, output_tokens=10)
SPLIT = InputSplit(tool_schema_tokens=20, resent_tokens=30, new_tokens=40, tool_result_tokens=10)
BILL = cost(cache_read=40, input=600, output=100)


def _nano(made: Drivers) -> dict[str, int]:
    return {str(row.key[-1]): row.cost.total_nano for row in made.rows}


def _notes(made: Drivers) -> dict[str, str]:
    return {note.name: note.text for note in made.notes}


@given(ledgers())
@settings(max_examples=100)
def test_the_parts_sum_to_the_total(entries: list[Entry]) -> None:
    """Over any ledger the drivers add up to its total, in each part of the cost, and in tokens."""
    ledger = booked(*entries)
    made, total = drivers(ledger), next(iter(ledger.totals()), Total())
    for name in PARTS:
        assert sum(getattr(row.cost, name) for row in made.rows) == getattr(total.cost, name)
    for name in ("input_tokens", "output_tokens", "cache_read_tokens"):
        assert sum(getattr(row.usage, name) for row in made.rows) == getattr(total.usage, name)
    assert sum(made.parts.values()) == total.cost.usd == made.total.cost.usd


@given(ledgers())
@settings(max_examples=40)
def test_the_parts_of_a_group_sum_to_its_total(entries: list[Entry]) -> None:
    """Grouped by tenant and node, each group's drivers add up to what the ledger says of the group."""
    ledger = booked(*entries)
    sums: Counter[Any] = Counter()
    for row in drivers(ledger, by="tenant,node").rows:
        sums[row.key[:2]] += row.cost.total_nano
    # A correction counts where the call that it corrects is booked, so only the uncorrected groups can be compared.
    if not any(entry.kind == "correction" for entry in entries):
        expected = {total.key: total.cost.total_nano for total in ledger.totals(("tenant", "node"))}
        assert +sums == +Counter(expected)
    assert sum(sums.values()) == sum(total.cost.total_nano for total in ledger.totals())


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_input_is_divided_by_what_it_is_made_of(back_end: str, tmp_path: Path) -> None:
    """Schemas, re-sent, new context and tool results get what their tokens were billed; the rest is output and fees."""
    bill = cost(cache_read=40, input=600, output=100, request=5, tool=7)
    with opened(back_end, tmp_path, Book()(usage=PROMPT, split=SPLIT, cost=bill)) as ledger:
        made = drivers(ledger)
    assert _nano(made) == {
        "new context": 400,
        "re-sent context": 20 + 100,
        "output": 100,
        "tool results": 100,
        "tool schemas": 20,
        "tools": 7,
        "request fees": 5,
    }
    assert made.parts["re-sent context"] == usd("1.20E-7")
    resent = next(row for row in made.rows if row.key == ("re-sent context",))
    assert (resent.usage.input_tokens, resent.usage.cache_read_tokens, resent.cost.cache_read_nano) == (30, 20, 20)


@pytest.mark.parametrize("split", [None, InputSplit(new_tokens=99)], ids=["none", "of another prompt"])
def test_input_without_a_usable_split_is_not_guessed(split: InputSplit | None) -> None:
    """Where the make-up is not known, the input stays one slice that says so."""
    made = drivers(booked(Book()(usage=PROMPT, split=split, cost=BILL)))
    assert _nano(made) == {"input, not analysed": 640, "output": 100}


@pytest.mark.parametrize(
    ("fields", "driver"),
    [
        ({"status": "error", "attempt": 2, "purpose": "verification", "run": "gone"}, "failed calls"),
        ({"status": "aborted"}, "failed calls"),
        ({"attempt": 2, "purpose": "verification", "run": "gone"}, "abandoned branches"),
        ({"attempt": 2, "purpose": "verification"}, "retries"),
        ({"purpose": "verification"}, "verification"),
        ({"purpose": "summarization"}, "overhead"),
        ({"kind": "embedding", "purpose": "semantic_cache"}, "overhead"),
        ({"kind": "embedding"}, "embeddings"),
        ({"kind": "tool"}, "tools"),
        ({"kind": "retriever"}, "tools"),
        ({"kind": "tool", "status": "error"}, "failed calls"),
        ({"kind": "saving"}, "overhead"),
    ],
)
def test_a_whole_call_goes_to_the_first_driver_that_it_is(fields: dict[str, Any], driver: str) -> None:
    """Failed before abandoned before retried before verification before overhead before kind: never in two."""
    book = Book()
    call = book(**{"cost": BILL, "usage": PROMPT, "split": SPLIT, "kind": "llm", **fields})
    assert _nano(drivers(booked(call, book.outcome("abandoned", success=False, run="gone")))) == {driver: 740}


def test_a_mark_covers_its_branch_and_nothing_beside_it() -> None:
    """A mark with a node covers that node and all below; the same node of another run is not abandoned."""
    book = Book()
    nodes = ["plan", "plan/search", "plan/search/read", "planning", None]
    calls = [book(nano=10**at, node=node, run="r1") for at, node in enumerate(nodes)]
    other = book(nano=10**6, node="plan", run="r2")
    mark = book.outcome("abandoned", success=False, run="r1", node="plan")
    assert _nano(drivers(booked(*calls, other, mark))) == {"output": 1_011_000, "abandoned branches": 111}


def test_a_mark_counts_wherever_and_whenever_it_was_made() -> None:
    """A branch is given up after the calls, and by somebody who does not know the tenant."""
    book = Book()
    mark = book.outcome("abandoned", success=False, run="r", at=START + timedelta(days=9))
    made = drivers(
        booked(book(nano=5, run="r", tenant="acme"), mark), where={"tenant": "acme"}, until=START + timedelta(days=1)
    )
    assert _nano(made) == {"abandoned branches": 5}


def test_a_re_pricing_counts_with_the_call_that_it_corrects() -> None:
    """The corrected amount is divided like the call's own cost, and an unpriced call becomes known by it."""
    book = Book()
    entries = [
        book(cost=BILL, usage=PROMPT, split=SPLIT, attempt=2, tenant="acme"),
        book("correction", parent_id="e1", cost=cost(input=-600, output=-100), tenant="acme"),
        book(purpose="verification"),
        book("correction", parent_id="e3", name="priced", cost=cost(output=9)),
        book("correction", parent_id="elsewhere", cost=cost(output=3)),
    ]
    made = drivers(booked(*entries))
    assert _nano(made) == {"retries": 40, "verification": 9, "corrections": 3}
    assert [row.unpriced_calls for row in made.rows] == [0, 0, 0]
    assert _nano(drivers(booked(*entries), where={"kind": "llm"})) == {"retries": 740, "verification": 0}


def test_an_unpriced_call_makes_its_drivers_unknown() -> None:
    """A driver without any price is unknown and one with some price at least that much, not $0."""
    book = Book()
    made = drivers(booked(book(usage=PROMPT, split=SPLIT), book(nano=1_000, usage=Usage(output_tokens=4))))
    shown = {str(line).split("  ")[0]: str(line) for line in str(made).splitlines()}
    assert ">= $0.000001" in shown["output"]
    assert "unknown" in shown["tool schemas"]
    assert "$0 " not in shown["new context"]


def test_a_cache_hit_consumes_nothing() -> None:
    """What a hit would have taken is neither a cost nor tokens of any driver; it is a call that cost $0."""
    hit = Book()("cache_hit", usage=PROMPT, cost=cost(), saved=BILL)
    row = drivers(booked(hit)).rows[0]
    assert (row.key, row.calls, row.usage, str(cost_of(row))) == (("cache hits",), 1, Usage(), "$0")


def test_a_correction_of_what_was_no_call_is_a_row_of_its_own() -> None:
    """Nothing that the ledger counts is lost between the rows, whatever a correction names."""
    call = Entry("e1", "llm", START, usage=Usage())
    saving = Entry("e2", "saving", START + timedelta(seconds=1), usage=Usage())
    later = Entry("e3", "correction", START + timedelta(seconds=2), parent_id="e2", name="priced")
    made = drivers(booked(call, saving, later))
    assert sum(row.unpriced_calls for row in made.rows) == made.total.unpriced_calls == 0


@given(ledgers())
@settings(max_examples=100)
def test_files_have_rows_that_sum_to_the_total(entries: list[Entry]) -> None:
    """Over any ledger every count of calls and tokens and every amount in CSV adds up to what JSON says in all."""
    made = drivers(booked(*entries))
    rows, whole = list(csv.DictReader(io.StringIO(made.to_csv()))), json.loads(made.to_json())["total"]
    for name in ("calls", "unpriced_calls", "input_tokens", "output_tokens", "cost_input_usd", "cost_tool_usd"):
        assert sum(Decimal(row[name] or 0) for row in rows) == Decimal(whole[name] or 0), name
    total = next(iter(booked(*entries).totals()), Total())
    assert (whole["calls"], whole["unpriced_calls"]) == (total.calls, total.unpriced_calls)


def test_a_call_that_is_cut_is_counted_where_most_of_its_cost_went() -> None:
    """It touches each of its drivers, which people see, and counts for one; the total is in the lines below."""
    made = drivers(booked(Book()(usage=PROMPT, split=SPLIT, cost=BILL), Book()(id="x", usage=PROMPT, split=SPLIT)))
    rows = {str(row.key[0]): row for row in made.rows}
    assert {name: row.calls for name, row in rows.items() if row.calls} == {"new context": 2}
    assert {name: row.unpriced_calls for name, row in rows.items() if row.unpriced_calls} == {"new context": 1}
    assert {row["calls_touched"] for row in json.loads(made.to_json())["rows"]} == {2}
    assert json.loads(made.to_json())["total"]["calls_touched"] is None
    assert _notes(made)["Calls"] == "2 in all; one is in every row that it has a part in"


def test_the_model_of_a_prompt_is_stated() -> None:
    """Who reads "re-sent context" learns how a prompt is cut, in whatever form the report comes."""
    made = drivers(booked())
    assert _notes(made)["Input split"] == (
        "a prompt is read as tool schemas, re-sent context, then new context and tool results; the prompt cache serves "
        "it from the front; parts are cut by tokens"
    )
    assert "parts are cut by tokens" in str(made)


def test_calls_per_request_and_the_multiple_are_stated() -> None:
    """A run costs the multiple of one call with its first new input and its last output."""
    book = Book()
    first = book(run="r", usage=PROMPT, split=SPLIT, cost=BILL)
    last = book(run="r", usage=PROMPT, split=SPLIT, cost=cost(cache_read=40, input=600, output=100))
    tool = book("tool", run="r", nano=520)
    made = drivers(booked(first, last, tool))
    assert (made.requests.runs, made.requests.calls_p50) == (1, 2)
    assert made.multiple.p50 == made.multiple.overall == (740 + 740 + 520) / (400 + 100)
    assert _notes(made)["Multiple"] == (
        "p50 4.0x, p90 4.0x, overall 4.0x (baseline: one call with the new input of the run's first model call and "
        "the output of its last, as billed)"
    )


def test_the_baseline_is_the_agents_own_work() -> None:
    """A failed first try and a verification at the end are not what one call would have been."""
    book = Book()
    own: dict[str, Any] = {"usage": PROMPT, "split": SPLIT, "cost": BILL, "run": "r"}
    made = drivers(booked(book(**own, status="error"), book(**own), book(**own, purpose="verification")))
    assert made.multiple.p50 == 3 * 740 / 500


def test_a_stated_baseline_replaces_the_computed_one() -> None:
    """A user who knows what a chat costs can say so."""
    book = Book()
    calls = [book(nano=nano, run=f"r{nano}") for nano in (100, 300, 500)]
    made = drivers(booked(*calls), baseline=usd("0.0000001"))
    assert (made.multiple.p50, made.multiple.p90, made.multiple.overall) == (3.0, 5.0, 3.0)
    assert "baseline: $0.0000001 a request, as stated" in _notes(made)["Multiple"]


def test_runs_whose_cost_is_unknown_are_left_out_of_the_multiple() -> None:
    """A run with an unpriced call has no multiple, and the line says how many there are."""
    book = Book()
    made = drivers(booked(book(nano=5, run="a"), book(run="b"), book(nano=5, run="b"), book(nano=1)))
    assert (made.multiple.runs, made.multiple.left_out) == (1, 1)
    assert _notes(made)["Multiple"].endswith("; 1 runs left out, cost or answer unknown")
    assert "not known" in _notes(drivers(booked(book(run="x"))))["Multiple"]


def test_groups_come_before_drivers() -> None:
    """Grouped by agent, the dearest agent comes first with all its drivers."""
    book = Book()
    calls = [book(nano=9, agent="a"), book("tool", nano=6, agent="b"), book(nano=5, agent="b")]
    assert [row.key for row in drivers(booked(*calls), by="agent").rows] == [
        ("b", "tools"),
        ("b", "output"),
        ("a", "output"),
    ]
