"""What lint finds in prompts with one fault each, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from langchain_agentcost.context.lint.finding import Change, Finding
from langchain_agentcost.context.lint.linting import Linted, lint
from langchain_agentcost.context.lint.subject import Seen, Subject

RULES = "\n".join(
    f"Rule {number}: parcels of class {number} leave the depot before noon, unless the customer has asked for later."
    for number in range(120)
)
"""A system message that is long enough for every cache, and has no fault."""

MODEL = "claude-sonnet-4-5"
READ, INPUT, WRITE = Decimal("0.3"), Decimal(3), Decimal("3.75")
"""USD for a million of its tokens."""


def tool(name: str, **properties: Any) -> dict[str, Any]:
    """A tool without noise."""
    schema = {"type": "object", "properties": properties or {"parcel": {"type": "string"}}}
    return {"name": name, "description": f"Use {name} for a parcel.", "input_schema": schema}


def looked_at(system: str = RULES, *tools: dict[str, Any], seen: Seen | None = None, **changes: Any) -> Linted:
    """Lint a prompt."""
    return lint(Subject(name="shop", system=system, tools=tools, model=MODEL, seen=seen), **changes)


def only(made: Linted, kind: str) -> Finding:
    """The one finding of a kind."""
    [found] = [one for one in made.findings if one.kind == kind]
    return found


def usd(tokens: float, rate: Decimal) -> Decimal:
    """The price of so many tokens in 1,000 calls."""
    return Decimal(tokens) * rate / 1000


def test_a_prompt_without_faults_has_none() -> None:
    """Nothing is found where there is nothing."""
    assert looked_at(RULES, tool("track")).findings == ()


def test_what_is_fixed_costs_the_read_rate() -> None:
    """A prefix that is cached is priced at the read rate, without a cache at the input rate; both are told."""
    noisy = tool("track", parcel={"type": "string", "title": "Parcel"})
    found = only(looked_at(RULES, noisy), "verbose_tools")
    assert found.dollars.cached is not None
    assert found.usd == usd(found.tokens, READ)
    assert found.dollars.uncached == found.dollars.cached * 10
    short = only(looked_at("Be kind.", noisy), "verbose_tools")
    assert short.usd == usd(short.tokens, INPUT), "a prefix below the minimum is not cached"
    told = only(looked_at(RULES, noisy, seen=Seen(runs=1, calls=1, cached=False)), "verbose_tools")
    assert told.usd == usd(told.tokens, INPUT), "the provider said that nothing was read from its cache"


def test_a_clock_in_front_costs_what_stands_behind_it() -> None:
    """A time in the first line makes all that follows be written anew; in the last line, nearly nothing."""
    first = only(looked_at(f"It is now 10:15:00.\n{RULES}"), "volatile_prefix")
    last = only(looked_at(f"{RULES}\nIt is now 10:15:00."), "volatile_prefix")
    assert first.tokens > 20 * last.tokens
    assert first.usd == usd(first.tokens, WRITE - READ)
    daily = only(looked_at(f"Today is 2026-11-30.\n{RULES}"), "volatile_prefix")
    assert daily.nano is not None
    assert first.nano is not None
    assert 0 < daily.nano < first.nano / 500, "a date changes seldom"


CLOCK = "It is now 10:15. Be kind to all."


@pytest.mark.parametrize(
    ("system", "seen"),
    [
        (CLOCK, None),
        (CLOCK, Seen(runs=9, calls=9, systems=(CLOCK, "It is now 10:16."), run_switches=8, prompts=(300,) * 9)),
        (
            f"{CLOCK}\n{RULES}",
            Seen(runs=2, calls=9, systems=("a", "b"), run_switches=1, prompts=(9_000,), cached=False),
        ),
    ],
)
def test_a_cache_that_cannot_serve_a_prompt_loses_nothing(system: str, seen: Seen | None) -> None:
    """Where no prompt reaches the minimum, or the provider's cache is not in use, a change costs nothing."""
    found = only(looked_at(system, seen=seen), "volatile_prefix")
    assert (found.cached, found.nano, found.dollars) == (False, 0, (0, 0))


