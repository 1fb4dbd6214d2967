"""Selects what of a history is sent, up to a budget of tokens: what must stay, and then what the task is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_agentcost.context.blocks import Block, BlockKind
from langchain_agentcost.context.decision import Decision, Situation
from langchain_agentcost.context.history_view import HistoryView
from langchain_agentcost.context.message_text import text_of
from langchain_agentcost.context.plan import Action, Edit, Editor
from langchain_agentcost.context.ranking import Bm25, Ranker
from langchain_agentcost.context.worth import Cut
from langchain_agentcost.errors import ContextError
from langchain_agentcost.tokens import count_messages

QUERY_CHARS = 2_000
"""So much of the end of each message is what others are compared with."""


class Selection:
    """Keeps prompts within a budget: at a boundary the blocks that matter least are left out, and stay out.

    A boundary is where the prompt has grown beyond the budget; it is then cut to a lower mark, so that many calls fit
    before the next. At a boundary all is chosen anew, so that what matters again comes back. System messages, the first
    message of the user, pinned blocks, the latest answers with all that follows them, and calls without a result always
    stay, whatever the budget. A result without a call before it, which providers refuse, goes at once.

    Use it where a budget is what counts, as with small windows: it knows no prices, and a boundary has the provider's
    cache written again from the first block on that goes. `ContextProjector(decider=Selection(…))` makes it a Runnable,
    `ContextMiddleware` and `ContextNode` take that projector.

    Args:
        max_tokens: The longest prompt, with system message and tools.
        low: What it is cut to, as a share of that.
        keep: How many of the latest answers stay, with what follows them.
        ranker: Scores blocks against what was said last; BM25 where none is given.
        size: Counts the tokens of a message; None takes this package's counter.

    Raises:
        ContextError: If a number makes no sense.

    Example:
        >>> from langchain_agentcost.context.plan import Plan, project
        >>> said = [HumanMessage("Count the bays."), *[AIMessage(f"Bay {n} is full. " * 9) for n in range(40)]]
        >>> situation = Situation(messages=said, plan=Plan(), remaining=1, step=41)
        >>> decision = Selection(max_tokens=1_000, low=0.5).decide(situation)
        >>> len(project(said, decision.plan)) < 20
        True
    """

    def __init__(
        self,
        *,
        max_tokens: int,
        low: float = 0.6,
        keep: int = 3,
        ranker: Ranker | None = None,
        size: Callable[[BaseMessage], int] | None = None,
    ) -> None:
        if max_tokens < 1 or keep < 1 or not 0 < low < 1:
            raise ContextError(
                f"max_tokens and keep are at least 1, and low is between 0 and 1; not {max_tokens}, {keep} and {low}."
            )
        self.max_tokens = max_tokens
        self.low_tokens = int(max_tokens * low)
        self._keep = keep
        self._ranker = ranker or Bm25()
        self._size = size or (lambda message: count_messages([message]))
        self.make = Editor()

    def decide(self, situation: Situation) -> Decision:
        """Decide what is sent; see `Decider`."""
        view = self._view(situation)
        orphans = list(_orphans(view))
        if situation.static_tokens + view.tokens > self.max_tokens:
            chosen = self._chosen(situation, view)
            if chosen is not None:
                return _decided(situation, view, [*chosen, *orphans], "the prompt is longer than its budget")
        new = [block for block in orphans if not _is_gone(block, view)]
        if new:
            gone = [block for block in view.blocks if _is_gone(block, view)]
            return _decided(situation, view, [*gone, *new], "a result has no call before it")
        return Decision(action=Action.NONE, plan=view.plan, why="the prompt fits", step=situation.step)

    def _view(self, situation: Situation) -> HistoryView:
        return HistoryView(situation.messages, situation.plan, keep=self._keep, size=self._size, make=self.make)

    def _chosen(self, situation: Situation, view: HistoryView) -> list[Block] | None:
        """The blocks that go; None where too little would: then the prompt is too long, and the cache keeps it."""
        able = [block for block in view.droppable() if block.kind is not BlockKind.ORPHAN]
        sizes = {block.start: sum(map(self._size, block.messages)) for block in able}
        standing = sum(view.between(block.start, block.end) for block in able)
        room = self.low_tokens - situation.static_tokens - (view.tokens - standing)
        gone = []
        for block in self._ranked(situation.messages, able):
            room -= sizes[block.start]
            if room < 0:
                gone.append(block)
                room += sizes[block.start]
        left = standing - (sum(sizes.values()) - sum(sizes[block.start] for block in gone))
        return gone if left >= (self.max_tokens - self.low_tokens) / 2 else None

    def _ranked(self, messages: Sequence[BaseMessage], able: Sequence[Block]) -> list[Block]:
        """Blocks by how much they say about the task, and of equal ones the latest first."""
        texts = ["\n".join(map(text_of, block.messages)) for block in able]
        scores = self._ranker.scores(_query(messages), texts) if able else []
        order = sorted(range(len(able)), key=lambda at: (-scores[at], -at))
        return [able[at] for at in order]


def _query(messages: Sequence[BaseMessage]) -> str:
    """What the task is about now: the latest words of the user and of the model."""
    latest = [
        next((text_of(one) for one in reversed(messages) if isinstance(one, kind)), "")
        for kind in (HumanMessage, AIMessage)
    ]
    return "\n".join(text[-QUERY_CHARS:] for text in latest)


def _orphans(view: HistoryView) -> Iterator[Block]:
    return (block for block in view.blocks if block.kind is BlockKind.ORPHAN and not block.pinned)


def _is_gone(block: Block, view: HistoryView) -> bool:
    return any(edit.start <= block.start and block.end <= edit.end for edit in view.plan.edits)


def _decided(situation: Situation, view: HistoryView, gone: Sequence[Block], why: str) -> Decision:
    edits = _merged(sorted({(block.start, block.end) for block in gone}))
    plan = view.plan.following(situation.messages, edits)
    cut = _cut(situation, view, plan.edits)
    return Decision(action=Action.DROP, plan=plan, why=why, step=situation.step, cut=cut, remaining=situation.remaining)


def _cut(situation: Situation, view: HistoryView, edits: Sequence[Edit]) -> Cut:
    gain = sum(view.between(edit.start, edit.end) for edit in edits)
    first = edits[0].start
    again = max(0, view.between(first, view.sent) - gain) if situation.cached else 0
    return Cut(evicted_tokens=gain, rewritten_tokens=again, kept_tokens=0, growth_tokens=0.0)


def _merged(ranges: Sequence[tuple[int, int]]) -> list[Edit]:
    """Edits that drop ranges of places, neighbouring ones as one."""
    if not ranges:
        return []
    breaks = [at for at, (one, other) in enumerate(pairwise(ranges), start=1) if one[1] != other[0]]
    bounds = [0, *breaks, len(ranges)]
    return [Edit(ranges[a][0], ranges[b - 1][1], Action.DROP) for a, b in pairwise(bounds)]
