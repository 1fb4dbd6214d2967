"""What every ledger does. A new back end passes these by joining the fixture's parameters."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.errors import InvalidEntry, QueryError, StoreUnavailable
from langchain_agentcost.ledger import Entry, Ledger, MemoryLedger, SQLiteLedger, sqlite
from langchain_agentcost.ledger.query import CONDITIONS, GROUPS
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage
from tests.ledger.made import NOON, call, entries, few
from tests.ledger.reference import reference_matching, reference_totals

batches = st.lists(entries, max_size=25)
instants = st.none() | few([NOON + timedelta(hours=h) for h in (-60, -12, -3, 0, 12, 36, 100)])
groupings = st.lists(few([*GROUPS, "tag:team", "tag:x'y", "tag:none"]), max_size=3)
wheres = st.fixed_dictionaries(
    {},
    optional={
        "tenant": few([None, "a", ["a", None]]),
        "user": few([None, "a", ["a", "b/c"], []]),
        "session": few([None, "a"]),
        "kind": few(["llm", ["llm", "tool", "nonsense"]]),
        "status": few(["ok", None]),
        "step": few([1, "2", [1, None]]),
        "name": few(["priced", [None, "resolved"]]),
        "tag:team": few(["1", None]),
    },
)


def both(batch: list[Entry], folder: str) -> tuple[MemoryLedger, SQLiteLedger]:
    """The same entries in each kind of ledger."""
    made = MemoryLedger(), SQLiteLedger(Path(folder, "ledger.db"))
    for entry in batch:
        for ledger in made:
            ledger.append(entry)
    return made


def test_is_a_ledger(ledger: Ledger) -> None:
    """Every back end has the protocol's methods."""
    assert isinstance(ledger, Ledger)


@settings(max_examples=40, deadline=None)
@given(batches)
def test_entries_come_back_as_they_went_in(batch: list[Entry]) -> None:
    """Whatever an entry holds is given back unchanged, the first of each id, in the order of time."""
    first = {entry.id: entry for entry in reversed(batch)}
    expected = sorted((e for e in batch if first[e.id] is e), key=lambda e: e.at)
    with TemporaryDirectory() as folder:
        for ledger in both(batch, folder):
            with ledger:
                assert list(ledger.entries()) == expected


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_totals_are_the_sums_of_the_entries(data: st.DataObject) -> None:
    """Totals equal a plain fold over the entries, for every grouping, filter and time, whatever was summed before."""
    batch, by = data.draw(batches), data.draw(groupings)
    where: dict[str, Any] = data.draw(wheres)
    since, until = data.draw(instants), data.draw(instants)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "FOLD_EVERY", data.draw(few([1, 3, 1024])))
        for ledger in both(batch, folder):
            with ledger:
                ledger.totals(by)
                wanted = reference_matching(ledger.entries(), where, since, until)
                assert list(ledger.entries(where, since, until)) == wanted
                assert list(ledger.totals(by, where, since, until)) == reference_totals(wanted, by)


def test_an_id_counts_once(ledger: Ledger) -> None:
    """The second entry with an id changes nothing, whatever it says."""
    ledger.append(call(1, node="a"))
    ledger.append(call(1, node="b", minutes=5))
    assert [(t.key, t.calls) for t in ledger.totals(("node",))] == [(("a",), 1)]


def test_an_empty_ledger_has_no_totals(ledger: Ledger) -> None:
    """Nothing in, nothing out: no group is made up."""
    assert ledger.totals() == ()
    assert list(ledger.entries()) == []


def test_the_dearest_group_comes_first(ledger: Ledger) -> None:
    """Groups are in the order of their cost, then of their key, with what is not stated first."""
    for number, node in enumerate(["b", "a", "b", None]):
        ledger.append(call(number, node=node))
    assert [total.key for total in ledger.totals(("node",))] == [("b",), (None,), ("a",)]


def test_a_price_that_came_later_takes_back_the_unpriced_call(ledger: Ledger) -> None:
    """A correction named "priced" adds its cost and takes one from the unpriced calls; other names move money only."""
    unknown = Entry("r1", "llm", NOON, Attribution(model="m"), usage=Usage(input_tokens=5))
    ledger.append(unknown)
    assert ledger.totals()[0].unpriced_calls == 1
    ledger.append(Entry("c1", "correction", NOON, unknown.attribution, cost=Cost(70), parent_id="r1", name="priced"))
    ledger.append(Entry("c2", "correction", NOON, unknown.attribution, cost=Cost(-20), parent_id="r1", name="repriced"))
    (total,) = ledger.totals(("model",))
    assert (total.calls, total.unpriced_calls, total.cost.total_nano) == (1, 0, 50)


