from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from types import FunctionType, ModuleType
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.prefix import PrefixChange, PrefixStabilityMonitor, outline
from langchain_agentcost.prefix.monitor import MAX_PROMPTS
from langchain_agentcost.prefix.outline import Outline, tool_text
from langchain_agentcost.prefix.volatile import ADVICE, LOOKED_AT_CHARS, Look
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.tokens import estimate_message, estimate_text
from langchain_agentcost.usage import Usage

RULES = "\n".join(f"Rule {number}: be kind, be brief, and ask before you spend anything." for number in range(80))
GPT: dict[str, Any] = {"model": "gpt-4.1", "provider": "openai"}
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-4-5", "provider": "anthropic"}
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def turns(number: int) -> list[BaseMessage]:
    """A question, then that many tool calls with their results."""
    said: list[BaseMessage] = [HumanMessage("Where is order 42?")]
    for turn in range(number):
        said.append(AIMessage("", tool_calls=[{"name": "track", "args": {"leg": turn}, "id": f"c{turn}"}]))
        said.append(ToolMessage(f"Leg {turn} went from hall {turn} to hall {turn + 1}. " * 5, tool_call_id=f"c{turn}"))
    return said


def tool(name: str, description: str = "Look something up.") -> dict[str, Any]:
    """A tool's description as OpenAI takes it."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {}}}


def seen(
    prompts: Iterable[Sequence[BaseMessage]], monitor: PrefixStabilityMonitor | None = None, **how: Any
) -> list[PrefixChange | None]:
    """What a monitor says of one prompt after the other, in one thread."""
    monitor = monitor or PrefixStabilityMonitor()
    return [monitor.observe("thread", prompt, **{**GPT, **how}) for prompt in prompts]


def last(prompts: Iterable[Sequence[BaseMessage]], **how: Any) -> PrefixChange:
    """What a monitor says of the last of these prompts, which is a change."""
    change = seen(prompts, **how)[-1]
    assert change is not None
    return change


class TestWhatIsStable:
    """A prompt cache serves these, so there is nothing to find."""

    def test_a_history_that_grows(self) -> None:
        """Twenty steps that each add to the end are no change, whether or not the messages are the same objects."""
        system, history = SystemMessage(RULES), turns(20)
        assert seen([system, *history[: 2 * step + 1]] for step in range(20)) == [None] * 20
        again = ([SystemMessage(RULES), *turns(step)] for step in range(20))
        assert seen(again) == [None] * 20

    def test_a_prompt_that_is_sent_again_or_cut_at_its_end(self) -> None:
        """A retry, and going back to an earlier step, find all they send in the cache."""
        system, history = SystemMessage(RULES), turns(5)
        assert seen([system, *history[:end]] for end in (9, 9, 5, 9, 11)) == [None] * 5

    def test_the_mark_of_a_cache_wanders(self) -> None:
        """`cache_control` at the end of each prompt is no part of what is cached, nor is a block around one text."""

        def marked(message: HumanMessage) -> HumanMessage:
            block = {"type": "text", "text": message.text, "cache_control": {"type": "ephemeral"}}
            return HumanMessage(content=[block])

        first, second = HumanMessage("Where is order 42?"), HumanMessage("And order 43?")
        system: list[BaseMessage] = [SystemMessage(RULES)]
        plain = tool("track")
        monitor = PrefixStabilityMonitor()
        how = {**CLAUDE, "tools": [{**plain, "cache_control": {"type": "ephemeral"}}]}
        assert seen([[*system, marked(first)], [*system, first, marked(second)]], monitor, **how) == [None, None]
        more = [*system, first, second, marked(HumanMessage("Well?"))]
        assert seen([more], monitor, **CLAUDE, tools=[plain]) == [None]

    def test_prompts_that_have_nothing_in_common_behind_their_beginning(self) -> None:
        """One node that judges one text after the other loses nothing: what differs is new."""
        texts = ("A parcel is late.", "A refund is due.", "A door is stuck.")
        assert seen([SystemMessage(RULES), HumanMessage(text)] for text in texts) == [None] * 3

    def test_a_note_at_the_end_that_each_call_has_anew(self) -> None:
        """A clock where it should be, behind everything else, is not in the way."""
        system, history = SystemMessage(RULES), turns(9)
        prompts = ([system, *history[: 2 * step + 1], HumanMessage(f"It is 10:0{step}.")] for step in range(9))
        assert seen(prompts) == [None] * 9

    def test_chains_that_take_turns(self) -> None:
        """Two prompts for one history, in turns, are each in the cache: only the first of the second is a change."""
        history = turns(9)
        chains = ("Answer the question.\n" + RULES, "Judge the answer.\n" + RULES)
        prompts = ([SystemMessage(chains[step % 2]), *history[: 2 * step + 1]] for step in range(9))
        found = seen(prompts)
        assert [change is not None for change in found] == [False, True, *[False] * 7]

    def test_models_have_caches_of_their_own(self) -> None:
        """A call to another model is not compared with this one's prompts."""
        monitor = PrefixStabilityMonitor()
        assert seen([[SystemMessage("It is 10:00.\n" + RULES)]], monitor) == [None]
        assert seen([[SystemMessage("It is 10:01.\n" + RULES)]], monitor, **CLAUDE) == [None]

    @given(st.lists(st.lists(st.sampled_from(["a", "b", "Be kind.", "1", ""]), max_size=3), max_size=6))
    def test_whatever_only_grows(self, added: list[list[str]]) -> None:
        """No way to add to the end of a prompt is a change."""
        prompt: list[BaseMessage] = [SystemMessage(RULES)]
        monitor = PrefixStabilityMonitor()
        for texts in added:
            prompt = [*prompt, *map(HumanMessage, texts)]
            assert monitor.observe("thread", prompt, **GPT) is None


