"""A history as the planner sees it: what is sent of each message now, how long that is, and what of it may go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.context.blocks import Block, BlockKind, blocks
from langchain_agentcost.context.plan import Edit, Make, Plan

Size = Callable[[BaseMessage], int]


class HistoryView:
    """A history under a plan.

    Args:
        messages: The history.
        plan: What is cut of it; one that does not fit counts as none.
        keep: How many of the latest answers stay whole.
        size: Counts the tokens of a message.
        make: Makes what stands for edited messages.

    Attributes:
        plan: The plan that holds.
        sent: The place before which everything stood in the latest prompt: that of the latest answer.
        tokens: How long what is sent is, without what is sent beside the history.
    """

    def __init__(self, messages: Sequence[BaseMessage], plan: Plan, *, keep: int, size: Size, make: Make) -> None:
        self.messages = messages
        self.plan = plan if plan.fits(messages) else Plan(plan.epoch)
        self._keep = keep
        self._shown = self._standing(make)
        self._sums = [0, *accumulate(size(shown) if shown is not None else 0 for shown in self._shown)]
        self.sent = max((at for at, message in enumerate(messages) if isinstance(message, AIMessage)), default=0)
        self.tokens = self._sums[-1]

    def shown(self, start: int, end: int) -> list[BaseMessage]:
        """Give what is sent now of the messages from one place to before another."""
        return [message for message in self._shown[start:end] if message is not None]

    def between(self, start: int, end: int) -> int:
        """Give the tokens that are sent now of the messages from one place to before another."""
        return max(0, self._sums[max(start, end)] - self._sums[start])

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The history in blocks."""
        return blocks(self.messages)

    @cached_property
    def answers(self) -> int:
        """How many answers came since the plan was made: so many calls ago was the latest cut."""
        return sum(isinstance(message, AIMessage) for message in self.messages[self.plan.covered :])

    @cached_property
    def zone(self) -> int:
        """The place from which on everything stays: where the latest answers begin."""
        answers = [block.start for block in self.blocks if block.kind is BlockKind.AI]
        if len(answers) <= self._keep:
            return answers[0] if answers else len(self.messages)
        return answers[-self._keep]

    @cached_property
    def opening(self) -> int:
        """The place behind what always stays at the beginning: system messages and the first message of a user."""
        first = next((block.end for block in self.blocks if any(one.type == "human" for one in block.messages)), 0)
        systems = [block.end for block in self.blocks if block.kind is BlockKind.SYSTEM]
        return max([first, *systems])

    @cached_property
    def middle(self) -> tuple[int, int]:
        """The range of all blocks that may go and stand together before the latest answers; empty where none do."""
        start = end = self.zone
        for block in reversed(self.droppable()):
            if block.end != start:
                break
            start = block.start
        return start, end

    def cuttable(self) -> Iterator[tuple[int, BaseMessage]]:
        """Give the messages that may be cut one by one, with their places: of old answers and their results."""
        touched = {at for edit in self.plan.edits for at in range(edit.start, edit.end)}
        for block in self.blocks:
            if block.kind is BlockKind.AI and block.end <= self.zone and not block.pinned and not block.waiting:
                yield from ((at, self.messages[at]) for at in range(block.start, block.end) if at not in touched)

    def droppable(self) -> list[Block]:
        """Give the blocks that may go as a whole: behind the opening, before the latest, not pinned, not waiting."""
        return [
            block
            for block in self.blocks
            if self.opening <= block.start and block.end <= self.zone and not block.pinned and not block.waiting
        ]

    def _standing(self, make: Make) -> list[BaseMessage | None]:
        """What stands at each place; nothing where an edit has taken it away."""
        shown: list[BaseMessage | None] = list(self.messages)
        for edit in self.plan.edits:
            made = make(self.messages[edit.start : edit.end], edit)
            shown[edit.start : edit.end] = [*made, *[None] * (edit.end - edit.start - len(made))]
        return shown


def kept_edits(plan: Plan, start: int, end: int) -> list[Edit]:
    """Give the edits of a plan that do not lie in a range of places."""
    return [edit for edit in plan.edits if edit.end <= start or edit.start >= end]
