import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from rich.console import Console
from typer.testing import Result

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.demo.compare_arm import Arm
from langchain_agentcost.demo.compare_features import with_cache
from langchain_agentcost.demo.compare_savings import Savings
from langchain_agentcost.demo.compare_tables import Table, parts, results, usd
from langchain_agentcost.demo.compare_tickets import compared
from langchain_agentcost.demo.models import BILLED_AS, BILLED_AS_UNDER_A_BUDGET, ECONOMY_ALIAS
from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.demo.shop import ShopTools, refunded_orders
from langchain_agentcost.demo.tickets import TICKETS
from langchain_agentcost.ledger import Entry, open_ledger
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.pricing import Cost, PriceBook, PriceCard
from langchain_agentcost.routed import TIER
from langchain_agentcost.usage import Usage
from tests.demo.test_demo_command import run

FERN: RunnableConfig = {"configurable": {"tenant": "fernshop"}, "metadata": {"tenant": "fernshop"}}
FEE = 100_000
"""What a tool call costs, in nano-USD."""


def card(name: str) -> PriceCard:
    """Give a list price."""
    provider, _, model = name.partition(":")
    found = PriceBook().card(model, provider=provider)
    assert found is not None
    return found


CARDS = {"small": card(BILLED_AS), "frontier": card(BILLED_AS_UNDER_A_BUDGET)}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The comparison of two tickets and one that comes again, on the real model: what it printed, and its ledger."""
    folder = tmp_path_factory.mktemp("compare")
    return run("--compare", "--tickets", 2, "--out", folder, "--ledger", folder / "l.db"), folder / "l.db"


def amounts(output: str) -> dict[str, int]:
    """Read the nano-USD of each row of the table of parts."""
    _, _, table = output.partition("Where the difference comes from")
    found = re.findall(r"^(\S.*?)  +(-?)\$(\d+\.\d{9})", table, re.MULTILINE)
    return {name: int(Decimal(sign + figure) * 10**9) for name, sign, figure in found}


def test_what_is_printed_adds_up_to_the_difference_of_the_bills(shown: tuple[Result, Path]) -> None:
    """The rows add up to the last one, to the nano-dollar, and that is what the ledger says of the two variants."""
    result, ledger = shown
    assert result.exit_code == 0, result.output
    rows = amounts(result.output)
    difference = rows.pop("difference of the bills")
    assert sum(rows.values()) == difference > 0
    assert list(rows) == [
        "router",
        "cached answers",
        "cached tool results",
        "models' prompt caches",
        "budget",
        "the runs differ",
    ]
    with open_ledger(f"sqlite:///{ledger}") as kept:
        bills = {total.key[0]: total.cost.total_nano for total in kept.totals(by=("variant",))}
        assert not any(total.unpriced_calls or total.unpriced_savings for total in kept.totals())
    assert difference == bills["off"] - bills["on"]
    for bill in bills.values():
        assert usd(bill) in result.output


def test_the_runs_differ_by_what_was_switched_on(shown: tuple[Result, Path]) -> None:
    """Off, one model answers all; on, two do by the step, and the message that comes again costs nothing at all."""
    _, ledger = shown
    with open_ledger(f"sqlite:///{ledger}") as kept:
        off, on = ({"variant": name} for name in ("off", "on"))
        models = [{row.key[0] for row in kept.totals(by=("model",), where={**w, "kind": "llm"})} for w in (off, on)]
        small = kept.totals(by=("node",), where={**on, f"tag:{TIER}": "small", "kind": "llm"})
        (again,) = kept.totals(where={**on, "tag:ticket": "3"})
        fees = [kept.totals(where={**w, "tool": "track_parcel"})[0].cost.total_nano for w in (off, on)]
        hits = kept.totals(where={**off, "kind": "cache_hit"})
    assert [len(names) for names in models] == [1, 2]
    assert ECONOMY_ALIAS in models[1]
    assert {str(row.key[0]).rpartition("/")[2] for row in small} == {"triage", "extract"}
    assert (again.llm_calls, again.cost.total_nano, again.cache_hits) == (0, 0, 6)
    assert fees == [2 * FEE, FEE]
    assert not hits


def test_each_run_starts_with_the_orders_as_they_were(shown: tuple[Result, Path]) -> None:
    """The refund of the first run is none that the second one finds: both refund it anew, and both resolve it."""
    result, ledger = shown
    assert len(re.findall(r"ticket +2/3 .* resolved", result.output)) == 2
    assert refunded_orders(ledger.with_name("shop.db")) == {1002}
    with open_ledger(f"sqlite:///{ledger}") as kept:
        assert [total.calls for total in kept.totals(by=("variant",), where={"tool": "refund_order"})] == [1, 1]


def test_it_says_what_is_real_and_what_is_a_price(shown: tuple[Result, Path]) -> None:
    """Whoever reads it learns that one model plays both tiers, and with which commands to look further."""
    result, ledger = shown
    for said in (
        "Both tiers are the same model",
        "a bound by price",
        BILLED_AS,
        BILLED_AS_UNDER_A_BUDGET,
        f"report {ledger} --by variant,node",
        f"router report {ledger}",
        "of 3",
        "guards",
    ):
        assert said in result.output


def usages(cached: st.SearchStrategy[int]) -> st.SearchStrategy[Usage]:
    """Draw what calls take."""
    return st.builds(lambda prompt, read, out: Usage(prompt, out, cache_read_tokens=min(read, prompt)),
                     st.integers(1, 5_000), cached, st.integers(0, 500))  # fmt: skip


def call(number: int, usage: Usage, tier: str, *, hit: bool = False) -> Entry:
    """Make a model call, or a hit that spared one."""
    cost = CARDS[tier].cost(usage)
    attribution = Attribution(node=f"node{number}", model=tier, tags=((TIER, tier), ("ticket", "1")))
    booked: dict[str, Any] = {"cost": Cost(), "saved": Cost(total_nano=7)} if hit else {"cost": cost}
    kind: Any = "cache_hit" if hit else "llm"
    return Entry(f"{tier}{number}{hit}", kind, datetime.now(UTC), attribution, usage=usage, **booked)


def tool_call(number: int, *, hit: bool = False) -> Entry:
    """Make a tool call, or a hit that spared one."""
    fee = Cost(total_nano=FEE, tool_nano=FEE)
    booked: dict[str, Any] = {"cost": Cost(), "saved": fee} if hit else {"cost": fee}
    kind: Any = "cache_hit" if hit else "tool"
    return Entry(f"tool{number}{hit}", kind, datetime.now(UTC), Attribution(tool="track_parcel"), **booked)


calls = st.lists(
    st.tuples(
        usages(st.integers(0, 5_000)), st.integers(0, 5_000), st.sampled_from(["small", "frontier"]), st.booleans()
    )
)


@given(calls, st.lists(st.booleans(), max_size=5))
def test_runs_with_the_same_calls_differ_by_the_features_alone(
    made: list[tuple[Usage, int, str, bool]], tools: list[bool]
) -> None:
    """Whatever is routed, spared or read from prompt caches: if all calls are the same, nothing is left unexplained."""
    off = [call(at, usage, "frontier") for at, (usage, *_) in enumerate(made)]
    on = [
        call(at, Usage(usage.input_tokens, usage.output_tokens, cache_read_tokens=min(read, usage.input_tokens)),
             tier, hit=hit)
        for at, (usage, read, tier, hit) in enumerate(made)
    ]  # fmt: skip
    off += [tool_call(at) for at in range(len(tools))]
    on += [tool_call(at, hit=hit) for at, hit in enumerate(tools)]
    savings = Savings.of(off, on, CARDS)
    assert savings.differ == 0
    assert savings.saved == savings.router + savings.answers + savings.tools + savings.prompt_cache
    assert savings.tools == FEE * sum(tools)
    assert savings.unknown == 0


def test_each_feature_is_counted_once() -> None:
    """A spared call of the small tier is the cache's at the small price; what that price is lower is the router's."""
    usage = Usage(1_000, 100, cache_read_tokens=400)
    strong, small = (CARDS[tier].cost(usage) for tier in ("frontier", "small"))
    assert strong is not None
    assert small is not None
    off = [call(1, usage, "frontier")]
    routed = Savings.of(off, [call(1, usage, "small")], CARDS)
    assert (routed.router, routed.answers) == (strong.total_nano - small.total_nano, 0)
    spared = Savings.of(off, [call(1, usage, "small", hit=True)], CARDS)
    assert (spared.router, spared.answers) == (strong.total_nano - small.total_nano, small.total_nano)
    alone = Savings.of(off, [call(1, usage, "frontier", hit=True)], CARDS)
    assert (alone.router, alone.answers) == (0, strong.total_nano)


def test_a_spared_call_counts_as_what_it_took_in_the_other_run() -> None:
    """Its prompt would have been read from the model's own cache; only a call that nobody made is the ledger's word."""
    warm, cold = Usage(1_000, 100, cache_read_tokens=900), Usage(1_000, 100)
    really, stated = CARDS["small"].cost(warm), CARDS["small"].cost(cold)
    assert really is not None
    assert stated is not None
    off = [call(1, warm, "frontier")]
    savings = Savings.of(off, [call(1, cold, "small", hit=True)], CARDS)
    assert (savings.answers, savings.prompt_cache, savings.differ) == (really.total_nano, 0, 0)
    assert Savings.of(off, [call(2, cold, "small", hit=True)], CARDS).answers == stated.total_nano


def test_a_call_more_is_shown_as_what_it_costs() -> None:
    """What no feature explains is the remainder, at the strong model's price; the sum still holds."""
    usage = Usage(1_000, 100)
    strong = CARDS["frontier"].cost(usage)
    assert strong is not None
    savings = Savings.of([call(1, usage, "frontier")], [call(1, usage, "small"), call(2, usage, "small")], CARDS)
    assert savings.differ == -strong.total_nano
    assert savings.saved == savings.router + savings.differ