class TestWhere:
    """The first difference is named, and what changes there."""

    @pytest.mark.parametrize(
        ("kind", "items"),
        [
            ("ISO date and time", ("2026-11-23T10:15:00Z", "2026-11-23T10:16:07Z", "2026-12-01T00:00:00+02:00")),
            ("ISO date and time", ("2026-11-23 10:15:00.123456", "2026-11-23 10:15:01.4", "2026-11-23 10:15")),
            ("date", ("2026-11-23", "2026-11-24", "2027-01-01")),
            ("date", ("November 23, 2026", "December 1, 2026", "May 2, 2027")),
            ("date", ("Monday, 23 Nov 2026", "Tuesday, 24 Nov 2026", "Sunday, 3 Jan 2027")),
            ("date", ("23.11.2026", "24.11.2026", "1.1.2027")),
            ("clock time", ("9:59 am", "10:00 am", "1:00 p.m")),
            ("clock time", ("23:59:59", "00:00:00", "10:00")),
            (
                "UUID",
                (
                    "7d1f0f0e-1c5e-5b5c-8d6f-1f0a4d3b8d2f",
                    "0C9D6B3A-52a1-4b77-9a36-0f5a35b1c7e4",
                    "00000000-0000-4000-8000-000000000000",
                ),
            ),
            ("epoch number", ("1795430400", "1795430461.25", "1795430500")),
            ("epoch number", ("1795430400123", "1795430461456", "1795430461457000")),
            ("random hex", ("f3a9c2107be4", "0b7d11c9aa02", "00ffee11")),
            ("counter", ("9", "10", "11")),
            ("text", ("sunny", "rainy", "windy")),
        ],
    )
    def test_a_volatile_item_is_classified(self, kind: str, items: tuple[str, ...]) -> None:
        """The kind is right when it changes for the first time, and proven when it changes again."""
        prompts = [[SystemMessage(f"You help.\nNow: {item}.\n{RULES}"), *turns(3)] for item in items]
        first, second = seen(prompts)[1:]
        assert first is not None
        assert second is not None
        assert first.kind == second.kind == kind
        assert first.place == second.place == "system message, line 2"
        assert (first.recurring, second.recurring) == (False, True)
        assert (second.since_call, second.times) == (2, 2)
        assert second.advice == ADVICE[kind]

    def test_what_does_not_change_is_not_blamed(self) -> None:
        """A date that stays, beside a word that does not, is cleared when the second change comes."""
        prompts = [[SystemMessage(f"Since 2026-11-23: {mood}.\n{RULES}")] for mood in ("calm", "busy", "wild")]
        assert last(prompts).kind == "text"

    def test_a_number_in_a_text_that_changes_is_no_counter(self) -> None:
        """Where words change too, the kind is text from the second change on."""
        news = ("3 orders are late", "5 doors are stuck", "8 lamps are out")
        assert last([SystemMessage(f"Today {text}.\n{RULES}")] for text in news).kind == "text"

    def test_only_the_beginning_of_a_text_is_looked_at(self) -> None:
        """A file of megabytes takes no longer than a page."""
        assert Look.at("x" * LOOKED_AT_CHARS + " at 10:15").items == ()

    def test_of_two_items_it_is_the_one_that_changes(self) -> None:
        """A number that changes beside a date that stays is a counter."""
        prompts = [[SystemMessage(f"Call {number} since 2026-11-23.\n{RULES}")] for number in (1, 2, 3)]
        assert last(prompts).kind == "counter"

    def test_a_paragraph_is_cut_into_sentences(self) -> None:
        """A clock in the first sentence of one long line does not hide what else the line has."""
        rules = RULES.replace("\n", " ")
        prompts = [[SystemMessage(f"It is 10:0{minute}. {rules}")] for minute in (1, 2)]
        assert last(prompts).invalidated_tokens == pytest.approx(estimate_text(rules), rel=0.05)

    def test_blocks_of_a_system_message_are_told_apart(self) -> None:
        """Lines are counted on through the blocks, and a block that is no text is one of them."""
        prompts = []
        for minute in (1, 2):
            clock = {"type": "text", "text": f"Hello.\nIt is 10:0{minute}."}
            image = {"type": "image", "url": "https://example.com/map.png"}
            prompts.append([SystemMessage(content=[image, clock, {"type": "text", "text": RULES}])])
        assert last(prompts).place == "system message, line 3"

    def test_tools_in_another_order(self) -> None:
        """The same tools, shuffled, are all that and everything behind them."""
        tools = [tool(name) for name in ("add", "search", "track")]
        prompt = [SystemMessage(RULES), *turns(1)]
        monitor = PrefixStabilityMonitor()
        orders = ((0, 1, 2), (0, 2, 1), (2, 1, 0))
        found = [monitor.observe("t", prompt, tools=[tools[i] for i in order], **GPT) for order in orders]
        assert [(c.place, c.kind, c.times) for c in found if c] == [
            ("tools[1] 'track'", "reordered tools", 1),
            ("tools[0] 'track'", "reordered tools", 2),
        ]
        assert found[2] is not None
        whole = sum(round(0.7 * estimate_text(json.dumps(of, separators=(",", ":")))) for of in tools)
        whole += sum(map(estimate_message, prompt[1:])) + sum(map(estimate_text, RULES.split("\n")))
        assert found[2].invalidated_tokens == whole

    def test_tools_that_are_chosen_for_each_call(self) -> None:
        """Others in the middle, or fewer at the end, are other tools, and the one that is gone has no name here."""
        prompt = [SystemMessage(RULES)]
        monitor = PrefixStabilityMonitor()
        chosen = (["add", "search"], ["add", "track"], ["add"])
        found = [monitor.observe("t", prompt, tools=[tool(name) for name in names], **GPT) for names in chosen]
        assert [(c.place, c.kind) for c in found if c] == [
            ("tools[1] 'track'", "other tools"),
            ("tools[1], which is gone", "other tools"),
        ]

    def test_a_date_in_the_description_of_a_tool(self) -> None:
        """A tool that says what day it is is found out when that changes for the second time."""
        prompt = [SystemMessage(RULES)]
        monitor = PrefixStabilityMonitor()
        found = [
            monitor.observe("t", prompt, tools=[tool("add"), tool("book", f"Today is 2026-11-{day}.")], **GPT)
            for day in (23, 24, 25)
        ]
        assert [(c.place, c.kind) for c in found if c] == [
            ("tools[1] 'book'", "other tools"),
            ("tools[1] 'book'", "date"),
        ]

    def test_messages_that_are_dropped_in_every_call(self) -> None:
        """A window that slides over the history loses all of it in every call."""
        system, history = SystemMessage(RULES), turns(9)
        found = seen([system, *history[start : start + 9]] for start in (0, 2, 4))
        assert [(c.place, c.kind, c.times) for c in found if c] == [
            ("message 2 (tool result)", "dropped messages", 1),
            ("message 2 (tool result)", "dropped messages", 2),
        ]

    def test_results_that_are_masked_in_every_call(self) -> None:
        """A mask that slides is a rewritten message further down in every call."""
        system, history = SystemMessage(RULES), turns(9)

        def masked(until: int) -> list[BaseMessage]:
            old = (m.model_copy(update={"content": "[cleared]"}) if m.type == "tool" else m for m in history[:until])
            return [*old, *history[until:]]

        found = seen([system, *masked(until)] for until in (3, 5, 7))
        assert [(c.place, c.kind, c.times) for c in found if c] == [
            ("message 6 (tool result)", "rewritten message", 1),
            ("message 8 (tool result)", "rewritten message", 2),
        ]

    def test_memories_that_are_put_before_the_history(self) -> None:
        """A message that pushes the others back, or the only other one, is named with its place."""
        for number in (3, 0):
            system, history = SystemMessage(RULES), turns(number)
            found = last([[system, *history], [system, HumanMessage("The user likes tea."), *history]])
            assert (found.place, found.kind) == ("message 2 (user)", "inserted message")
            assert found.invalidated_tokens == sum(map(estimate_message, history))

    def test_a_system_message_that_comes_or_goes(self) -> None:
        """Where it goes the place says so, and where it comes it is its first line."""
        history = turns(3)
        prompts = [[SystemMessage(RULES), *history], history, [SystemMessage("Be kind."), *history]]
        found = seen(prompts)
        assert [c.place for c in found if c] == ["the system message, which is gone", "system message, line 1"]


