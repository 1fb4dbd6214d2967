"""Projects a history for each call: what is sent is cut where that pays, and the history itself stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, run_in_executor
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.complaint import Complaint
from langchain_agentcost.context.audit import AuditReport
from langchain_agentcost.context.decision import Decision, EvictionPolicy
from langchain_agentcost.context.horizon import Horizon, Horizons, StepHistory
from langchain_agentcost.context.plan import Action, Editor, Plan, project
from langchain_agentcost.context.planner import EvictionPlanner
from langchain_agentcost.context.projecting_attempts import Attempt, Attempts, Threads, place_of, says
from langchain_agentcost.context.projecting_job import Decider, Job, Projection, settled
from langchain_agentcost.context.projecting_model import Beside, ModelFacts
from langchain_agentcost.context.projecting_references import PutAside
from langchain_agentcost.context.projecting_state import Stored
from langchain_agentcost.context.projecting_summary import SummaryDesk
from langchain_agentcost.context.projecting_telling import atell, tell
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.errors import ContextError, ContextWarning, give_warning
from langchain_agentcost.recent import Recent
from langchain_agentcost.usage import Usage, is_cache_hit

LENGTHS_KEPT = 16
"""A run keeps so many lengths of earlier runs, so that a call that is repeated from a checkpoint decides the same."""

LONG_CHARS = 50_000
"""A longer history is decided about in a thread, so that it does not hold up an event loop."""

T = TypeVar("T")

__all__ = ["ContextProjector", "Decider", "Projection"]


class ContextProjector(Runnable[Sequence[BaseMessage], list[BaseMessage]]):
    """Gives what is sent of a history: it is cut only where that pays under the provider's prompt cache.

    `project` is stateless: what was stored goes in, and comes out again for the next call. The same history, the same
    stored data and the same clock give the same prompt, in any process. `ContextMiddleware` and `ContextNode` keep it
    in a graph's state.

    As a Runnable (`projector | model`) it takes and gives messages. It then remembers the 1,000 latest threads in
    memory, by `thread_id` of the config's `configurable` and the node that it is in; without one nothing is cut, and a
    warning says so.

    A call that is tried again in the same process is sent the same prompt, and its summary is not paid for twice. It is
    known by its thread and by LangGraph's task; a config that names neither cannot tell.

    How long a run will be it expects by `horizon`. None learns it in this process, for each workflow and agent: a run
    counts as long as its answers so far, and keeps what was known of other runs when it began.

    Where a provider caches only what is marked, as Anthropic does, and the two latest answers say that nothing was read
    from the cache or written to it, cuts are planned at the plain price of input; see `ModelFacts.as_billed`.

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
        self._threads = Threads()
        self._attempts = Attempts()
        self._complaint = Complaint("A context could not be cut, so the history goes out as it is", ContextWarning)
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
            begun = self._begun(messages, stored, beside or Beside(), config)
            if isinstance(begun, Projection):
                return begun
            job, decision = begun
            if decision.summarise is not None and self._desk is not None:
                decision = job.written(decision, self._desk.write(job.history, decision, config))
            if decision.action is not Action.NONE:
                if self._aside is not None:
                    decision = replace(decision, plan=self._aside.keep(decision.plan, messages, config))
                tell(decision, config)
            return self._done(job, decision)
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
        """Give what is sent of a history, from async code; see `project`. A long one is decided about in a thread."""
        try:
            later = _Later(messages)
            begun = await later(partial(self._begun, messages, stored, beside or Beside(), config))
            if isinstance(begun, Projection):
                return begun
            job, decision = begun
            if decision.summarise is not None and self._desk is not None:
                summary = await self._desk.awrite(job.history, decision, config)
                decision = await later(partial(job.written, decision, summary))
            if decision.action is not Action.NONE:
                if self._aside is not None:
                    decision = replace(decision, plan=await self._aside.akeep(decision.plan, messages, config))
                await atell(decision, config)
            return await later(partial(self._done, job, decision))
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

    def answered(
        self, stored: Mapping[str, Any], answer: BaseMessage | None, *, config: RunnableConfig | None = None
    ) -> dict[str, Any]:
        """Note what the provider says that a call consumed, where it is known at once; else the next call sees it.

        Args:
            stored: What `project` gave.
            answer: The model's message.
            config: The run's config; None takes that of the run that this code is in.

        Returns:
            What is to be stored.
        """
        try:
            if not isinstance(answer, AIMessage):
                return dict(stored)
            self._attempts.answered(place_of(config))
            known = self._learned(Stored.from_dict(stored), config)
            if not is_cache_hit(answer):
                known = replace(known, audit=known.audit.answered(Usage.from_message(answer)))
            return known.as_dict()
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
        known, _ = settled(Stored.from_dict(stored), messages)
        return known.audit.report((model or self._model).as_billed(messages).rates)

    def invoke(self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  # Runnable's own name
        """Give what is sent of a thread's messages."""
        thread = self._thread(input, config)
        if thread is None:
            return list(input)
        said = says(input)
        before = self._threads.stored(thread, said)
        made = self.project(input, before, config=config)
        self._threads.keep(thread, said, before=before, after=made.stored)
        return made.messages

    async def ainvoke(self, input: Sequence[BaseMessage], config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  # Runnable's own name
        """Give what is sent of a thread's messages, from async code."""
        thread = self._thread(input, config)
        if thread is None:
            return list(input)
        said = await _Later(input)(partial(says, input))
        before = self._threads.stored(thread, said)
        made = await self.aproject(input, before, config=config)
        self._threads.keep(thread, said, before=before, after=made.stored)
        return made.messages

    def _thread(self, messages: Sequence[BaseMessage], config: RunnableConfig | None) -> str | None:
        thread = self._threads.named(messages, config)
        if thread is None:
            give_warning(ContextWarning("Nothing is cut: the config has no thread_id, so no plan could be remembered."))
        return thread

    def _begun(
        self,
        messages: Sequence[BaseMessage],
        data: Mapping[str, Any] | None,
        beside: Beside,
        config: RunnableConfig | None,
    ) -> tuple[Job, Decision] | Projection:
        """A call and what is decided about it; what was made of it before, where it is tried again."""
        job = self._job(messages, data, beside, config)
        made = self._attempts.made(job.attempt)
        if made is None:
            return job, job.decide()
        decision, stored = made
        return Projection(project(messages, decision.plan, self._editor), stored, decision)

    def _done(self, job: Job, decision: Decision) -> Projection:
        made = job.projection(decision)
        if made.decision is not None:
            self._attempts.keep(job.attempt, made.decision, made.stored)
        return made

    def _job(
        self,
        messages: Sequence[BaseMessage],
        data: Mapping[str, Any] | None,
        beside: Beside,
        config: RunnableConfig | None,
    ) -> Job:
        facts = (beside.model or self._model).as_billed(messages)
        stored = self._known(data)
        if not stored.plan.fits(messages):
            stored = replace(stored, plan=Plan(stored.plan.epoch), audit=stored.audit.restarted())
        stored, answered = settled(stored, messages)
        if answered:
            stored = self._learned(stored, config)
        made = stored.step or sum(isinstance(message, AIMessage) for message in messages)
        stored = self._began(replace(stored, step=made + 1), config)
        now, place = self._clock(), place_of(config)
        cold = facts.is_cold(None if stored.last_call_at is None else now - stored.last_call_at)
        return Job(
            messages=messages,
            stored=replace(stored, last_call_at=now),
            facts=facts,
            beside=beside,
            decider=self._decider or self._planner(facts),
            remaining=self._remaining(stored, beside),
            cold=cold,
            desk=self._desk,
            editor=self._editor,
            attempt=Attempt.of(place, messages, stored, cold=cold, facts=facts) if place else None,
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

    def _began(self, stored: Stored, config: RunnableConfig | None) -> Stored:
        """Keep with a run what was known of others when it began."""
        if self._horizon is not None or stored.lengths is not None:
            return stored
        return replace(stored, lengths=self._lengths(config).sample(LENGTHS_KEPT))

    def _learned(self, stored: Stored, config: RunnableConfig | None) -> Stored:
        """Learn that a run is as long as this: once for each call, when its answer is there."""
        if self._horizon is not None or stored.step <= stored.learned:
            return stored
        self._lengths(config).ended(stored.step, instead_of=stored.learned or None)
        return replace(stored, learned=stored.step)

    def _lengths(self, config: RunnableConfig | None) -> StepHistory:
        named = AttributionMap().read(ensure_config(config).get("metadata"))
        return self._horizons.of(f"{named.get('workflow', '')}/{named.get('agent', '')}")

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


def _facts(model: str | Runnable[Any, Any] | ModelFacts | None) -> ModelFacts:
    if model is None or isinstance(model, ModelFacts):
        return model or ModelFacts()
    return ModelFacts.of(model)


class _Later:
    """Does work now, or in a thread where the history is so long that it would hold up an event loop."""

    def __init__(self, messages: Sequence[BaseMessage]) -> None:
        self._long = sum(len(str(message.content)) for message in messages) > LONG_CHARS

    async def __call__(self, work: Callable[[], T]) -> T:
        return await run_in_executor(None, work) if self._long else work()
