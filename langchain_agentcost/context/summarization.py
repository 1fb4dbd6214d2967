"""A node that summarises what is old where that pays: the state keeps every message, and the model sees fewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from langchain_agentcost.context.as_node import AsNode
from langchain_agentcost.context.blocks import Block, BlockKind, blocks
from langchain_agentcost.context.plan import Action, Edit, Plan, project
from langchain_agentcost.context.projecting_state import latest
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary import Summary, parse
from langchain_agentcost.context.summary_writers import Passage
from langchain_agentcost.context.worth import CacheRates, Cut
from langchain_agentcost.errors import ContextError
from langchain_agentcost.pricing import Cost, PriceCard
from langchain_agentcost.tokens import count_messages
from langchain_agentcost.usage import Usage

PLAN_KEY = "context_plan"
"""The channel that the plan is kept in."""


class SummarizedState(TypedDict, total=False):
    """A state that has the plan's channel, to inherit from: `class State(MessagesState, SummarizedState)`."""

    context_plan: Annotated[dict[str, Any], latest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a history is to be summarised.

    Args:
        tokens: How long the prompt has to be, in tokens, system message and tools included.
        margin_tokens: How much of it has to be history, and how much it has to have grown since the latest summary: a
            long system message alone never triggers, and no summary follows another at once.
        window_tokens: The model's context window; a prompt of nine tenths of it is summarised whether that pays or not.
            None where it is not known.
        keep_blocks: How many blocks stay as they are, the latest ones.
    """

    tokens: int = 24_000
    margin_tokens: int = 8_000
    window_tokens: int | None = None
    keep_blocks: int = 4

    def due(self, size: int, *, floor: int) -> bool:
        """Tell whether a prompt is long enough; `floor` is what it was after the latest plan, or is without history."""
        return self.forced(size) or size >= max(self.tokens, floor + self.margin_tokens)

    def forced(self, size: int) -> bool:
        """Tell whether it soon no longer fits into the window."""
        return self.window_tokens is not None and size * 10 >= self.window_tokens * 9


class SummarizationNode(AsNode):
    """Puts a summary in the place of old messages, at the bounds of blocks, where that is cheaper.

    State is append-only: no message is removed. The node writes a plan into a channel of its own, and `view` (or
    `project`) puts it to work for one call. Between two plans each prompt begins with the one before.

    Whether it pays is worked out by `worth.Cut`: what is behind the summary has to be written into the provider's cache
    again, and the summary has its own price. System messages, the first message of the user, pinned blocks, the latest
    blocks, and whatever waits for a result stay as they are.

    In a graph of your own, put it before the model's node, which then asks with `node.view(state["messages"], state)`.
    For langgraph's `create_react_agent(state_schema=…, pre_model_hook=node.hook())`. With a `CostCheckpointer`:
    `context=[node]`.

    Args:
        summarizer: What makes the summaries.
        card: The prices of the model that the messages are for; None summarises whenever it is due.
        trigger: When.
        system: The agent's system message, where it is not among the messages.
        tools: The tools that are bound to the model.
        steps: How many calls the run will still make: a number, or a function of the state. None takes
            `remaining_steps` of the state where it has that, else as many as there were answers.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> trigger = Trigger(tokens=200, margin_tokens=100, keep_blocks=1)
        >>> node = SummarizationNode(Summarizer(max_tokens=100), trigger=trigger)
        >>> said = [HumanMessage("Count the bays."), *[AIMessage(f"Bay {n} is full. " * 9) for n in range(9)]]
        >>> plan = node.invoke({"messages": said})
        >>> [message.type for message in node.view(said, plan)]
        ['human', 'human', 'ai']
    """

    name = "summarize"
    schema: type[Any] | None = SummarizedState

    def __init__(
        self,
        summarizer: Summarizer,
        *,
        card: PriceCard | None = None,
        trigger: Trigger | None = None,
        system: SystemMessage | str | None = None,
        tools: Sequence[Any] = (),
        steps: int | Callable[[Mapping[str, Any]], int] | None = None,
    ) -> None:
        self.summarizer = summarizer
        self.trigger = trigger or Trigger()
        self._system: list[BaseMessage] = (
            [SystemMessage(system) if isinstance(system, str) else system] if system else []
        )
        self._tools = tools
        self._steps = steps
        self._rates = CacheRates.of(card) if card else None
        self._model = card.model if card else None

    def invoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Make a plan where one is due and pays.

        Args:
            state: The graph's state.
            config: The node's config.

        Returns:
            The update of the state; empty where nothing is to be done.
        """
        job = self._job(state)
        if job is None or not self._pays(job, self.summarizer.estimate(job.passage).cost, state):
            return {}
        made = self.summarizer.summarize(job.passage, config)
        return self._update(job, made.summary) if made else {}

    async def ainvoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Make a plan from async code; see `invoke`."""
        job = self._job(state)
        if job is None or not self._pays(job, self.summarizer.estimate(job.passage).cost, state):
            return {}
        made = await self.summarizer.asummarize(job.passage, config)
        return self._update(job, made.summary) if made else {}

    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> list[BaseMessage]:
        """Give the messages for the model: the history, with the summary in the place of what it stands for."""
        return project(messages, _plan(state, messages))

    def _job(self, state: Mapping[str, Any]) -> _Job | None:
        """What there is to summarise; None where it is not due, or too little may go to be worth a summary."""
        messages = state.get("messages") or []
        plan = _plan(state, messages)
        size, factor = self._size(messages, plan)
        floor = round(factor * self._count(project(messages[: plan.covered], plan)))
        if not self.trigger.due(size, floor=floor):
            return None
        spans = _spans(blocks(messages), self.trigger.keep_blocks)
        gone = [edit for edit in plan.edits if edit.action in _WHOLE]
        covered = [
            messages[at]
            for start, end in spans
            for at in range(start, end)
            if not any(edit.start <= at < edit.end for edit in gone)
        ]
        if count_messages(covered, model=self._model) <= self.summarizer.max_tokens:
            return None
        prefix = [*self._system, *project(messages[: spans[-1][1]], _until(plan, messages, spans[-1][1]))]
        return _Job(messages, plan, spans, Passage(covered=covered, earlier=_earlier(gone), prefix=prefix), size)

    def _size(self, messages: Sequence[BaseMessage], plan: Plan) -> tuple[int, Fraction]:
        """How long the next prompt is, and by what factor the provider's counts differ from ours.

        It is what the provider counted for the latest prompt, and what has come since. A count from before the latest
        plan is one of another prompt: then it is our own.
        """
        for at in range(len(messages) - 1, plan.covered - 1, -1):
            usage = Usage.from_message(messages[at]) if isinstance(messages[at], AIMessage) else None
            if usage is not None and usage.input_tokens:
                ours = max(1, self._count(project(messages[:at], plan)))
                factor = min(max(Fraction(usage.input_tokens, ours), 1 / _FURTHEST), _FURTHEST)
                answered = usage.input_tokens + usage.output_tokens - usage.reasoning_tokens
                return answered + round(factor * count_messages(messages[at + 1 :], model=self._model)), factor
        return self._count(project(messages, plan)), Fraction(1)

    def _count(self, messages: Sequence[BaseMessage]) -> int:
        return count_messages([*self._system, *messages], model=self._model, tools=self._tools)

    def _pays(self, job: _Job, cost: Cost | None, state: Mapping[str, Any]) -> bool:
        """Whether the summary is worth its cost. One whose cost is not known counts as free: nothing else is known."""
        if self._rates is None or self.trigger.forced(job.size):
            return True
        most = self.summarizer.max_tokens
        before = self._count(project(job.messages, job.plan))
        after = project(job.messages, job.planned(_STAND_IN))
        behind = count_messages(after[job.spans[0][0] + 1 :], model=self._model) + most
        less = before - self._count(after) - most
        fee_nano = cost.total_nano if cost else 0
        cut = Cut(evicted_tokens=less, rewritten_tokens=behind, kept_tokens=0, growth_tokens=0, fee_nano=fee_nano)
        return cut.saving_nano(self._rates, self._left(state)) > 0

    def _left(self, state: Mapping[str, Any]) -> int:
        if self._steps is not None:
            return self._steps(state) if callable(self._steps) else self._steps
        known = state.get("remaining_steps")
        made = sum(isinstance(message, AIMessage) for message in state["messages"])
        return min(known, made) if isinstance(known, int) else made

    def _update(self, job: _Job, summary: Summary) -> dict[str, Any]:
        """The plan, where the prompt gets shorter by it."""
        plan = job.planned(summary)
        before = project(job.messages, job.plan)
        if not summary or self._count(project(job.messages, plan)) >= self._count(before):
            return {}
        return {PLAN_KEY: plan.as_dict()}


@dataclass(frozen=True, slots=True)
class _Job:
    """What there is to summarise."""

    messages: Sequence[BaseMessage]
    plan: Plan
    spans: tuple[tuple[int, int], ...]
    passage: Passage
    size: int

    def planned(self, summary: Summary) -> Plan:
        """The next plan: the summary in the first span's place, and the old changes of what stays."""
        (start, end), *others = self.spans
        edits = [Edit(start, end, Action.SUMMARISE, summary.render()), *(Edit(*one, Action.DROP) for one in others)]
        stay = [old for old in self.plan.edits if all(old.end <= a or b <= old.start for a, b in self.spans)]
        return self.plan.following(self.messages, [*edits, *stay])


_FURTHEST = Fraction(4)
"""A provider's count further off than this is one of another prompt."""

_STAND_IN = Summary(intent="…")
_WHOLE = (Action.SUMMARISE, Action.DROP)


def _plan(state: Mapping[str, Any], messages: Sequence[BaseMessage]) -> Plan:
    """The plan of a state; one that is damaged or made for another history changes nothing."""
    try:
        plan = Plan.from_dict(state.get(PLAN_KEY))
    except ContextError:
        return Plan()
    return plan if plan.fits(messages) else Plan(epoch=plan.epoch)


def _until(plan: Plan, messages: Sequence[BaseMessage], end: int) -> Plan:
    """A plan for the beginning of its history only."""
    return Plan(plan.epoch).following(messages[:end], [edit for edit in plan.edits if edit.end <= end])


def _earlier(edits: Sequence[Edit]) -> Summary:
    """What earlier summaries say. Texts of another form are kept as they are, line by line."""
    earlier = Summary()
    for edit in edits:
        if edit.action is Action.SUMMARISE:
            said = parse(edit.text) or Summary(decisions=tuple(edit.text.split("\n")))
            earlier = earlier.merge(said, max_tokens=_ALL)
    return earlier


_ALL = 1_000_000
"""No cap: the summarizer sets it."""


def _spans(history: Sequence[Block], keep: int) -> tuple[tuple[int, int], ...]:
    """What may go, as few spans as are possible: all but what leads, what is pinned, and what is recent or waits."""
    recent = len(history) - max(keep, 1)
    waits = next((at for at, block in enumerate(history) if block.waiting), len(history))
    first = next((at for at, block in enumerate(history) if block.kind is BlockKind.HUMAN), None)
    found: list[tuple[int, int]] = []
    for at, block in enumerate(history[: max(0, min(recent, waits))]):
        if block.pinned or at == first or any(message.type == "system" for message in block.messages):
            continue
        if found and found[-1][1] == block.start:
            found[-1] = (found[-1][0], block.end)
        else:
            found.append((block.start, block.end))
    return tuple(found)