class TestAgainAndAgain:
    """One edit or summary is no volatile item."""

    def test_a_summary(self) -> None:
        """One change, and then none: nothing recurs."""
        system, history = SystemMessage(RULES), turns(20)
        kept = [HumanMessage("So far: the parcel is in hall 17."), *history[-7:]]
        prompts = [[system, *history[:-2]], [system, *history], [system, *kept], [system, *kept, AIMessage("Hall 20.")]]
        found = seen(prompts)
        assert [change is not None for change in found] == [False, False, True, False]
        assert found[2] is not None
        assert not found[2].recurring
        assert found[2].kind == "rewritten message"
        assert found[2].invalidated_tokens == sum(map(estimate_message, history[-7:]))

    def test_summaries_with_calls_between(self) -> None:
        """A summary now and then is what summaries are for."""
        system = SystemMessage(RULES)
        prompts: list[list[BaseMessage]] = []
        for part in range(4):
            kept: list[BaseMessage] = [HumanMessage(f"Summary {'x' * part}."), *turns(5)]
            prompts += [[system, *kept[:-2]], [system, *kept]]
        assert all(change is None or not change.recurring for change in seen(prompts))

    def test_a_clock_that_shows_no_seconds(self) -> None:
        """It stands still for a few calls and changes again: that recurs."""
        history = turns(9)
        prompts = [[SystemMessage(f"It is 10:0{s // 3}.\n{RULES}"), *history[: 2 * s + 1]] for s in range(9)]
        found = seen(prompts)
        assert [change.times for change in found if change] == [1, 2]
        assert found[6] is not None
        assert (found[6].since_call, found[6].call) == (4, 7)

    def test_prompts_for_the_stages_of_a_task(self) -> None:
        """Another text now and then does not recur, since it stands still between."""
        history = turns(9)
        stages = ("Plan.", "Search.", "Answer.")
        prompts = [[SystemMessage(f"{stages[s // 3]}\n{RULES}"), *history[: 2 * s + 1]] for s in range(9)]
        assert [change.times for change in seen(prompts) if change] == [1, 1]

    def test_branches_side_by_side(self) -> None:
        """Calls of two branches in turns are each compared with their own branch."""
        branches = [[HumanMessage(f"Branch {'ab'[b]}. " + "Look closely! " * 200), *turns(4)] for b in (0, 1)]
        monitor = PrefixStabilityMonitor()
        prompts = [
            [SystemMessage(f"It is 10:0{step}.\n{RULES}"), *branches[step % 2][: 2 * step + 1]] for step in range(5)
        ]
        found = seen(prompts, monitor)
        assert found[2] is not None
        assert found[2].invalidated_tokens > estimate_message(branches[0][0]) + 500
        assert [change.times for change in found if change] == [1, 1, 2, 2]