def test_what_is_never_served_because_it_changes_has_its_price() -> None:
    """Where each call has another prefix nothing is read from the cache, and that is what the change costs."""
    systems = tuple(f"It is now 10:{minute}.\n{RULES}" for minute in range(10, 20))
    seen = Seen(runs=1, calls=10, systems=systems, switches=9, prompts=(9_000,) * 10, cached=False)
    made = looked_at(systems[0], seen=seen)
    found = only(made, "volatile_prefix")
    assert not made.cached
    assert (found.nano or 0) > 0
    half = looked_at(systems[0], seen=replace(seen, prompts=(9_000, 100) * 5))
    assert 0 < (only(half, "volatile_prefix").nano or 0) < (found.nano or 0) / 1.9, "half of the prompts are too short"


def test_money_is_exact() -> None:
    """An amount is the product of its factors, to the nano-USD."""
    made = looked_at(RULES)
    assert made.cost_nano == made.system_tokens * 1_000 * 300


def test_what_was_the_same_in_all_runs_cost_nothing_there() -> None:
    """Where recorded runs show one value only, the finding says so and has no dollars."""
    seen = Seen(runs=9, calls=30, systems=("one",), prompts=(9_000,) * 30)
    found = only(looked_at(f"It is now 10:15:00.\n{RULES}", seen=seen), "volatile_prefix")
    assert found.nano == 0
    assert "the same in all recorded runs" in " ".join(found.evidence)


def test_recorded_changes_are_found_without_a_pattern() -> None:
    """System messages that differ by a name are found by the difference; between runs the history is not lost."""
    systems = (f"You help Ana.\n{RULES}", f"You help Bo.\n{RULES}")
    between = Seen(runs=10, calls=100, systems=systems, run_switches=10, prompts=(9_000,) * 100)
    found = only(looked_at(systems[0], seen=between), "volatile_prefix")
    assert "from line 1 on" in found.evidence[0]
    assert found.nano == pytest.approx(float(usd(found.tokens, WRITE - READ)) * 1e9 * 0.1, rel=0.01)
    within = replace(between, switches=90, run_switches=0)
    worse = only(looked_at(systems[0], seen=within), "volatile_prefix")
    assert worse.tokens > found.tokens + 4_000, "within a run, the history stands behind it too"


def test_an_id_that_may_be_a_constant_is_told_without_dollars() -> None:
    """What cannot be told from a constant is for people to look at."""
    found = only(looked_at(f"Depot 550e8400-e29b-41d4-a716-446655440000.\n{RULES}"), "volatile_prefix")
    assert (found.tokens, found.nano) == (0, 0)
    assert "cannot be moved safely" in found.title


def test_tools_that_nobody_called_are_found() -> None:
    """Tools without a call in enough runs are found with their size; in few runs, nothing is said."""
    seen = Seen(runs=20, calls=60, used={"track": 40}, prompts=(9_000,) * 60)
    found = only(looked_at(RULES, tool("track"), tool("cancel"), seen=seen), "unused_tools")
    assert "1 of 2 tools were called in none of 20 runs (60 calls): cancel" in found.evidence[0]
    assert found.change is Change.DESIGN
    few = looked_at(RULES, tool("track"), tool("cancel"), seen=replace(seen, runs=2))
    assert not any(one.kind == "unused_tools" for one in few.findings)
    assert not any(one.kind == "unused_tools" for one in looked_at(RULES, tool("cancel")).findings)


def test_an_order_that_changes_is_found() -> None:
    """Tools in another order are another prefix, as often as that happened."""
    seen = Seen(runs=20, calls=40, used={"track": 1}, reordered=10, prompts=(9_000,) * 40)
    found = only(looked_at(RULES, tool("track"), seen=seen), "unstable_order")
    assert found.nano == pytest.approx(float(usd(found.tokens, WRITE - READ)) * 1e9 / 4, rel=0.01)


def test_a_prefix_that_is_nearly_long_enough_is_worth_filling_up() -> None:
    """Between a tenth of the minimum and the minimum it costs less to fill it up; below and above nothing is said."""
    lines = RULES.split("\n")
    made = looked_at("\n".join(lines[:20]))
    found = only(made, "below_cache_minimum")
    assert found.usd == usd(found.tokens, INPUT) - usd(1024, READ)
    for system in ("\n".join(lines[:2]), RULES):
        assert not any(one.kind == "below_cache_minimum" for one in looked_at(system).findings)
    long = Seen(runs=2, calls=4, used={}, prompts=(9_000,) * 4)
    cached_anyway = looked_at("\n".join(lines[:20]), seen=long)
    assert not any(one.kind == "below_cache_minimum" for one in cached_anyway.findings)


