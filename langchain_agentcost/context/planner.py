"""When to cut a history, and where: only where it pays under the provider's prompt cache, and never a little at a time.

See `worth.py` for the formulas. A cut may begin anywhere: the later it begins, the less has to be written to the cache
again. The planner takes the beginning that is worth most, waits until the batch is large enough, and cuts nothing that
would not pay if the run were half as long as expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation
from langchain_agentcost.context.history_view import HistoryView, kept_edits
from langchain_agentcost.context.notes import MESSAGES_KNOWN, Notes
from langchain_agentcost.context.plan import WHOLE, Action, Edit, Editor, Plan
from langchain_agentcost.context.worth import CacheRates, Cut
from langchain_agentcost.recent import Recent
from langchain_agentcost.tokens import count_messages

CAUTION = 0.5
"""A cut has to pay in this share of the calls that are expected: what is expected is often wrong by a factor of two."""

ROOM = 0.8
"""A prompt that would not fit its window is cut to this share of it, so that it is not cut again at once."""


class _Option(NamedTuple):
    """A way to cut: what it changes, and which messages notes stand for then."""

    action: Action
    cut: Cut
    places: Sequence[int]
    why: str = "it pays"


class EvictionPlanner:
    """Decides before each call what of the history is cut.

    It keeps nothing of a run but the sizes of messages: the same situation gives the same decision, in any process.

    Args:
        rates: What the model's input costs with its prompt cache.
        policy: What may be cut.
        size: Counts the tokens of a message; None takes this package's counter.
        resize: Counts those of a message that takes another one's place, of (old, new); None counts the new one.
        refer: Says where the whole of a tool result can be read again; see `Notes`.

    Attributes:
        make: What makes the notes, for `project`.

    Example:
        >>> from decimal import Decimal
        >>> from langchain_core.messages import HumanMessage
        >>> planner = EvictionPlanner(CacheRates(read=Decimal(300), write=Decimal(3_750)))
        >>> decision = planner.decide(Situation(messages=[HumanMessage("Hi")], plan=Plan(), remaining=9, step=1))
        >>> decision.action.value, decision.why
        ('none', 'there is nothing to cut')
    """

    def __init__(
        self,
        rates: CacheRates,
        policy: EvictionPolicy | None = None,
        *,
        size: Callable[[BaseMessage], int] | None = None,
        resize: Callable[[BaseMessage, BaseMessage], int] | None = None,
        refer: Callable[[ToolMessage], str] | None = None,
    ) -> None:
        self.rates = rates
        self.policy = policy or EvictionPolicy()
        self._size = size or (lambda message: count_messages([message]))
        self._resize = resize or (lambda old, new: self._size(new))
        self._notes = Notes(self.policy.notes, refer)
        self.make = Editor()
        self._gains: Recent[int, tuple[BaseMessage, int, int]] = Recent(MESSAGES_KNOWN)

    def decide(self, situation: Situation) -> Decision:
        """Decide what is sent.

        Args:
            situation: The call that is about to be made.

        Returns:
            The decision. Its plan is what to project the history by, and to keep for the next call.
        """
        view = HistoryView(situation.messages, situation.plan, keep=self.policy.keep, size=self._size, make=self.make)
        window = self.rates.window_tokens
        if window is not None and situation.static_tokens + view.tokens > window:
            return self._to_fit(situation, view, int(window * ROOM) - situation.static_tokens)
        options = [self._short(situation, view), self._summary(situation, view)]
        able = [option for option in options if option is not None]
        if not able:
            return _nothing(situation, view, "there is nothing to cut")
        best = max(able, key=lambda option: option.cut.saving_nano(self.rates, situation.remaining))
        against = self._against(best.cut, situation.remaining)
        return _nothing(situation, view, against) if against else self._done(situation, view, best)

    def summarised(self, situation: Situation, decision: Decision, text: str) -> Decision:
        """Put a summary that was written into the decision that asked for it.

        Args:
            situation: What was decided about.
            decision: The decision.
            text: The summary.

        Returns:
            The decision, with its plan.
        """
        if decision.summarise is None:
            return decision
        start, end = decision.summarise
        edits = [*kept_edits(decision.plan, start, end), Edit(start, end, Action.SUMMARISE, text)]
        return replace(decision, plan=decision.plan.following(situation.messages, edits), summarise=None)

    def _against(self, cut: Cut, remaining: float) -> str:
        """Why a cut is not made now; "" where it is."""
        if cut.saving_nano(self.rates, remaining * CAUTION) <= 0:
            return "it would not pay in half of the calls that are expected"
        if cut.evicted_tokens < cut.batch_tokens(self.rates, remaining):
            return "a larger batch costs less"
        return ""

    def _short(self, situation: Situation, view: HistoryView) -> _Option | None:
        """Notes in place of old results and long arguments, from the place on where that is worth most."""
        places = list(self._places(view))
        if not places:
            return None
        gains = list(accumulate(gain for _, gain in reversed(places)))[::-1]
        cuts = [_cut(situation, view, at, gain) for (at, _), gain in zip(places, gains, strict=True)]
        best = max(range(len(cuts)), key=lambda one: cuts[one].saving_nano(self.rates, situation.remaining))
        return _Option(Action.MASK, cuts[best], places=[at for at, _ in places[best:]])

    def _summary(self, situation: Situation, view: HistoryView) -> _Option | None:
        """A summary in place of all blocks that may go and stand together before the latest answers."""
        start, end = view.middle
        if situation.offer is None or Action.SUMMARISE not in self.policy.actions or start == end:
            return None
        offer = situation.offer(view.shown(start, end))
        if offer is None:
            return None
        gain = view.between(start, end) - offer.tokens
        cut = _cut(situation, view, start, gain, fee_nano=offer.fee_nano)
        return _Option(Action.SUMMARISE, cut, places=[]) if gain > 0 else None

    def _to_fit(self, situation: Situation, view: HistoryView, room: int) -> Decision:
        """What has to be done so that a prompt fits its window, whatever it costs."""
        places = [at for at, _ in self._places(view)]
        edits = self._noted(view, places)
        gained = {edit.start: self._gained(view, edit) for edit in edits}
        left = view.tokens - sum(gained.values())
        summary = self._summary(situation, view) if left > room else None
        if summary is not None and view.tokens - summary.cut.evicted_tokens <= room:
            return self._done(situation, view, summary._replace(why=_WINDOW))
        dropped = list(_dropped(view, left - room, gained))
        kept = [edit for edit in (*view.plan.edits, *edits) if not any(_within(edit, gone) for gone in dropped)]
        if not edits and not dropped:
            return _nothing(situation, view, "the prompt is too long for its window, and nothing may be cut")
        action = Action.DROP if dropped else Action.MASK
        first = min(edit.start for edit in (*edits, *dropped))
        gain = view.tokens - left + sum(_standing(view, gone.start, gone.end, gained) for gone in dropped)
        plan = view.plan.following(situation.messages, [*kept, *dropped])
        return self._decided(situation, plan, _Option(action, _cut(situation, view, first, gain), [], _WINDOW))

    def _done(self, situation: Situation, view: HistoryView, option: _Option) -> Decision:
        if option.action is Action.SUMMARISE:
            return replace(self._decided(situation, view.plan, option), summarise=view.middle)
        edits = self._noted(view, option.places)
        if not edits:
            return _nothing(situation, view, "there is nothing to cut")
        gain = sum(self._gained(view, edit) for edit in edits)
        cut = _cut(situation, view, edits[0].start, gain)
        plan = view.plan.following(situation.messages, [*view.plan.edits, *edits])
        return self._decided(situation, plan, option._replace(cut=cut, action=_said(edits)))

    def _decided(self, situation: Situation, plan: Plan, option: _Option) -> Decision:
        return Decision(
            action=option.action,
            plan=plan,
            why=option.why,
            step=situation.step,
            predicted_nano=option.cut.saving_nano(self.rates, situation.remaining),
            cut=option.cut,
            remaining=situation.remaining,
        )

    def _places(self, view: HistoryView) -> Iterator[tuple[int, int]]:
        """The messages for which a note may stand, and the tokens that each saves."""
        said, until = set[str](), 0
        for at, message in view.cuttable():
            known = self._gains.get(id(message))
            if known is None or known[0] is not message or known[1] != at:
                for earlier in view.messages[until:at]:  # whichever of them is cut keeps its literals
                    said |= self._notes.literals(earlier)
                until = at
                edit = self._edit(at, message, said)
                known = message, at, 0 if edit is None else self._saved(message, edit)
                self._gains.put(id(message), known)
            if known[2] >= self.policy.least_tokens:
                yield at, known[2]

    def _edit(self, at: int, message: BaseMessage, shown: set[str]) -> Edit | None:
        policy = self.policy
        if isinstance(message, ToolMessage) and message.name in policy.exclude_tools:
            return None
        wanted = Action.TRUNCATE if isinstance(message, AIMessage) else Action.MASK
        return self._notes.edit(at, message, shown) if wanted in policy.actions else None

    def _noted(self, view: HistoryView, places: Sequence[int]) -> list[Edit]:
        """The notes for messages, each without the literals that stand in what is sent before it."""
        if not places:
            return []
        chosen, shown, made = set(places), set[str](), []
        for at in range(places[-1] + 1):
            edit = self._edit(at, view.messages[at], shown) if at in chosen else None
            standing = view.shown(at, at + 1) if edit is None else self.make([view.messages[at]], edit)
            for message in standing:
                shown |= self._notes.literals(message)
            if edit is not None:
                made.append(edit)
        return made

    def _gained(self, view: HistoryView, edit: Edit) -> int:
        return self._saved(view.messages[edit.start], edit)

    def _saved(self, message: BaseMessage, edit: Edit) -> int:
        [note] = self.make([message], edit)
        return self._size(message) - self._resize(message, note)


_WINDOW = "the prompt would not fit its window"


def _cut(situation: Situation, view: HistoryView, at: int, gain: int, *, fee_nano: int = 0) -> Cut:
    """What it means to take so many tokens away from a place on."""
    cached = situation.cached
    return Cut(
        evicted_tokens=gain,
        rewritten_tokens=max(0, view.between(at, view.sent) - gain) if cached else 0,
        kept_tokens=view.between(view.zone, view.sent) if cached else 0,
        growth_tokens=gain / max(1, view.answers),
        fee_nano=fee_nano,
        unsent_tokens=0 if cached else gain,
    )


def _nothing(situation: Situation, view: HistoryView, why: str) -> Decision:
    return Decision(action=Action.NONE, plan=view.plan, why=why, step=situation.step, remaining=situation.remaining)


def _said(edits: Sequence[Edit]) -> Action:
    """What a cut is called: by what most of its edits are."""
    kinds = [edit.action for edit in edits]
    return max(dict.fromkeys(kinds), key=kinds.count)


def _dropped(view: HistoryView, surplus: int, gained: Mapping[int, int]) -> Iterator[Edit]:
    """The oldest blocks that have so many tokens together, where notes stand for messages that gained so many."""
    for block in view.droppable():
        if surplus <= 0:
            return
        if any(edit.action in WHOLE and edit.start < block.end and block.start < edit.end for edit in view.plan.edits):
            continue  # a summary stands for it
        surplus -= _standing(view, block.start, block.end, gained)
        yield Edit(block.start, block.end, Action.DROP)


def _standing(view: HistoryView, start: int, end: int, gained: Mapping[int, int]) -> int:
    """What is left of a range when notes stand for its messages, in tokens."""
    return view.between(start, end) - sum(gained.get(at, 0) for at in range(start, end))


def _within(edit: Edit, other: Edit) -> bool:
    return other.start <= edit.start and edit.end <= other.end