class TestDollars:
    """Against computations by hand, with the list prices of November 2026 per million tokens."""

    PROMPTS = tuple((SystemMessage(f"It is 10:0{minute}.\n{RULES}"), *turns(5)) for minute in (1, 2))
    AGAIN = sum(map(estimate_text, RULES.split("\n"))) + sum(map(estimate_message, PROMPTS[0][1:]))
    OURS = AGAIN + estimate_text("It is 10:02.")
    OF_12_000 = AGAIN * 12_000 // OURS

    def change(self, usage: Usage | None = None, *, pause_s: float = 20, **how: Any) -> PrefixChange:
        """What is said of the second prompt."""
        monitor = PrefixStabilityMonitor(how.pop("prices", None))
        monitor.observe("thread", self.PROMPTS[0], at=START, **{**GPT, **how})
        at = START + timedelta(seconds=pause_s)
        found = monitor.observe("thread", self.PROMPTS[1], at=at, usage=usage, **{**GPT, **how})
        assert found is not None
        return found

    def test_gpt_by_our_estimate(self) -> None:
        """Uncached 2.00 less cached 0.50, in steps of 128 tokens."""
        change = self.change()
        assert change.invalidated_tokens == self.AGAIN
        lost = self.AGAIN // 128 * 128
        assert change.lost_tokens == lost
        assert change.usd == lost * Decimal("1.50") / 1_000_000

    def test_gpt_by_the_providers_count(self) -> None:
        """The provider's 12,000 tokens are shared out, and none were read."""
        change = self.change(Usage(12_000, 50))
        assert change.invalidated_tokens == self.OF_12_000
        assert change.lost_tokens == 11_904
        assert change.usd == Decimal("0.017856")

    def test_claude_writes_what_it_could_have_read(self) -> None:
        """Written at 3.75 less read at 0.30."""
        change = self.change(Usage(12_000, 50, cache_write_tokens=11_990), **CLAUDE)
        assert change.lost_tokens == self.OF_12_000
        assert change.usd == self.OF_12_000 * Decimal("3.45") / 1_000_000

    def test_claude_writes_a_part_and_leaves_the_rest_uncached(self) -> None:
        """2,000 tokens at 3.75 less 0.30, the others at 3.00 less 0.30."""
        change = self.change(Usage(12_000, 50, cache_write_tokens=2_000), **CLAUDE)
        assert change.usd == (2_000 * Decimal("3.45") + (self.OF_12_000 - 2_000) * Decimal("2.70")) / 1_000_000

    def test_claude_for_an_hour(self) -> None:
        """Written at 6.00 less 0.30, and not forgotten after half an hour."""
        usage = Usage(12_000, 50, cache_write_1h_tokens=11_990)
        change = self.change(usage, pause_s=1_800, **CLAUDE)
        assert change.usd == self.OF_12_000 * Decimal("5.70") / 1_000_000

    def test_claude_by_our_estimate(self) -> None:
        """Where nobody says otherwise, Claude's prompts are marked, and written."""
        assert self.change(**CLAUDE).usd == self.AGAIN * Decimal("3.45") / 1_000_000

    def test_claude_where_nobody_asked_for_a_cache(self) -> None:
        """Nothing read and nothing written means that no prompt is marked: stable ones would cost the same."""
        change = self.change(Usage(12_000, 50), **CLAUDE)
        assert (change.invalidated_tokens, change.lost_tokens, change.usd) == (self.OF_12_000, 0, Decimal(0))

    def test_what_was_read_all_the_same_is_not_lost(self) -> None:
        """The provider's report wins over what we think of the prompt."""
        assert self.change(Usage(12_000, 50, cache_read_tokens=11_904)).usd == Decimal(0)
        assert self.change(Usage(12_000, 50, cache_read_tokens=10_240)).lost_tokens == 11_904 - 10_240

    def test_a_prompt_too_short_to_be_cached(self) -> None:
        """Below the provider's least nothing is lost, though something changes."""
        change = last([SystemMessage(f"It is 10:0{minute}.\nBe kind.")] for minute in (1, 2))
        assert change.invalidated_tokens == estimate_text("Be kind.")
        assert (change.lost_tokens, change.usd) == (0, Decimal(0))

    def test_what_comes_after_the_cache_has_forgotten(self) -> None:
        """After five minutes of silence a stable prompt would have cost the same."""
        assert self.change(pause_s=299).usd
        assert self.change(pause_s=301).usd == Decimal(0)

    def test_models_without_a_known_cache_or_price(self) -> None:
        """Unknown is None: without a known cache both, without a price the dollars."""
        unknown = self.change(model="llama-3.3-70b", provider="ollama")
        assert (unknown.lost_tokens, unknown.usd) == (None, None)
        unpriced = self.change(model="gpt-9-that-no-list-has", provider="openai")
        assert unpriced.lost_tokens
        assert unpriced.usd is None
        assert self.change(model=None, provider=None).usd is None

    def test_ones_own_prices(self) -> None:
        """A price of one's own is what is paid."""
        prices = PriceBook({"models": [{"model": "gpt-4.1", "input": 20, "output": 80, "cache_read": 5}]})
        assert self.change(Usage(12_000, 50), prices=prices).usd == Decimal("0.178560")

    @pytest.mark.parametrize("odd", [{"estimated": True}, {"anomalies": ("odd",)}])
    def test_counts_that_are_not_the_providers_are_not_believed(self, odd: dict[str, Any]) -> None:
        """An estimate, or a report with faults, changes nothing."""
        assert self.change(Usage(99_000, 50, **odd)) == self.change()


