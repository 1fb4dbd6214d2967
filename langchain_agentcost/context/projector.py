"""Projects a history for each call: what is sent is cut where that pays, and the history itself stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.context.audit import Asked, AuditReport
from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation
from langchain_agentcost.context.horizon import Horizon, Horizons, StepHistory
from langchain_agentcost.context.plan import Action, Editor, Plan, project
from langchain_agentcost.context.planner import EvictionPlanner
from langchain_agentcost.context.projecting_model import Beside, ModelFacts
from langchain_agentcost.context.projecting_references import PutAside
from langchain_agentcost.context.projecting_state import Stored
from langchain_agentcost.context.projecting_summary import History, SummaryDesk, without_summary
from langchain_agentcost.context.projecting_telling import Complaint, atell, tell
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.errors import ContextError, ContextWarning, give_warning
from langchain_agentcost.recent import Recent
from langchain_agentcost.tokens import count_messages
from langchain_agentcost.usage import Usage, is_cache_hit

LENGTHS_KEPT = 16
"""A run keeps so many lengths of earlier runs, so that a call that is repeated from a checkpoint decides the same."""

THREADS_KEPT = 1_000
"""Of so many threads the Runnable remembers the plan: the latest."""


@runtime_checkable
class Decider(Protocol):
    """Decides what of a history is sent: an `EvictionPlanner`, a `Selection`, or your own."""

    def decide(self, situation: Situation) -> Decision:
        """Decide what is sent.

        Args:
            situation: The call that is about to be made.

        Returns:
            The decision. Its plan is what the history is projected by, and is kept for the next call.
        """
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    """What is sent, and what is kept.

    Args:
        messages: The messages for the model.
        stored: What is kept for the next call: plain data that JSON can hold.
        decision: What was decided; None where something failed and the history goes out as it is.
    """

    messages: list[BaseMessage]
    stored: dict[str, Any]
    decision: Decision | None


class ContextProjector(Runnable[Sequence[BaseMessage], list[BaseMessage]]):
    """Gives what is sent of a history: it is cut only where that pays under the provider's prompt cache.

    `project` is stateless: what was stored goes in, and comes out again for the next call. The same history, the same
    stored data and the same clock give the same prompt, in any process. `ContextMiddleware` and `ContextNode` keep it
    in a graph's state.

    As a Runnable (`projector | model`) it takes and gives messages. It then remembers the `THREADS_KEPT` latest threads
    in memory, by `thread_id` of the config's `configurable`; without one nothing is cut, and a warning says so.

    How long a run will be it expects by `horizon`. None learns it in this process, for each workflow and agent: a run
    counts as long as it is so far, and keeps what was known of other runs when it began.

    Whatever fails inside, the history goes out as it is, and a warning says so once. What stops a graph on purpose,
    such as a budget that a summary has no room in, passes.

    Args:
        model: The model that the prompts are for: its name, the model, or `ModelFacts` with prices of your own. The
            middleware takes the model that is called.
        policy: What may be cut.
        decider: Decides in place of the eviction planner, such as a `Selection`.
        horizon: Expects the length of a run.
        summarizer: Writes summaries where one is worth more than notes; None never has one written.
        references: Keeps the results that notes stand for, so that the agent can read them; give the agent its tool,
            `read_ref_tool(references)`.
        clock: Gives the seconds since 1970: after a pause longer than the provider's prompt cache lives, a cut is free.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> projector = ContextProjector("claude-sonnet-4-5")
        >>> made = projector.project([HumanMessage("Where is order A-1742?")])
        >>> made.messages[0].text, made.decision.action.value, made.stored["step"]
        ('Where is order A-1742?', 'none', 1)
    """

    def __init__(
        self,
        model: str | Runnable[Any, Any] | ModelFacts | None = None,
        *,
        policy: EvictionPolicy | None = None,
        decider: Decider | None = None,
        horizon: Horizon | None = None,
        summarizer: Summarizer | None = None,
        references: References | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model = _facts(model)
        self._policy = policy
        self._decider = decider
        self._horizon = horizon
        self._horizons = Horizons()
        self._desk = SummaryDesk(summarizer) if summarizer else None
        self._aside = PutAside(references) if references else None
        self._clock = clock
        self._planners: Recent[ModelFacts, EvictionPlanner] = Recent(64)
        self._threads: Recent[str, dict[str, Any]] = Recent(THREADS_KEPT)
        self._complaint = Complaint()
        self._editor = Editor()

    def project(
        self,
        messages: Sequence[BaseMessage],
        stored: Mapping[str, Any] | None = None,
        *,
        beside: Beside | None = None,
        config: RunnableConfig | None = None,
    ) -> Projection:
        """Give what is sent of a history.

        Args:
            messages: The history, whole.
            stored: What was stored at the call before; None at the first.
            beside: What is sent beside it.
            config: The run's config; None takes that of the run that this code is in.
        """
        try:
            job = self._job(messages, stored, beside or Beside(), config)
            decision = job.decide()
            if decision.summarise is not None and self._desk is not None:
                decision = job.written(decision, self._desk.write(job.history, decision, config))
            if decision.action is not Action.NONE:
                if self._aside is not None:
                    decision = replace(decision, plan=self._aside.keep(decision.plan, messages, config))
                tell(decision, config)
            return job.projection(decision)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # any history, any store: the user's run goes on
            return self._as_it_is(messages, stored, error)

    async def aproject(
        self,
        messages: Sequence[BaseMessage],
        stored: Mapping[str, Any] | None = None,
        *,
        beside: Beside | None = None,
        config: RunnableConfig | None = None,
    ) -> Projection:
        """Give what is sent of a history, from async code; see `project`."""
        try:
            job = self._job(messages, stored, beside or Beside(), config)
            decision = job.decide()
            if decision.summarise is not None and self._desk is not None:
                decision = job.written(decision, await self._desk.awrite(job.history, decision, config))
            if decision.action is not Action.NONE:
                if self._aside is not None:
                    decision = replace(decision, plan=await self._aside.akeep(decision.plan, messages, config))
                await atell(decision, config)
            return job.projection(decision)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # any history, any store: the user's run goes on
            return self._as_it_is(messages, stored, error)

    def view(self, messages: Sequence[BaseMessage], stored: Mapping[str, Any] | None) -> list[BaseMessage]:
        """Give what is sent by what is stored, and decide nothing: a pure function."""
        try:
            return project(messages, Plan.from_dict((stored or {}).get("plan")), self._editor)
        except Exception as error:  # noqa: BLE001  # a state that somebody else wrote
            self._complaint.about(error)
            return list(messages)

    def answered(self, stored: Mapping[str, Any], answer: BaseMessage | None) -> dict[str, Any]:
        """Note what the provider says that a call consumed, where it is known at once; else the next call sees it.

        Args:
            stored: What `project` gave.
            answer: The model's message.

        Returns:
            What is to be stored.
        """
        try:
            if not isinstance(answer, AIMessage) or is_cache_hit(answer):
                return dict(stored)
            known = Stored.from_dict(stored)
            return replace(known, audit=known.audit.answered(Usage.from_message(answer))).as_dict()
        except Exception as error:  # noqa: BLE001  # any provider's usage
            self._complaint.about(error)
            return dict(stored)

    def report(
        self, stored: Mapping[str, Any] | None, messages: Sequence[BaseMessage] = (), *, model: ModelFacts | None = None
    ) -> AuditReport:
        """Give what the cuts of a thread were expected to save, and what they have saved.

        Args:
            stored: What is stored.
            messages: The history; with it, an answer that came after the latest call counts too.
            model: What the tokens cost; None takes the projector's own model.

        Raises:
            ContextError: If what is stored is something else.
        """
        audit = _settled(Stored.from_dict(stored), messages).audit
        return audit.report((model or self._model).rates)

    def invoke(self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  # Runnable's own name
        """Give what is sent of a thread's messages."""
        thread = self._thread(config)
        if thread is None:
            return list(input)
        made = self.project(input, self._threads.get(thread), config=config)
        self._threads.put(thread, made.stored)
        return made.messages

    async def ainvoke(self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  # Runnable's own name
        """Give what is sent of a thread's messages, from async code."""
        thread = self._thread(config)
        if thread is None:
            return list(input)
        made = await self.aproject(input, self._threads.get(thread), config=config)
        self._threads.put(thread, made.stored)
        return made.messages

    def _thread(self, config: RunnableConfig | None) -> str | None:
        named = ensure_config(config).get("configurable", {})
        if not named.get("thread_id"):
            give_warning(ContextWarning("Nothing is cut: the config has no thread_id, so no plan could be remembered."))
            return None
        return f"{named['thread_id']}\n{named.get('checkpoint_ns', '')}"

    def _job(
        self,
        messages: Sequence[BaseMessage],
        data: Mapping[str, Any] | None,
        beside: Beside,
        config: RunnableConfig | None,
    ) -> _Job:
        facts = beside.model or self._model
        stored = self._known(data)
        if not stored.plan.fits(messages):
            stored = replace(stored, plan=Plan(stored.plan.epoch), audit=stored.audit.restarted())
        stored = _settled(stored, messages)
        made = stored.step or sum(isinstance(message, AIMessage) for message in messages)
        stored = self._counted(replace(stored, step=made + 1), config)
        now = self._clock()
        pause = None if stored.last_call_at is None else now - stored.last_call_at
        return _Job(
            messages=messages,
            stored=replace(stored, last_call_at=now),
            facts=facts,
            beside=beside,
            decider=self._decider or self._planner(facts),
            remaining=self._remaining(stored, beside),
            cold=facts.is_cold(pause),
            desk=self._desk,
            editor=self._editor,
        )

    def _known(self, data: Mapping[str, Any] | None) -> Stored:
        """What was stored; a damaged state is told of, and the thread starts anew."""
        try:
            return Stored.from_dict(data)
        except ContextError as error:
            self._complaint.about(error)
            return Stored()

    def _planner(self, facts: ModelFacts) -> EvictionPlanner:
        if facts.rates is None:
            raise ContextError(f"No price of {facts.name or 'the model'} is known: give model=ModelFacts(rates=…).")
        planner = self._planners.get(facts)
        if planner is None:
            refer = self._aside.refer if self._aside is not None else None
            planner = EvictionPlanner(facts.rates, self._policy, size=facts.size, refer=refer)
            self._planners.put(facts, planner)
        return planner

    def _counted(self, stored: Stored, config: RunnableConfig | None) -> Stored:
        """Learn that a run is as long as this, and keep with it what was known when it began."""
        if self._horizon is not None:
            return stored
        named = AttributionMap().read(ensure_config(config).get("metadata"))
        history = self._horizons.of(f"{named.get('workflow', '')}/{named.get('agent', '')}")
        lengths = history.sample(LENGTHS_KEPT) if stored.lengths is None else stored.lengths
        history.ended(stored.step, instead_of=stored.step - 1)
        return replace(stored, lengths=lengths)

    def _remaining(self, stored: Stored, beside: Beside) -> float:
        horizon = self._horizon or StepHistory(stored.lengths or ())
        expected = horizon.remaining(stored.step)
        return expected if beside.at_most is None else max(1.0, min(expected, beside.at_most))

    def _as_it_is(
        self, messages: Sequence[BaseMessage], stored: Mapping[str, Any] | None, error: Exception
    ) -> Projection:
        """What is sent where something failed: by the plan that was stored, which the provider's cache knows."""
        self._complaint.about(error)
        kept = dict(stored) if isinstance(stored, Mapping) else {}
        return Projection(self.view(messages, kept), kept, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One call that is decided about."""

    messages: Sequence[BaseMessage]
    stored: Stored
    facts: ModelFacts
    beside: Beside
    decider: Decider
    remaining: float
    cold: bool
    desk: SummaryDesk | None
    editor: Editor

    @property
    def history(self) -> History:
        """What a summary is made of."""
        make = getattr(self.decider, "make", self.editor)
        return History(self.beside.messages(), self.messages, self.stored.plan, not self.cold, make)

    @property
    def situation(self) -> Situation:
        """What the decider is told."""
        desk, history = self.desk, self.history
        return Situation(
            messages=self.messages,
            plan=self.stored.plan,
            remaining=self.remaining,
            step=self.stored.step,
            static_tokens=self.static_tokens,
            cached=not self.cold,
            offer=None if desk is None else lambda shown: desk.offer(shown, history),
        )

    @property
    def static_tokens(self) -> int:
        """What is sent beside the history, in tokens."""
        return count_messages(self.beside.messages(), model=self.facts.name, tools=self.beside.tools)

    def decide(self) -> Decision:
        return self.decider.decide(self.situation)

    def written(self, decision: Decision, summary: str) -> Decision:
        """A decision with its summary; one of which no summary came, or none that is shorter, changes nothing."""
        situation = self.situation
        if not summary or not isinstance(self.decider, EvictionPlanner):
            return without_summary(situation, decision)
        done = self.decider.summarised(situation, decision, summary)
        return done if self._evicted(done.plan) > 0 else without_summary(situation, decision)

    def projection(self, decision: Decision) -> Projection:
        """What is sent by a decision, and what is stored."""
        if decision.summarise is not None:  # nobody was there to write it
            decision = without_summary(self.situation, decision)
        sent = project(self.messages, decision.plan, self.editor)
        audit = self.stored.audit
        if decision.action is not Action.NONE:
            audit = audit.decided(decision, evicted_tokens=self._evicted(decision.plan))
        asked = Asked(self.static_tokens + self._tokens(sent), len(self.messages), self.cold)
        stored = replace(self.stored, plan=decision.plan, audit=audit.asking(asked))
        return Projection(sent, stored.as_dict(), decision)

    def _evicted(self, plan: Plan) -> int:
        before = project(self.messages, self.stored.plan, self.editor)
        return self._tokens(before) - self._tokens(project(self.messages, plan, self.editor))

    def _tokens(self, messages: Sequence[BaseMessage]) -> int:
        return sum(self.facts.size(message) for message in messages)


def _facts(model: str | Runnable[Any, Any] | ModelFacts | None) -> ModelFacts:
    if model is None or isinstance(model, ModelFacts):
        return model or ModelFacts()
    return ModelFacts.of(model)


def _settled(stored: Stored, messages: Sequence[BaseMessage]) -> Stored:
    """What is stored, with the answer of the latest call counted where the history has it."""
    asked = stored.audit.asked
    if asked is None:
        return stored
    answer = next((one for one in messages[asked.messages :] if isinstance(one, AIMessage)), None)
    if answer is None or is_cache_hit(answer):
        return stored
    return replace(stored, audit=stored.audit.answered(Usage.from_message(answer)))
