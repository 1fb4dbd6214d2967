from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.ledger import Entry, Ledger, open_ledger
from langchain_agentcost.ledger.entry import InputSplit
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.advice import Finding, Verdict, advise_ledger
from langchain_agentcost.replay.advice.paid import StandIn
from langchain_agentcost.replay.strategy import Fidelity
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.replay.traces import Faults
from langchain_agentcost.usage import Usage

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
BOOK = PriceBook()
FIRST, STEP = 3_000, 300
"""What a run's first call sends, and what each further call adds."""


def booked(
    number: int,
    *,
    calls: int = 5,
    model: str = "gpt-4.1",
    read_share: float = 0.9,
    output_tokens: int = 40,
    step: int = STEP,
    **fields: Any,
) -> list[Entry]:
    """The model calls of a run: each goes on from the one before."""
    labels = Attribution(run=f"run {number}", workflow="desk", node="answer", provider="openai", model=model)
    entries = []
    for call in range(calls):
        sent = FIRST + call * step
        read = round(read_share * (sent - step)) // 128 * 128 if call else 0
        usage = Usage(sent, output_tokens, cache_read_tokens=read)
        at = START + timedelta(minutes=number, seconds=5 * call)
        card = BOOK.card(model, provider="openai", at=at)
        cost = card.cost(usage) if card is not None else None
        split = InputSplit(new_tokens=sent if not call else step, resent_tokens=sent - step if call else 0)
        made = Entry(f"{number}.{call}", "llm", at, labels, usage=usage, cost=cost, split=split)
        entries.append(replace(made, **fields))
    return entries


def outcome(number: int, *, success: bool) -> Entry:
    """What a run achieved."""
    at = START + timedelta(days=1, minutes=number)
    return Entry(f"outcome {number}", "outcome", at, Attribution(run=f"run {number}"), name="solved", success=success)


def tool(number: int, turn: float, *, failed: bool = False) -> Entry:
    """A tool call between the model calls of a run."""
    at = START + timedelta(minutes=number, seconds=5 * turn + 2)
    labels = Attribution(run=f"run {number}", workflow="desk", tool="search")
    return Entry(f"tool {number}.{turn}", "tool", at, labels, status="error" if failed else "ok")


def ledger_of(*runs: Iterable[Entry]) -> Ledger:
    """A ledger with these entries."""
    ledger = open_ledger("memory://")
    for entries in runs:
        for entry in entries:
            ledger.append(entry)
    return ledger


def found(*runs: Iterable[Entry], **given: Any) -> dict[str, Finding]:
    """The findings of a ledger by kind; each kind once."""
    made = advise_ledger(ledger_of(*runs), **given).findings
    assert len({finding.kind for finding in made}) == len(made)
    return {finding.kind: finding for finding in made}


def good(number: int) -> list[Entry]:
    """A run that does nothing wrong."""
    return [*booked(number, calls=4 + number % 3), outcome(number, success=True)]


def test_nothing_is_found_in_a_ledger_of_good_runs() -> None:
    """Hit cache, successes, short contexts: no finding."""
    assert found(*map(good, range(20))) == {}


def test_an_unused_prompt_cache_is_found_by_lengths_as_an_upper_bound() -> None:
    """Prompts that only grow would have been read from the cache; without fingerprints that is a bound."""
    findings = found(*(booked(number, read_share=0) for number in range(20)))
    assert list(findings) == ["prompt_cache"]
    cache = findings["prompt_cache"]
    assert cache.saving.fidelity is Fidelity.PRICE_BOUND
    assert cache.verdict is Verdict.YET
    assert cache.why == "an upper bound, told by the lengths of prompts; quality is not touched"
    assert cache.saving.pct > 40
    assert cache.facts["read_tokens"] == 0


def prints(call: int, *, stable: bool) -> tuple[tuple[str, int], ...]:
    """The fingerprints of a prompt: a long first message, then short ones; the first changes if it is not stable."""
    head = "head" if stable else f"head {call}"
    return ((head, FIRST), *((f"message {number}", STEP) for number in range(call)))