class TestSums:
    """Totals by thread, over all of them, and by kind."""

    def test_totals_and_findings(self) -> None:
        """They add up, the dearest kind comes first, and it says when it began."""
        monitor = PrefixStabilityMonitor()
        long, short = turns(20), turns(1)
        for step in range(4):
            at = START + timedelta(seconds=step)
            clock = [SystemMessage(f"It is 10:0{step}.\n{RULES}"), *short]
            monitor.observe("clock", clock, at=at, **GPT)
            monitor.observe("window", [SystemMessage(RULES), *long[2 * step :]], at=at, **GPT)
        assert monitor.totals("clock").changes == monitor.totals("window").changes == 3
        assert monitor.totals("clock").recurring_changes == 2
        assert monitor.totals().usd == monitor.totals("clock").usd + monitor.totals("window").usd > 0
        assert monitor.totals("clock").first_seen == START + timedelta(seconds=1)
        assert monitor.totals("nobody").changes == 0
        assert [(f.first.section, f.first.kind, f.first.thread, f.totals.changes) for f in monitor.findings()] == [
            ("messages", "dropped messages", "window", 3),
            ("system", "clock time", "clock", 3),
        ]

    def test_what_has_no_price_is_counted(self) -> None:
        """It is not in the dollars, and does not look like nothing."""
        monitor = PrefixStabilityMonitor()
        seen(([SystemMessage(f"It is 10:0{m}.\n{RULES}")] for m in range(3)), monitor, model="llama-3", provider=None)
        assert (monitor.totals().usd, monitor.totals().unpriced_changes) == (Decimal(0), 2)


