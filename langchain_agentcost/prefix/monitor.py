"""Whether the prompts of a conversation only grow, as prompt caches need it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from itertools import count
from threading import Lock
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_agentcost.prefix.change import PrefixChange, PrefixFinding, PrefixTotals
from langchain_agentcost.prefix.loss import Break, Sent, loss_of
from langchain_agentcost.prefix.outline import Gap, Outline, Section, has_system
from langchain_agentcost.prefix.place import Compared, Spot, spot_of
from langchain_agentcost.prefix.volatile import PATTERNED, Look
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.recent import Recent
from langchain_agentcost.usage import Usage

MAX_THREADS = 512
"""How many conversations are remembered at once, where nothing else is said."""

MAX_PROMPTS = 4
"""How many prompts of a conversation are: branches of it, and chains that take turns, are told apart by them."""


class PrefixStabilityMonitor:
    r"""Finds what makes prompts change where they were sent before, and what that costs.

    A provider's prompt cache serves the beginning of a prompt as far as it is that of an earlier one, in the order
    tools, system message, messages. A clock at the top, or tools in another order, make every call pay for all of it
    again. A conversation that only grows has no findings.

    Of a prompt only hashes and sizes are kept, and weak references to its messages, so that a history is not read
    again: no text, and no message lives longer for it. Safe to share between threads and tasks.

    Args:
        prices: What tokens cost; None is the list prices.
        max_threads: How many conversations are remembered at once; the one that was silent longest is forgotten.

    Example:
        >>> from langchain_core.messages import HumanMessage, SystemMessage
        >>> monitor = PrefixStabilityMonitor()
        >>> for minute in (1, 2, 3):
        ...     prompt = [SystemMessage(f"It is 10:0{minute}.\nBe kind. " + "Be brief! " * 900), HumanMessage("Hi")]
        ...     change = monitor.observe("thread 1", prompt, model="gpt-4.1", provider="openai")
        >>> change.place, change.kind, change.since_call, change.recurring
        ('system message, line 1', 'clock time', 2, True)
    """

    def __init__(self, prices: PriceBook | None = None, *, max_threads: int = MAX_THREADS) -> None:
        self._prices = prices or PriceBook()
        self._threads: Recent[Hashable, _Thread] = Recent(max_threads)
        self._totals = PrefixTotals()
        self._findings: dict[tuple[Section, str], PrefixFinding] = {}
        self._lock = Lock()

    def observe(
        self,
        thread: Hashable,
        messages: Sequence[BaseMessage],
        *,
        tools: Sequence[Any] = (),
        model: str | None = None,
        provider: str | None = None,
        at: datetime | None = None,
        usage: Usage | None = None,
    ) -> PrefixChange | None:
        """Look at the next prompt of a conversation, once it was answered.

        Args:
            thread: The conversation: what one agent sends in one session.
            messages: The prompt, a system message first where there is one.
            tools: The descriptions of the tools that were sent with it.
            model: The model. Each has a cache of its own, so prompts of two models are not compared.
            provider: Who served it.
            at: When it was sent; None where that is not known: then a cache is taken not to have forgotten.
            usage: The provider's own count. It sizes the prompt, and what it says of cache reads is believed. Estimates
                and reports with faults are not.

        Returns:
            The change; None where the prompt goes on from an earlier one, or nothing behind the change was sent before.
        """
        state = self._state(thread)
        prompts = tuple(prompt for prompt in state.prompts if prompt.model == model)
        now = Outline.of(messages, tools, model=model, like=_like(prompts, messages))
        earlier, shared = _nearest(prompts, now)
        call = _Call(thread, next(state.calls), Sent(model, provider, at, _believed(usage)))
        change, suspect = None, None
        if earlier is not None:
            gap = now.gap(earlier.outline, shared)
            suspect = earlier.suspect.rested() if gap is None and earlier.suspect is not None else None
            if gap is not None:
                pair = Compared(messages, tools, now, earlier.outline)
                change, suspect = self._changed(call, gap, pair, earlier)
        goes_on = earlier is not None and shared == len(earlier.outline.keys)
        with self._lock:
            state.keep(_Prompt(now, model, at, suspect), instead_of=earlier if goes_on else None)
            if change is not None:
                self._add(state, change, at)
        return change

    def totals(self, thread: Hashable | None = None) -> PrefixTotals:
        """Give the sums of what was found.

        Args:
            thread: The conversation; None is all that there ever were.
        """
        if thread is None:
            return self._totals
        state = self._threads.get(thread)
        return state.totals if state is not None else PrefixTotals()

    def findings(self) -> tuple[PrefixFinding, ...]:
        """Give what was found by part of the prompt and kind of item, the dearest first."""
        with self._lock:
            found = list(self._findings.values())
        found.sort(key=lambda finding: (-finding.totals.lost_nano, -finding.totals.invalidated_tokens))
        return tuple(found)

    def _state(self, thread: Hashable) -> _Thread:
        """What is known of a conversation, which now is the one that was heard of last."""
        with self._lock:
            state = self._threads.pop(thread) or _Thread()
            self._threads.put(thread, state)
            return state

    def _changed(self, call: _Call, gap: Gap, pair: Compared, earlier: _Prompt) -> tuple[PrefixChange, _Suspect]:
        """The change, and what is suspected now."""
        suspect = earlier.suspect
        in_same_part = suspect is not None and suspect.section == gap.section
        spot = spot_of(gap, pair, suspect.look if suspect is not None and in_same_part else None)
        suspect = _suspected(suspect, spot, gap.section, call)
        gone = _break(gap, pair.now, call.sent, _pause_s(earlier.at, call.sent.at))
        loss = loss_of(gone, call.sent, self._prices)
        change = PrefixChange(
            thread=call.thread,
            call=call.number,
            section=gap.section,
            place=spot.place,
            kind=spot.kind,
            times=suspect.times,
            since_call=suspect.since_call,
            since=suspect.since,
            invalidated_tokens=gone.again_tokens,
            lost_tokens=loss.tokens,
            lost_nano=loss.nano,
        )
        return change, suspect

    def _add(self, state: _Thread, change: PrefixChange, at: datetime | None) -> None:
        state.totals = state.totals.plus(change, at)
        self._totals = self._totals.plus(change, at)
        key = (change.section, change.kind)
        known = self._findings.get(key) or PrefixFinding(change, PrefixTotals())
        self._findings[key] = PrefixFinding(known.first, known.totals.plus(change, at))


class _Suspect(NamedTuple):
    """A part of a prompt that has changed: the next change there tells whether it goes on changing.

    Args:
        section: The part.
        look: How the changed piece looked.
        times: How often it has changed.
        since_call: The call of the first change.
        since: When that was.
        quiet: Whether a prompt came after it that only went on.
    """

    section: Section
    look: Look
    times: int
    since_call: int
    since: datetime | None
    quiet: bool = False

    def rested(self) -> _Suspect:
        """The same after a prompt that only went on."""
        return self if self.quiet else self._replace(quiet=True)


class _Prompt(NamedTuple):
    """What is remembered of a prompt."""

    outline: Outline
    model: str | None
    at: datetime | None
    suspect: _Suspect | None


class _Call(NamedTuple):
    """The call that is looked at: its conversation, its number in it, and how it was made."""

    thread: Hashable
    number: int
    sent: Sent


class _Thread:
    """What is remembered of a conversation."""

    __slots__ = ("calls", "prompts", "totals")

    def __init__(self) -> None:
        self.calls = count(1)
        self.prompts: tuple[_Prompt, ...] = ()
        self.totals = PrefixTotals()

    def keep(self, prompt: _Prompt, *, instead_of: _Prompt | None) -> None:
        """Remember a prompt; one that it goes on from need not be."""
        others = tuple(known for known in self.prompts if known is not instead_of)
        self.prompts = (*others, prompt)[-MAX_PROMPTS:]


def _like(prompts: Sequence[_Prompt], messages: Sequence[BaseMessage]) -> Outline | None:
    """The prompt that the new one has most messages of: one with the same first message, else the latest."""
    if not prompts:
        return None
    first = next(iter(messages[has_system(messages) :]), None)
    outlines = (prompt.outline for prompt in reversed(prompts))
    same = (outline for outline in outlines if outline.messages and outline.messages[0]() is first)
    return next(same, prompts[-1].outline)


def _nearest(prompts: Sequence[_Prompt], now: Outline) -> tuple[_Prompt | None, int]:
    """The prompt that a cache would take: with the longest common beginning; and how many pieces that has.

    Of two it is the one of the same conversation, and then the later one.
    """
    best, most = None, (-1, False)
    for prompt in prompts:
        fit = (now.shares(prompt.outline), now.starts_like(prompt.outline))
        if fit >= most:
            best, most = prompt, fit
    return best, most[0]


def _suspected(before: _Suspect | None, spot: Spot, section: Section, call: _Call) -> _Suspect:
    """What is suspected after a change.

    It comes again where the same part changed in the call before, or where it changes now and then by an item of a kind
    that changes by itself, such as a clock that shows no seconds.
    """
    if before is None or before.section != section or (before.quiet and spot.kind not in PATTERNED):
        return _Suspect(section, spot.look, 1, call.number, call.sent.at)
    return before._replace(look=spot.look, times=before.times + 1, quiet=False)


def _believed(usage: Usage | None) -> Usage | None:
    """A provider's own count; None for an estimate, and for a report with faults."""
    if usage is None or usage.estimated or usage.anomalies or not usage.input_tokens:
        return None
    return usage


def _break(gap: Gap, now: Outline, sent: Sent, pause_s: float | None) -> Break:
    """A gap in the provider's tokens, where it counted."""
    ours = sum(now.tokens)
    theirs = sent.usage.input_tokens if sent.usage is not None else ours
    return Break(gap.prefix_tokens * theirs // ours, gap.again_tokens * theirs // ours, theirs, pause_s)


def _pause_s(before: datetime | None, now: datetime | None) -> float | None:
    return now.timestamp() - before.timestamp() if before is not None and now is not None else None