def arm(entries: list[Entry]) -> Arm:
    """Make a run of these entries."""
    return Arm(entries=tuple(entries), models=Total(), tool_calls=0, tool_hits=0, worked=(), tickets=1)


def test_the_remainder_names_the_ticket_that_took_more_calls() -> None:
    """A hit stands where a call would have been; a call more is one of a ticket."""
    usage = Usage(1_000, 100)
    off, spared = [call(1, usage, "frontier")], [call(1, usage, "small", hit=True)]
    for on, said in ((spared, "as many model calls"), ([*spared, call(2, usage, "small")], "+1 in ticket 1")):
        assert said in str(parts(Savings.of(off, on, CARDS), arm(off), arm(on), guard="1"))


def test_too_few_calls_and_tickets_have_no_seconds() -> None:
    """A percentile of nothing is said to be none, and no division fails."""
    nothing = arm([])
    shown = str(results(nothing, nothing, Savings(off=0, on=0)))
    assert shown.count("too few") == 6
    assert "0 of 1" in shown


def test_a_ticket_is_one_line_in_a_narrow_terminal() -> None:
    """In 80 columns the line of a ticket leaves something out, and stays one; names of facts stand alone."""
    seen = io.StringIO()
    screen = Screen(Console(file=seen, width=80, force_terminal=True, color_system=None))
    screen.done(TICKETS[9], 10, topics="orders+refunds+products", end="not resolved", spent=Total(llm_calls=58))
    screen.facts(("Price", "a word " * 30), ("Real", "calls"))
    ticket, *facts = seen.getvalue().splitlines()
    assert ticket.startswith("ticket 10/10 fernshop/ana")
    assert "not resolved" in ticket
    assert {line[:7].strip() for line in facts} == {"Price", "", "Real"}
    assert len(facts) > 3