def test_fingerprints_tell_what_prompts_have_in_common() -> None:
    """With fingerprints the saving is exact: prompts with the same beginning have it, those with another do not."""

    def run(number: int, *, stable: bool) -> list[Entry]:
        made = booked(number, read_share=0)
        return [replace(entry, fingerprints=prints(call, stable=stable)) for call, entry in enumerate(made)]

    cache = found(*(run(number, stable=True) for number in range(20)))["prompt_cache"]
    assert cache.saving.fidelity is Fidelity.EXACT
    assert cache.verdict is Verdict.WORTH
    assert found(*(run(number, stable=False) for number in range(20))) == {}


def test_a_beginning_is_the_same_whatever_share_of_the_count_it_has() -> None:
    """A first message that has fewer tokens of a later count than of the first is read all the same."""

    def run(number: int) -> list[Entry]:
        made = booked(number, read_share=0)
        sizes = [FIRST, *(5 * STEP for _ in made)]
        heads = ["head", *(f"message {at}" for at in range(len(made)))]
        return [
            replace(entry, fingerprints=tuple(zip(heads, sizes, strict=True))[: call + 1])
            for call, entry in enumerate(made)
        ]

    cache = found(*map(run, range(20)))["prompt_cache"]
    shares = (  # of the later count, or all of the first
        min(
            FIRST + (call - 1) * STEP,
            (FIRST + call * STEP) * (FIRST + 5 * STEP * (call - 1)) // (FIRST + 5 * STEP * call),
        )
        for call in range(1, 5)
    )
    assert cache.saving.fidelity is Fidelity.EXACT
    assert cache.facts["promised_read_tokens"] == 20 * sum(share // 128 * 128 for share in shares)


def test_a_shorter_prompt_without_fingerprints_is_another_one() -> None:
    """By lengths only, a prompt that is shorter than the one before does not go on from it."""
    shrinking = (booked(number, read_share=0, step=-STEP) for number in range(20))
    assert found(*shrinking) == {}


def test_runs_of_one_call_are_not_looked_at() -> None:
    """Single calls without fingerprints or outcomes say nothing of caches, failures, texts and tools."""
    made = advise_ledger(ledger_of(*(booked(number, calls=1) for number in range(24))))
    assert made.findings == ()
    why = {one.kind: one.why for one in made.unjudged}
    assert why["prompt_cache"] == "no run has a second call"
    assert {"volatile_prefix", "failed_runs", "unused_tools", "repeats", "context_growth"} <= why.keys()
    assert "Nothing was found in what could be looked at" in str(made)


def test_a_prompt_that_comes_too_late_reads_nothing() -> None:
    """Calls that are further apart than the provider keeps a prompt could not have hit the cache."""

    def slow(number: int) -> list[Entry]:
        made = booked(number, read_share=0)
        return [replace(entry, at=entry.at + timedelta(hours=call)) for call, entry in enumerate(made)]

    assert found(*map(slow, range(20))) == {}


def test_failed_runs_are_found_by_their_outcomes() -> None:
    """Outcomes of runs say what failed, and failed runs beyond the length of any success could be stopped."""
    failed = ([*booked(number, calls=40, step=20), outcome(number, success=False)] for number in range(100, 120))
    findings = found(*map(good, range(60)), *failed)
    assert list(findings) == ["failed_runs"]
    assert findings["failed_runs"].facts["failed_runs"] == 20
    assert findings["failed_runs"].kept is not None
    assert findings["failed_runs"].kept.good == 60


def test_a_tool_that_fails_again_and_again_is_a_loop() -> None:
    """Eight failures in a row trip the breaker: what the run spends after them is saved."""

    def stuck(number: int) -> list[Entry]:
        tools = [tool(number, turn, failed=True) for turn in range(20)]
        return [*booked(number, calls=20, step=10), *tools]

    findings = found(*(booked(number, step=10) for number in range(20)), *map(stuck, range(100, 105)))
    assert list(findings) == ["loops"]
    assert findings["loops"].facts["stops"] == {"tool_errors": 5}
    assert findings["loops"].facts["runs_stopped"] == 5
    assert "search 8 times" in "\n".join(findings["loops"].evidence)


def test_tools_that_fail_now_and_then_are_no_loop() -> None:
    """A success in between starts the count again."""
    runs = [
        [*booked(number, calls=20, step=10), *(tool(number, turn, failed=turn % 5 > 0) for turn in range(20))]
        for number in range(5)
    ]
    assert found(*(booked(number, step=10) for number in range(100, 120)), *runs) == {}


def test_large_tool_results_are_found_by_the_split_of_the_input() -> None:
    """Results pile up in the context: their share is added up call by call, and cutting them is tried."""

    def reading(number: int) -> list[Entry]:
        made = booked(number, step=4_000)
        split = InputSplit(new_tokens=50, tool_result_tokens=3_950)
        return [replace(entry, split=split) if call else entry for call, entry in enumerate(made)]

    findings = found(*map(reading, range(20)))
    assert list(findings) == ["tool_results"]
    results = findings["tool_results"]
    assert results.saving.pct > 30
    assert results.verdict is Verdict.YET
    assert results.kept is not None
    assert results.kept.trials == 0
    assert "not known without texts" in "\n".join(results.evidence)


def test_output_is_found_as_the_main_cost() -> None:
    """Long answers to short prompts are most of the bill."""
    assert list(found(*(booked(number, output_tokens=3_000) for number in range(20)))) == ["output"]


def test_growth_is_fitted_over_the_runs_of_a_ledger() -> None:
    """Runs of many lengths whose context piles up have an exponent near 2."""
    runs = [booked(number, calls=3 + 2 * number, step=3_000) for number in range(20)]
    made = advise_ledger(ledger_of(*runs))
    fitted = made.bills[0].growth.fit()
    assert fitted is not None
    assert 1.7 < fitted.p < 2.1


def test_the_bill_is_what_was_booked_with_its_corrections() -> None:
    """A correction changes the bill of its run."""
    entries = booked(1)
    assert entries[0].cost is not None
    fix = Entry(
        "fix", "correction", START, entries[0].attribution, parent_id="1.0", cost=entries[0].cost, name="repriced"
    )
    plain, fixed = (advise_ledger(ledger_of(one)).bills[0].amount for one in (entries, [*entries, fix]))
    assert fixed - plain == entries[0].cost.total_nano


def test_a_model_without_a_price_is_counted_in_tokens_or_priced_as_another() -> None:
    """Tokens where no price is known; a stand-in makes them dollars."""
    runs = [booked(number, model="our-own") for number in range(3)]
    [bill] = advise_ledger(ledger_of(*runs)).bills
    assert (bill.unit, bill.amount) == ("tokens", bill.input_tokens + bill.output_tokens)
    [priced] = advise_ledger(ledger_of(*runs), tariffs=StandIn(Tariffs(), "gpt-4.1")).bills
    assert priced.unit == "usd"


def test_each_model_of_a_run_is_traffic_of_its_own() -> None:
    """A run that calls two models is on two bills."""
    mixed = [*booked(1), *(replace(one, id=f"b{one.id}") for one in booked(1, model="gpt-4.1-mini"))]
    assert sorted(bill.traffic.model or "" for bill in advise_ledger(ledger_of(mixed)).bills) == [
        "gpt-4.1",
        "gpt-4.1-mini",
    ]


def test_refused_calls_are_no_calls() -> None:
    """A call without usage, as one that the provider refused, is left out."""
    refused = Entry("no", "llm", START, Attribution(run="run 1", model="gpt-4.1"), status="error")
    [bill] = advise_ledger(ledger_of([*booked(1), refused])).bills
    assert bill.calls == 5


def test_entries_that_come_after_a_thousand_other_runs_are_named() -> None:
    """A run that is paused for longer than a thousand others take is told, and what came of it before is kept."""
    late = replace(booked(1)[0], id="late", at=START + timedelta(days=30))
    others = (booked(number, calls=1) for number in range(2, 1_005))
    faults = Faults()
    made = advise_ledger(ledger_of(booked(1), *others, [late]), faults=faults)
    assert made.faults is faults
    assert faults.count == 1
    assert "late" in str(faults.named[0])
