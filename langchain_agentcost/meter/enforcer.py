"""Holding calls to their limits: what the meter asks before a call is made, and does when the answer is no."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from threading import Lock
from time import perf_counter
from typing import Any, NoReturn
from uuid import UUID, uuid5

from langgraph.errors import GraphBubbleUp

from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded, LimitUnavailable
from langchain_agentcost.limits.alerts import Alert, AlertKind
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import action_name, told_by
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.leases import Leases
from langchain_agentcost.limits.limiter import Admission, Limiter, Terms, Tripped
from langchain_agentcost.limits.refusal import Refusal
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.limits.watch import Trip, Watch
from langchain_agentcost.meter.block import around_here, held_by
from langchain_agentcost.meter.graph import Graph
from langchain_agentcost.meter.human import Human, Question, about_breaker, about_budget
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.limited import Call
from langchain_agentcost.meter.permit import Permit
from langchain_agentcost.meter.reached import exceeded, raised_again
from langchain_agentcost.meter.run_limits import RunLimits
from langchain_agentcost.meter.runs import WorkflowRun

_PLACES = UUID("6f2d2f6e-8a2b-5b0e-9c1d-4d3b8d2f7a11")
"""The namespace of the ids of reservations."""

_TASK_TAG = "graph:step:"  # how LangGraph tags the run of a task, and nothing inside it

MAX_UNSETTLED = 10_000
"""How many settlements wait for a store that fails; beyond it the oldest are left to their leases."""


class Enforcer:
    """Asks for every call whether it may be made, and says afterwards what it took.

    Args:
        limiter: The budgets.
        breakers: The circuit breakers.
        journal: Who warns.
        enforce: False to say only what would have been stopped.
        fail_open: Whether calls are made while the store cannot be reached.
    """

    def __init__(
        self,
        limiter: Limiter,
        breakers: Iterable[CircuitBreaker],
        journal: Journal,
        *,
        enforce: bool = True,
        fail_open: bool = False,
    ) -> None:
        self.limiter = limiter
        self.breakers = tuple(breakers)
        self.leases = Leases(limiter.store)
        self._journal = journal
        self._enforce = enforce
        self._fail_open = fail_open
        actions = [mark.action for rule in limiter.rules for mark in rule.marks]
        actions += [breaker.on_trip for breaker in self.breakers]
        self._may_ask = enforce and "interrupt" in actions
        self.assumes_dearest = any(rule.budget.unknown_price == "assume_dearest" for rule in limiter.rules)
        self._human = Human(limiter.store, limiter.alerts)
        self._making = Lock()
        self._unsettled: deque[tuple[Admission, Taken, str]] = deque(maxlen=MAX_UNSETTLED)

    @property
    def store(self) -> BudgetStore:
        """Where the accounts are."""
        return self.limiter.store

    @property
    def keeps_time(self) -> bool:
        """Whether the run's time is limited here."""
        return any("wall_time" in limiter.units for limiter in self._limiters())

    @property
    def alerts(self) -> Alerts:
        """Who is told."""
        return self.limiter.alerts

    def _limiters(self) -> Sequence[Limiter]:
        """What calls here are held to: the blocks that they are in, then the budgets."""
        return (*held_by(self), self.limiter)

    def of(self, run: WorkflowRun) -> RunLimits:
        """What limits remember of a run."""
        if run.limits is None:
            with self._making:  # two of them would number the calls of one task twice
                if run.limits is None:
                    run.limits = RunLimits(Watch(self.breakers))
        return run.limits

    def chain_started(self, run: WorkflowRun, metadata: Mapping[str, Any] | None, tags: Sequence[str] | None) -> None:
        """Number the calls of a graph's task from 1 again: LangGraph runs it, perhaps not for the first time."""
        if run.limits is not None and any(tag.startswith(_TASK_TAG) for tag in tags or ()):
            run.limits.task_started((metadata or {}).get("langgraph_checkpoint_ns", ""))

    def place_of(self, run: WorkflowRun, labels: Mapping[str, Any], checkpoint_ns: str | None, call_id: str) -> str:
        """Where a model call stands in its graph: its task, the attempt, and its number among the task's calls.

        LangGraph derives a task's id from the checkpoint that it runs from, so a task that is run again, even by
        another process, has the same one. A retry has another attempt or number.
        """
        if not checkpoint_ns:
            return call_id
        number = next(self.of(run).calls.setdefault(checkpoint_ns, count(1)))
        return str(uuid5(_PLACES, f"{checkpoint_ns}|{labels.get('attempt', 1)}|{number}"))

    def opened(self, run: WorkflowRun, call_id: str, admissions: Sequence[Admission]) -> None:
        """Note that a call is made for which this was reserved."""
        if admissions:
            self.of(run).under_way[call_id] = admissions
            for admission in admissions:
                self._lease(admission, keep=True)

    def admit(self, call: Call, *, least_output_tokens: int | None = None) -> Permit:
        """Reserve for a call.

        Args:
            call: The call.
            least_output_tokens: The shortest answer worth having, where the caller can shorten the answer.

        Raises:
            LimitReached: If it must not be made.
            GraphInterrupt: If a person is asked.
        """
        limits = self.of(call.run)
        if limits.trip is not None and self._enforce:
            raise raised_again(limits.trip)
        try:
            return self._admit(call, limits, least_output_tokens)
        except BaseException:
            limits.give_back(call.demand.elapsed_ms)
            raise

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold a call back where something goes wrong with its limits, unless it was chosen otherwise.

        Raises:
            LimitUnavailable: If the limits could not be checked.
        """
        try:
            yield
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong, a limit holds
            self.hold_back(error)

    def hold_back(self, error: Exception) -> None:
        """Stop a call whose limits could not be looked at, or say that it is made without.

        Raises:
            LimitUnavailable: If it must not be made.
        """
        if self._enforce and not self._fail_open:
            raise LimitUnavailable(f"The limits cannot be checked, so the call is not made: {error}") from error
        self.alerts.fire(Alert("store", f"A call is made without a look at its limits: {error}"))

    def settle(self, run: WorkflowRun, call_id: str, admissions: Sequence[Admission], taken: Taken) -> None:
        """Post what a call took, and stop the run after this step where a budget says so.

        A call that outlives its run is posted all the same, though what it reserved was given back.
        """
        self._closed(run, call_id, admissions)
        self._flush()
        for admission in admissions:
            for reason in self._posted((admission, taken, call_id)) or ():
                self._drain(Graph.around(), reason)

    def void(self, run: WorkflowRun, call_id: str, admissions: Sequence[Admission]) -> None:
        """Give back what a call reserved that another one makes in its place, or that was never made."""
        self._closed(run, call_id, admissions)
        for admission in admissions:
            with self._journal.harmless("the budget store"):
                admission.void()

    def post(self, call_id: str, labels: Mapping[str, Any], taken: Taken) -> None:
        """Post a call that nobody could ask about before it was made, such as an embedding."""
        for limiter in self._limiters():
            with self._journal.harmless("the budget store"):
                limiter.post(call_id, labels, Demand("llm"), taken)

    def run_ended(self, run: WorkflowRun, *, goes_on: Callable[[str], bool] = lambda _: False) -> None:
        """Account for the rest of a run's time, and give back what calls reserved of which nothing was heard.

        Should one be heard of later all the same, from a thread that nobody waited for, it is posted then.

        Args:
            run: The run.
            goes_on: Whether a call is still made, and will be heard of.
        """
        limits = run.limits
        if limits is None:
            return
        for call_id, admissions in list(limits.under_way.items()):
            if not goes_on(call_id):
                self.void(run, call_id, admissions)
        elapsed = limits.elapsed_ms()
        limits.since, limits.trip = None, None
        for memory in (limits.calls, limits.redone, limits.trips):
            memory.clear()
        time_id, labels = f"{run.id}:{perf_counter()}", {**(run.labels or {}), "run": run.id}
        timed = [limiter for limiter in self._limiters() if "wall_time" in limiter.units]
        for limiter in timed if elapsed and run.labels is not None else ():
            with self._journal.harmless("the budget store"):
                limiter.post(time_id, labels, Demand("retriever", elapsed_ms=elapsed), Taken())

    def recall(self, thread: str | None) -> str | None:
        """The workflow run that a thread's last call belonged to, in whatever process."""
        return self.store.note(f"thread:{thread}") if thread else None

    def remaining(self, labels: Mapping[str, Any]) -> tuple[Remaining, ...]:
        """What is left of the limits of the blocks that this code is in, and of the budgets that the labels name."""
        return tuple(left for limiter in (*around_here(), self.limiter) for left in limiter.remaining(labels))

    def wants_cheaper(self, labels: Mapping[str, Any]) -> bool:
        """Whether a budget wants a cheaper model."""
        return self._enforce and any(limiter.wants_cheaper(labels) for limiter in (*around_here(), self.limiter))

    def close(self) -> None:
        """Settle what waits, and let go of threads."""
        self._flush()
        self.leases.close()

    def _admit(self, call: Call, limits: RunLimits, least: int | None) -> Permit:
        self._note_thread(call, limits)
        graph = call.graph if self._may_ask else None
        asked: Sequence[Question] = ()
        if graph is not None:
            graph.require_checkpointer()
            asked = self._human.hear(graph)
            self._heed(asked, limits)
        self._check_breakers(call, limits, asks=graph)
        soft = ("warn", "drain") if call.graph is not None and call.graph.can_drain else ("warn",)
        outcome = self._reserve(call, Terms(soft, limits.trips if self._enforce else ()), least)
        if isinstance(outcome, Tripped):
            raise raised_again(limits.trips[outcome.scope])
        if isinstance(outcome, Refusal):
            if graph is not None and outcome.asks_person(run=call.run.id, thread=call.thread):
                again = limits.paid_again(graph.task, outcome.scope)
                about = about_budget(outcome, call.run, call.thread, again=again)
                self._human.ask(call.place, about, graph, permission=outcome.permission)
            self._refuse(call, limits, outcome)
        if graph is not None:
            self._human.needs_no_answer(call.place, asked)
            limits.admitted(graph.task, outcome.admissions)
        return outcome

    def _reserve(self, call: Call, terms: Terms, least: int | None) -> Permit | Refusal | Tripped:
        """Reserve with the blocks that the call is in and with the budgets: all or nothing."""
        admitted: list[Admission] = []
        tokens = call.demand.output_tokens
        with ExitStack() as given_back:
            for limiter in self._limiters():
                demand = call.demand
                if tokens != demand.output_tokens:
                    demand = replace(demand, output_tokens=tokens)
                outcome = limiter.admit(
                    call.place, call.labels, demand, call_id=call.call_id, least_output_tokens=least, terms=terms
                )
                if isinstance(outcome, Refusal) and not self._enforce:
                    self.alerts.fire(outcome.alert("would_deny"), once=f"would_deny|{outcome.key}")
                elif isinstance(outcome, Refusal | Tripped):
                    return outcome
                else:
                    given_back.callback(outcome.void)
                    tokens = min(tokens, outcome.output_tokens)
                    admitted.append(outcome)
                    if outcome.drain:
                        self._drain(call.graph, outcome.drain)
            given_back.pop_all()
        return Permit([admission for admission in admitted if admission.hold_id is not None], tokens)

    def _check_breakers(self, call: Call, limits: RunLimits, *, asks: Graph | None) -> None:
        if not self.breakers:
            return
        if call.demand.kind != "llm":
            trips = limits.watch.before_tool(call.demand.tool or "")
        else:
            trips = limits.watch.before_model(input_tokens=call.demand.input_tokens, at_s=perf_counter())
        for trip in trips:
            stops = trip.level == "stop" and self._enforce and trip.breaker.title not in limits.forgiven
            action = action_name(trip.breaker.on_trip) if stops else "warn"
            self._tell(call, trip, action)
            if action != "warn":
                self._stop_run(call, limits, trip, asks=asks)

    def _stop_run(self, call: Call, limits: RunLimits, trip: Trip, *, asks: Graph | None) -> None:
        """Do what a breaker that tripped says: at once, after this step, or once a person was asked."""
        action = trip.breaker.on_trip
        if action == "drain" and call.graph is not None and call.graph.can_drain:
            self._drain(call.graph, trip.message)
        elif action == "interrupt" and asks is not None:
            self._human.ask(call.place, about_breaker(trip, call.run, call.thread), asks)
        else:
            limits.trip = BreakerTripped(trip.message, scope=f"run={call.run.id}", evidence=trip.evidence)
            raise limits.trip

    def _tell(self, call: Call, trip: Trip, action: str) -> None:
        kind: AlertKind = "tripped" if trip.level == "stop" else "warned"
        told = {**trip.evidence, "run": call.run.id, "thread": call.thread}
        alert = Alert(kind, trip.message, f"run={call.run.id}", action, evidence=told)
        once = f"{call.run.id}|{trip.breaker.title}|{trip.level}"
        self.alerts.fire(alert, once=once, to=told_by(trip.breaker.on_trip), shared=False)

    def _heed(self, asked: Iterable[Question], limits: RunLimits) -> None:
        """Go on where a person approved, stop where not."""
        for _, approval in asked:
            if approval.status == "denied":
                kind = BudgetExceeded if approval.unit else BreakerTripped
                limits.trip = kind(f"{approval.message} A person was asked and denied it.", scope=approval.scope)
                raise limits.trip
            if approval.status != "pending" and not approval.unit:
                limits.forgiven.add(approval.title)

    def _refuse(self, call: Call, limits: RunLimits, refusal: Refusal) -> NoReturn:
        error = exceeded(refusal, whose := {"run": call.run.id, "thread": call.thread})
        if refusal.action != "downgrade" and refusal.rule.budget.subjects != ("call",):
            if call.demand.kind != "llm":  # a model that is told of a tool's limit asks for the tool again, without end
                limits.trip = error
            elif refusal.line is not None:
                limits.trips[refusal.scope] = error
        self.alerts.fire(refusal.alert("denied", **whose), once=f"denied|{refusal.key}|{call.run.id}", shared=False)
        raise error

    def _drain(self, graph: Graph | None, reason: str) -> None:
        if graph is not None and self._enforce:
            graph.drain(f"{reason} (langchain-agentcost)")

    def _note_thread(self, call: Call, limits: RunLimits) -> None:
        """Note once which run a thread is in, so that another process that resumes it goes on with its budgets."""
        if limits.noted or not call.thread:
            return
        limits.noted = True
        key = f"thread:{call.thread}"
        before = self.store.note(key)
        if before != call.run.id:
            self.store.set_note(key, call.run.id, expected=before)

    def _closed(self, run: WorkflowRun, call_id: str, admissions: Sequence[Admission]) -> None:
        if run.limits is not None:
            run.limits.under_way.pop(call_id, None)
        for admission in admissions:
            self._lease(admission, keep=False)

    def _lease(self, admission: Admission, *, keep: bool) -> None:
        if admission.owner is self.limiter and admission.hold_id is not None:
            (self.leases.keep if keep else self.leases.drop)(admission.hold_id)

    def _posted(self, waiting: tuple[Admission, Taken, str]) -> tuple[str, ...] | None:
        """Post a call. Gives the reasons to drain its run; None where the store failed, and it waits."""
        admission, taken, call_id = waiting
        try:
            return admission.settle(taken, call_id=call_id)
        except OSError as error:  # a store that cannot be reached: StoreUnavailable is one too
            self._unsettled.append(waiting)
            self._journal.trouble("the budget store", error)
            return None
        except Exception as error:  # noqa: BLE001  # what no store takes must not hold up the others
            self._journal.trouble("the budget store", error)
            return ()

    def _flush(self) -> None:
        """Post what waits, until the store fails."""
        while self._unsettled:
            try:
                waiting = self._unsettled.popleft()
            except IndexError:  # another thread took the last one
                return
            if self._posted(waiting) is None:
                return