def test_calls_without_a_price_are_counted_as_such() -> None:
    """They are in no sum, and are not taken for free of charge."""
    lost = Entry("lost", "llm", datetime.now(UTC), Attribution(model="?"), usage=Usage(1_000, 100))
    assert Savings.of([lost], [], CARDS).unknown == 1


def test_a_refund_is_made_each_time_and_ends_what_was_read_of_its_order(tools: ShopTools, database: Path) -> None:
    """Cached tools answer as before; a write passes by the cache, and only reads of its own order are made anew."""
    cached = with_cache(tools)
    for number in (1001, 1002, 1001, 1002):
        assert str(number) in cached.look_up_order.invoke({"number": number}, FERN)
    assert cached.look_up_order.cache.counts["hits"] == 2  # type: ignore[attr-defined]
    for _ in range(2):
        assert "refunded 24.50" in cached.refund_order.invoke({"number": 1002}, FERN)
    assert refunded_orders(database) == {1002}
    for number in (1001, 1002):
        cached.look_up_order.invoke({"number": number}, FERN)
    assert cached.look_up_order.cache.counts["hits"] == 3  # type: ignore[attr-defined]


def test_a_cached_order_stays_in_its_shop(tools: ShopTools) -> None:
    """What one shop's customer was told is nothing that another shop's is."""
    cached = with_cache(tools)
    bolt: RunnableConfig = {"configurable": {"tenant": "boltwerk"}, "metadata": {"tenant": "boltwerk"}}
    assert cached.track_parcel.invoke({"number": 1001}, FERN)
    assert cached.track_parcel.invoke({"number": 1001}, bolt) == ""