def test_markup_that_says_nothing_is_found() -> None:
    """Drawn rules and blanks are the same information; HTML is a change of wording; a table is neither."""
    drawn = f"==========\nRules\n==========\n\n\n\n{RULES}  \n<b>Be</b> kind.<br>\n| a | b |\n|---|---|\n"
    same, wording = (one for one in looked_at(drawn).findings if one.kind == "markup_waste")
    if same.change is Change.WORDING:
        same, wording = wording, same
    assert same.change is Change.SAME
    assert any("drawn headings" in line for line in same.evidence)
    assert any("HTML for looks" in line for line in wording.evidence)


TWICE = "Never ship a parcel before the customer has paid for it."


@pytest.mark.parametrize(
    ("again", "change"),
    [
        (f"{TWICE} Be kind. {TWICE}", Change.SAME),
        (f"{TWICE}\n# Returns\n{TWICE}", Change.WORDING),
        (f"{TWICE} Never ship a parcel before the customer has paid.", Change.WORDING),
        (f"{TWICE} Never ship a parcel before the customer has paid for 2 of it.", None),
        ("Ship a parcel before the customer has paid for it. " + TWICE, None),
        (f"{TWICE}\n```\n{TWICE}\n```", None),
        (f"{TWICE}\n> {TWICE}", None),
    ],
)
def test_what_is_said_twice_is_found(again: str, change: Change | None) -> None:
    """The same words in one place say nothing more; elsewhere they may; with another number or a not, they do."""
    found = [one for one in looked_at(f"{RULES}\n# Paying\n{again}").findings if one.kind == "duplicate_instructions"]
    assert [one.change for one in found] == ([change] if change is not None else [])


def test_a_tool_that_repeats_the_system_message_is_found() -> None:
    """A sentence of the system message in a tool's description is told with its place."""
    made = looked_at(f"{RULES}\n{TWICE}", {**tool("ship"), "description": TWICE})
    assert "tool ship repeats line 121" in only(made, "duplicate_instructions").evidence[0]


class Alike(Embeddings):
    """All sentences mean the same."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Give each the same direction."""
        return [[0.6, 0.8] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        """Not asked for."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("again", "found"),
    [
        ("Remain calm and courteous when a customer gets upset.", True),
        ("Do not stay calm and polite with an angry customer.", False),
        ("Remain calm and courteous with 2 upset customers.", False),
    ],
)
def test_other_words_are_found_by_meaning(again: str, found: bool) -> None:
    """With embeddings a paraphrase is found too, but not where a number or a negation makes it another rule."""
    system = f"If the customer is angry, stay calm and polite.\n{again}"
    assert not any(one.kind == "duplicate_instructions" for one in looked_at(system).findings)
    made = [one for one in looked_at(system, embeddings=Alike()).findings if one.kind == "duplicate_instructions"]
    assert [one.change for one in made] == [Change.WORDING] * found


def test_findings_come_by_dollars() -> None:
    """The dearest finding is first."""
    noisy = tool("track", parcel={"type": "string", "title": "Parcel"})
    made = looked_at(f"It is now 10:15:00.\n\n\n\n{RULES}\n{TWICE} {TWICE}", noisy)
    amounts = [one.nano for one in made.findings]
    assert len(amounts) >= 3
    assert amounts == sorted(amounts, key=lambda one: -(one or 0))


def test_without_a_price_tokens_are_told() -> None:
    """Without a known model the dollars are unknown, never 0, and a note says what to do."""
    noisy = tool("track", parcel={"type": "string", "title": "Parcel"})
    made = looked_at(RULES, noisy, model="nobody-knows-it")
    found = only(made, "verbose_tools")
    assert found.tokens > 0
    assert found.usd is None
    assert found.to_dict()["usd_per_1000_calls"] is None
    assert "name a model with --model" in made.notes[0]


@pytest.mark.parametrize("system", ["", "\x00", "```", "{" * 500, "# " * 300, "\n" * 1000, "a" * 200_000, "|" * 3000])
def test_any_text_can_be_looked_at(system: str) -> None:
    """Odd texts and tools are looked at without an error."""
    odd: tuple[dict[str, Any], ...] = ({}, {"function": 7}, {"name": "a", "parameters": {"properties": []}})
    looked_at(system, *odd)