def test_a_cache_hit_consumes_nothing(ledger: Ledger) -> None:
    """A cache hit is a call with savings; its tokens were never sent."""
    ledger.append(Entry("r1", "cache_hit", NOON, usage=Usage(input_tokens=9), cost=Cost(), saved=Cost(40, 40)))
    (total,) = ledger.totals()
    assert (total.calls, total.llm_calls, total.cache_hits) == (1, 0, 1)
    assert (total.usage.input_tokens, total.saved.total_nano, total.cost.total_nano) == (0, 40, 0)


def test_latency_percentiles_are_within_one_percent(ledger: Ledger) -> None:
    """The median and the 95th percentile differ from the exact ones by at most 1 %."""
    for number in range(1, 101):
        ledger.append(Entry(f"r{number}", "llm", NOON, duration_s=number / 7))
    (total,) = ledger.totals()
    assert total.latency_p50_s == pytest.approx(50 / 7, rel=0.01)
    assert total.latency_p95_s == pytest.approx(95 / 7, rel=0.01)


def test_an_instant_in_another_zone_is_the_same_instant(ledger: Ledger) -> None:
    """Instants are compared and grouped by day in UTC."""
    late = datetime(2026, 11, 23, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    ledger.append(Entry("r1", "llm", late))
    assert ledger.totals(("day",))[0].key == ("2026-11-24",)
    assert len(list(ledger.entries(since=late, until=late + timedelta(microseconds=1)))) == 1
    assert list(ledger.entries(until=late)) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Entry("r1", "llm", datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001  # what is refused
        (Entry("r1", "llm", datetime(1969, 1, 1, tzinfo=UTC)), "before 1970"),
        (Entry("r1", "llm", NOON, usage=Usage(output_tokens=2**60)), "beyond"),
        (Entry("r1", "llm", NOON, cost=Cost(-(2**70))), "beyond"),
        (Entry("r1", "llm", NOON, saved=Cost(2**70)), "beyond"),
    ],
)
def test_an_entry_that_would_spoil_the_sums_is_refused(ledger: Ledger, bad: Entry, message: str) -> None:
    """What cannot be kept or added up is refused by name, and the ledger goes on."""
    with pytest.raises(InvalidEntry, match=message):
        ledger.append(bad)
    ledger.append(call(2))
    assert ledger.totals()[0].calls == 1


@pytest.mark.parametrize("evil", ["user' OR 1=1 --", "e.id", "tag", "tag:", "", "tags", 'node"', "rowid", "x" * 10**6])
def test_a_column_that_does_not_exist_is_refused_by_name(ledger: Ledger, evil: str) -> None:
    """Columns come from a list; the error names it, briefly, and nothing else reaches the store."""
    for ask in (
        lambda: ledger.totals((evil,)),
        lambda: ledger.entries({evil: "x"}),
        lambda: ledger.totals((), {evil: "x"}),
    ):
        with pytest.raises(QueryError, match=r"choose from .*node.* or tag:NAME") as raised:
            ask()
        assert len(str(raised.value)) < 500


def test_sql_in_values_and_tag_names_is_only_text(ledger: Ledger) -> None:
    """Text that looks like SQL is stored, grouped by and filtered on like any other."""
    evil = "'; DROP TABLE entry; --"
    ledger.append(call(1, user=evil, tags=((evil, evil),)))
    ledger.append(call(2, user="ann"))
    assert [total.key for total in ledger.totals((f"tag:{evil}", "user"))] == [(None, "ann"), (evil, evil)]
    assert [entry.id for entry in ledger.entries({f"tag:{evil}": evil, "user": [evil]})] == [call(1).id]
    assert ledger.totals((), {"user": "' OR '1'='1"}) == ()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"step": "three"}, "step must be compared with a whole number"),
        ({"step": True}, "whole number"),
        ({"attempt": 2**70}, "whole number"),
        ({"user": 7}, "user must be compared with text"),
        ({"user": ["x"] * 20_000}, "at most 10000"),
    ],
)
def test_a_value_that_a_column_cannot_have_is_refused(ledger: Ledger, where: dict[str, Any], message: str) -> None:
    """A comparison that could never hold is a mistake, and said to be one."""
    with pytest.raises(QueryError, match=message):
        ledger.entries(where)