def test_customers_write_again_after_the_tickets_that_are_asked_for() -> None:
    """The tickets come first, as they are; then those of the same customers, with numbers of their own."""
    for tickets in range(1, len(TICKETS) + 1):
        made = compared(tickets)
        assert made[:tickets] == TICKETS[:tickets]
        assert [ticket.number for ticket in made] == list(range(1, len(made) + 1))
    assert made[-1].user == TICKETS[3].user
    assert compared(1_000) == made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--compare", "--budget", "0.02"], "Leave --budget and --on-limit out"),
        (["--compare", "--on-limit", "raise"], "Leave --budget and --on-limit out"),
        (["--small-model", "openai:gpt-5-mini"], "add --compare"),
        (["--compare", "--model", "openai:gpt-5.5"], "by --small-model"),
        (["--compare", "--small-model", "openai:gpt-5-mini"], "by --model"),
    ],
)
def test_options_that_disagree_are_one_line(tmp_path: Path, given: list[str], said: str) -> None:
    """What is wrong is said before anything is started."""
    failed = run(*given, "--out", tmp_path / "out")
    assert failed.exit_code == 1
    assert said in failed.output
    assert failed.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_hosted_models_without_a_key_or_a_price_are_named_before_anything_is_billed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both models are looked at first, and both need a price."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    small = ["--small-model", "openai:no-such-model"]
    no_key = run("--compare", "--model", "openai:gpt-5.5", *small, "--out", tmp_path)
    assert no_key.exit_code == 1
    assert "OPENAI_API_KEY" in no_key.output
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    no_price = run("--compare", "--model", "openai:gpt-5.5", *small, "--out", tmp_path)
    assert no_price.exit_code == 1
    assert "does not know no-such-model" in no_price.output
    assert "ticket " not in no_price.output


@pytest.mark.parametrize("terminal", [True, False])
def test_a_narrow_terminal_folds_remarks_and_no_figure(terminal: bool) -> None:
    """In 60 columns every amount stays whole; a pipe has no width."""
    seen = io.StringIO()
    console = Console(file=seen, width=60, force_terminal=terminal, color_system=None)
    remark = "a remark that is much longer than there is room for it"
    lines = [("router", usd(12), remark)]
    Screen(console).table(Table("Parts", ("", "saved", ""), lines, ("sum", usd(12), ""), remarks=True))
    assert seen.getvalue().count("$0.000000012") == 2
    assert (max(map(len, seen.getvalue().splitlines())) <= 60) == terminal