def reachable(start: object) -> Iterable[object]:
    """Everything that an object keeps alive, code aside."""
    known, waiting = {id(start)}, [start]
    while waiting:
        here = waiting.pop()
        yield here
        for other in gc.get_referents(here):
            if id(other) not in known and not isinstance(other, type | ModuleType | FunctionType):
                known.add(id(other))
                waiting.append(other)


class TestWhatIsKept:
    """Hashes and sizes, of so many prompts."""

    def test_no_text_is_kept(self) -> None:
        """No string that the monitor holds has a word of a prompt, of a tool's description or of arguments."""
        secret = "".join(("xyzzy", "-", "plugh"))  # no constant of this function
        monitor = PrefixStabilityMonitor()
        call = {"name": "track", "args": {"code": secret}, "id": "c"}
        for minute in range(4):
            system = SystemMessage(f"{secret} {minute}\n{RULES}")
            prompt = [system, HumanMessage(secret), AIMessage(secret, tool_calls=[call])]
            monitor.observe("thread", prompt, tools=[tool("track", secret)], **GPT)
        del prompt, system
        assert monitor.totals().changes == 3
        held = list(reachable(monitor))
        assert len(held) > 100
        assert not [text for text in held if isinstance(text, str) and secret in text]
        assert not [message for message in held if isinstance(message, BaseMessage)]
        assert secret not in repr(monitor.findings())

    def test_no_message_lives_longer(self) -> None:
        """What the caller lets go is gone."""
        monitor = PrefixStabilityMonitor()
        messages = [HumanMessage("Where is order 42?"), HumanMessage("And order 43?")]
        for end in (1, 2):
            monitor.observe("thread", messages[:end], **GPT)
        alive = [ref(message) for message in messages]
        del messages
        gc.collect()
        assert [kept() for kept in alive] == [None, None]

    def test_conversations_and_prompts_are_bounded(self) -> None:
        """Of a thousand the latest are remembered, and a few prompts of each; what goes on is not forgotten."""
        monitor = PrefixStabilityMonitor(max_threads=50)
        clock = iter(range(10**9))
        for number in range(1_000):
            for thread in ("busy", number):
                monitor.observe(thread, [SystemMessage(f"Call {next(clock)}\nBe kind."), HumanMessage("Hi")], **GPT)
        assert len(monitor._threads) == 50
        assert max(len(thread.prompts) for thread in monitor._threads.values()) == MAX_PROMPTS
        assert monitor.totals("busy").changes == 999
        assert monitor.totals().changes == 999

    @given(
        st.lists(
            st.lists(st.sampled_from([HumanMessage("a"), HumanMessage("b"), AIMessage("c"), HumanMessage("a")])),
            min_size=2,
            max_size=6,
        )
    )
    def test_what_is_known_again_is_what_would_be_read(self, prompts: list[list[BaseMessage]]) -> None:
        """Reading with an earlier prompt at hand gives the same as reading afresh."""
        like = None
        for prompt in prompts:
            like = Outline.of(prompt, [tool("t")], model="m", like=like)
            fresh = Outline.of(prompt, [tool("t")], model="m", like=None)
            assert (like.keys, like.tokens) == (fresh.keys, fresh.tokens)
            assert [kept() for kept in like.messages] == prompt

    def test_a_history_is_not_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only new messages are read, also where the others moved."""
        read: list[str] = []
        system, history = SystemMessage(RULES), turns(200)
        monitor = PrefixStabilityMonitor()
        monitor.observe("thread", [system, *history], **GPT)
        piece = outline._piece

        def watched(message: BaseMessage) -> tuple[int, int]:
            read.append(message.text)
            return piece(message)

        monkeypatch.setattr(outline, "_piece", watched)
        monitor.observe("thread", [system, *history, HumanMessage("new")], **GPT)
        monitor.observe("thread", [system, *history[4:], HumanMessage("newer")], **GPT)
        assert read == ["new", "newer"]

    def test_threads_share_a_monitor(self) -> None:
        """Eight threads at once lose no change."""
        monitor = PrefixStabilityMonitor()

        def work(name: int) -> None:
            for step in range(51):
                monitor.observe(name, [SystemMessage(f"Call {step}\n{RULES}")], **GPT)

        workers = [Thread(target=work, args=(name,)) for name in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert monitor.totals().changes == 400
        assert [monitor.totals(name).changes for name in range(8)] == [50] * 8


class TestHostile:
    """Whatever stands in a prompt is looked at, never run, and never in the way."""

    def test_content_that_has_no_end(self) -> None:
        """A block that contains itself, one that is nested ten thousand deep, and one with odd keys."""
        round_: dict[str, Any] = {"type": "odd"}
        round_["self"] = round_
        deep: Any = []
        for _ in range(10_000):
            deep = [deep]
        message = HumanMessage("x")
        tools = [round_, {"name": "deep", "of": deep}, {("a", 1): object()}, object(), None]
        monitor = PrefixStabilityMonitor()
        for content in ([{"type": "odd", ("a", 1): object()}], [round_], [{"type": "odd", "of": "x"}]):
            object.__setattr__(message, "content", content)
            assert monitor.observe("t", [SystemMessage(RULES), message.model_copy()], tools=tools, **GPT) is None

    def test_texts_that_want_time_or_terminals(self) -> None:
        """Megabytes of what patterns like to try, half a character, and escapes in a tool's name."""
        nasty = ("a" * 1_000_000, "1:" * 500_000, "0a" * 500_000, " " * 1_000_000, "." * 1_000_000, "\n" * 100_000)
        monitor, red = PrefixStabilityMonitor(), tool("\x1b[31mred\n" + "x" * 999)
        for text in nasty:
            prompt = [SystemMessage(f"{text}\ud800 7"), HumanMessage(text), *turns(1)]
            monitor.observe("t", prompt, tools=[red], **GPT)
            Look.at(text)
        monitor.observe("u", [SystemMessage(RULES)], tools=[tool("add"), red], **GPT)
        found = monitor.observe("u", [SystemMessage(RULES)], tools=[red], **GPT)
        assert found is not None
        assert found.place.isprintable()
        assert len(found.place) < 300

    def test_a_line_that_repeats_a_tool(self) -> None:
        """A system message that says what a tool's description says is not taken for that tool."""
        one, two = tool("add"), tool("track")
        copied = SystemMessage(tool_text(two))
        monitor = PrefixStabilityMonitor()
        assert monitor.observe("t", [copied, HumanMessage("Hi")], tools=[one, two], **GPT) is None
        found = monitor.observe("t", [copied, copied, HumanMessage("Hi")], tools=[one], **GPT)
        assert found is not None
        assert found.place == "tools[1], which is gone"

    def test_instants_without_a_time_zone(self) -> None:
        """Mixed ones are compared as the machine's own time, and are no fault."""
        monitor = PrefixStabilityMonitor()
        naive = datetime(2026, 11, 23, 10, 0)  # noqa: DTZ001  # the fault that is tested
        for minute, at in ((1, naive), (2, START)):
            found = monitor.observe("t", [SystemMessage(f"It is 10:0{minute}.\n{RULES}")], at=at, **GPT)
        assert found is not None