def test_many_values_may_be_asked_for(ledger: Ledger) -> None:
    """A column may be one of thousands of values."""
    ledger.append(call(1, user="u7"))
    assert ledger.totals((), {"user": [f"u{n}" for n in range(10_000)]})[0].calls == 1


@pytest.mark.parametrize("argument", ["since", "until"])
def test_an_instant_without_a_zone_is_refused(ledger: Ledger, argument: str) -> None:
    """A naive instant could mean any hour: it is refused with the remedy."""
    naive: Any = {argument: datetime(2026, 1, 1)}  # noqa: DTZ001  # what is refused
    with pytest.raises(QueryError, match="add tzinfo=UTC"):
        ledger.totals((), **naive)


def test_every_column_can_be_grouped_by_and_filtered_on(ledger: Ledger) -> None:
    """No name on the lists is an empty promise."""
    ledger.append(call(1))
    for name in GROUPS:
        assert len(ledger.totals((name,))) == 1
    for name in CONDITIONS:
        assert len(list(ledger.entries({name: None}))) == (name not in ("kind", "status", "id", "attempt"))


def test_appending_while_iterating_is_safe(ledger: Ledger) -> None:
    """A re-pricing reads and writes at once: the iteration sees the ledger as it was when it began."""
    for number in range(1200):
        ledger.append(call(number))
    seen = 0
    for entry in ledger.entries():
        ledger.append(Entry(f"c-{entry.id}", "correction", entry.at, cost=Cost(1), parent_id=entry.id))
        seen += 1
    assert seen == 1200
    assert ledger.totals()[0].cost.total_nano == 1200 * 3001


def test_threads_lose_nothing(ledger: Ledger) -> None:
    """Eight threads that append and report at once lose no entry and count none twice."""

    def work(worker: int) -> None:
        for number in range(150):
            ledger.append(call(worker * 1000 + number, user=f"u{worker}"))
            if number % 50 == 0:
                ledger.totals(("user",))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((total.key[0], total.calls) for total in ledger.totals(("user",))) == [
        (f"u{w}", 150) for w in range(8)
    ]


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    """Using a ledger after closing it is an error with a remedy; closing it twice is none."""
    ledger.close()
    ledger.close()
    with pytest.raises(StoreUnavailable, match="closed; open"):
        ledger.append(call(1))
    with pytest.raises(StoreUnavailable, match="closed; open"):
        ledger.totals()


def test_an_append_within_an_append_is_kept(ledger: Ledger) -> None:
    """The collector may close an abandoned stream, and so book it, in the middle of another append."""
    nested = iter(range(1000, 1040))

    def collected(phase: str, _: dict[str, int]) -> None:
        number = next(nested, None)
        if number is not None and phase == "stop":
            ledger.append(call(number, user=f"u{number}"))

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    try:
        for number in range(200):
            ledger.append(replace(call(number, user=f"u{number % 40}"), fingerprints=(("ab", number),)))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collected)
    assert len(list(ledger.entries())) == ledger.totals()[0].calls == 220


@pytest.mark.parametrize("broken", [{"kind": "lmm"}, {"status": "fine"}])
def test_an_unknown_kind_or_status_is_refused(ledger: Ledger, broken: dict[str, Any]) -> None:
    """A kind or status that no reader would know is not kept."""
    with pytest.raises(InvalidEntry, match="no known kind or status"):
        ledger.append(replace(call(1), **broken))


def test_text_that_is_not_unicode_is_refused(ledger: Ledger) -> None:
    """Half a surrogate pair cannot be asked for."""
    with pytest.raises(QueryError, match="not Unicode"):
        ledger.totals((), {"user": "\ud800"})


def test_a_tag_may_hold_any_text(ledger: Ledger) -> None:
    """A tag's value comes back whole, with a NUL and a quote in it, as a group and as a filter."""
    value = "a\x00b'\"\n"
    ledger.append(call(1, tags=(("team", value),)))
    assert ledger.totals(("tag:team",))[0].key == (value,)
    assert ledger.totals((), {"tag:team": value})[0].calls == 1
    assert ledger.totals((), {"tag:team": "a"}) == ()
