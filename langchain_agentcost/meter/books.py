"""The books: what has started, what has ended, and what it is written down as."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.attribution import Attribution, AttributionMap, label
from langchain_agentcost.errors import UsageMissingWarning
from langchain_agentcost.ledger.entry import Entry, Kind
from langchain_agentcost.meter.answer import Answer
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.checkpoint_spend import Place, Spent
from langchain_agentcost.meter.decisions import decision_entry, routed_of
from langchain_agentcost.meter.ending import Ending, failure, grown
from langchain_agentcost.meter.fingerprints import Fingerprinter
from langchain_agentcost.meter.gate import Gate
from langchain_agentcost.meter.hits import HitBook
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.labels import current_metadata, current_run_id, labels_of
from langchain_agentcost.meter.prefix_watch import PrefixWatch
from langchain_agentcost.meter.runs import RunBook, WorkflowRun, root_before
from langchain_agentcost.meter.store_spends import StoreSpends
from langchain_agentcost.meter.till import NOT_BILLED, Till
from langchain_agentcost.pricing import Cost, PriceBook
from langchain_agentcost.recent import Recent
from langchain_agentcost.reported import billed_tier
from langchain_agentcost.routed import ROUTE
from langchain_agentcost.saving import LANGCHAIN_CACHE
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.tokens.encodings import openai_encoding
from langchain_agentcost.uncounted import Prompt, was_under_way
from langchain_agentcost.usage import Usage


class Books:
    """Keeps the open calls, and books each one when it ends.

    Only single dictionary operations touch shared state, so threads and tasks need no lock.

    Args:
        prices: What calls cost.
        table: Which metadata fills which dimension.
        journal: Where entries go.
        fingerprinter: What fingerprints prompts; None leaves them without.

    Attributes:
        hits: What books the hits of caches.
        gate: What every call has to pass before it is made; None lets all pass.
        prefix: What looks whether prompts only grow; None where nobody asked.
        spend: What knows the checkpoints that calls are made from; None where nobody asked.
    """

    def __init__(
        self,
        prices: PriceBook,
        table: AttributionMap,
        journal: Journal,
        fingerprinter: Fingerprinter | None = None,
    ) -> None:
        self.runs = RunBook()
        self.counter = TokenCounter()
        self._till = Till(prices, journal)
        self.hits = HitBook(self.runs, self._till, table, journal)
        self._table = table
        self._journal = journal
        self._fingerprinter = fingerprinter
        self.gate: Gate | None = None
        self.prefix: PrefixWatch | None = None
        self.spend: StoreSpends | None = None
        self._open: Recent[UUID, OpenCall] = Recent()

    def model_started(self, run_id: UUID, prompt: Prompt, event: Mapping[str, Any]) -> None:
        """Open a model call.

        Args:
            run_id: Its run.
            prompt: What is asked.
            event: The callback's other keyword arguments.
        """
        metadata = event.get("metadata") or {}
        sent = event.get("invocation_params") or {}
        parent_id = event.get("parent_run_id")
        run = self.runs.opened(run_id, parent_id, metadata=metadata)
        labels = labels_of(run, self._table, metadata, event.get("tags"))
        provider = metadata.get("ls_provider")
        asked = metadata.get("ls_model_name") or sent.get("model") or sent.get("model_name")
        labels.update(provider=label(provider) if provider else None, model=label(asked) if asked else None)
        outer = self._open.get(parent_id) if parent_id else None
        if outer is not None and outer.kind == "llm":
            outer.wraps = True
            self._void(parent_id, outer)
            labels["step"] = outer.labels.get("step")
        else:
            labels["step"] = run.new_step()
        tools = sent.get("tools") or ()
        call = OpenCall("llm", run, labels, parent_id=parent_id, prompt=prompt, tools=tools)
        call.batch_size = event.get("batch_size") or 1
        call.tier = billed_tier(sent.get("service_tier"))
        call.place = self._place(metadata)
        if ROUTE in metadata:
            with self._journal.harmless("a routing decision"):
                call.routed = routed_of(metadata)
        if self.gate is not None:
            self._void_if_refused(root_before(run_id, parent_id))
            self.gate.model_starts(run_id, call, sent, metadata)
        self._keep_open(run_id, call)

    def tool_started(self, run_id: UUID, kind: Kind, name: str, event: Mapping[str, Any]) -> None:
        """Open a tool or retriever call. It has the step of the model call that asked for it."""
        run = self.runs.opened(run_id, event.get("parent_run_id"), metadata=event.get("metadata"))
        labels = labels_of(run, self._table, event.get("metadata"), event.get("tags"))
        labels.update(tool=label(name), step=run.step_of(event.get("tool_call_id")))
        call = OpenCall(kind, run, labels, parent_id=event.get("parent_run_id"))
        call.place = self._place(event.get("metadata"))
        if self.gate is not None:
            self._void_if_refused(root_before(run_id, call.parent_id))
            self.gate.tool_starts(run_id, call, event)
        self._keep_open(run_id, call)

    def closed(self, run_id: UUID) -> None:
        """Note that a chain's run ended."""
        run = self.runs.closed(run_id)
        if run is not None:
            self._run_ended(run)

    def saw_token(self, run_id: UUID, token: object) -> None:
        """Count what streams by."""
        call = self._open.get(run_id)
        if call is not None:
            call.saw_token(token)

    def model_ended(self, run_id: UUID, result: LLMResult, event: Mapping[str, Any]) -> None:
        """Book a model call that was answered.

        A model that only passes the call on to another one, whose events were seen, is not booked: that would count
        it twice.
        """
        call = self._ended(run_id, "llm", event)
        if call.wraps:
            return
        answer = Answer.of(result, batch_size=call.batch_size)
        if call.run.passed_on(answer.message, call.started) and not answer.from_cache:
            self._void(run_id, call)
            return
        call.run.asked_for(answer.tool_calls, call.labels["step"])
        call.answered_by(answer.model)
        usage = answer.usage
        if answer.from_cache:
            call.kind = "cache_hit"
            self._book(run_id, call, Ending(usage, Cost(), saved=self._till.price(call, usage) if usage else None))
            return
        if usage is None:
            usage = call.estimated_usage(answer.text, self.counter)
            self._journal.warn_once(f"no usage: {call.labels['model']}", _usage_missing(call))
        else:
            self._learn(call, usage)
        self._book(run_id, call, Ending(usage, self._till.billed(call, usage, answer)))
        if self.prefix is not None:
            self.prefix.answered(call, usage)
        if self.gate is not None:
            self.gate.model_answered(call, usage, answer)

    def model_failed(self, run_id: UUID, error: BaseException, event: Mapping[str, Any]) -> None:
        """Book a model call that failed or was left, with what it had consumed by then.

        Where the provider's counts are lost and tokens had come, or the request was left or timed out while the
        provider worked on it, the usage is estimated. Everything else failed before it cost anything.
        """
        call = self._ended(run_id, "llm", event)
        if call.wraps:
            return
        rest = Answer.of_failure(error, event.get("response"))
        call.answered_by(rest.model)
        usage = rest.usage
        if usage is None:
            if call.streamed.chunks or rest.text or was_under_way(error):
                usage = call.estimated_usage(rest.text, self.counter)
        elif not rest.complete:
            usage = grown(usage, call.estimated_usage(rest.text, self.counter))
        cost = NOT_BILLED if usage is None else self._till.billed(call, usage, rest)
        self._book(run_id, call, Ending(usage, cost, **failure(error)))

    def tool_ended(self, run_id: UUID, output: object, event: Mapping[str, Any], *, failed: bool = False) -> None:
        """Book a tool or retriever call that returned.

        Args:
            run_id: Its run.
            output: What it returned.
            event: The callback's other keyword arguments.
            failed: Whether it returned an error message in place of a result.
        """
        call = self._ended(run_id, "tool", event)
        self._book(run_id, call, Ending(cost=self._till.tool(call), status="error" if failed else "ok"))
        if self.gate is not None:
            self.gate.tool_returned(call, output, failed=failed)

    def tool_failed(self, run_id: UUID, error: BaseException, event: Mapping[str, Any]) -> None:
        """Book a tool or retriever call that raised. One that a pause cut short runs again: it has no price yet."""
        call = self._ended(run_id, "tool", event)
        paused = isinstance(error, GraphBubbleUp)
        if paused:
            self._void(run_id, call)
        self._book(run_id, call, Ending(cost=None if paused else self._till.tool(call), **failure(error)))
        if self.gate is not None and not paused:
            self.gate.tool_returned(call, error, failed=True)

    def cache_served(self, run_id: UUID, data: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Book a hit of a cache that tells of its hits."""
        served = self.hits.served(run_id, data, tags=event.get("tags"), metadata=event.get("metadata"))
        if served is not None and self.gate is not None:
            self.gate.cache_served(*served)

    def embedding_started(self, model: str | None, provider: str | None, purpose: str | None = None) -> OpenCall:
        """Open an embedding call, which LangChain does not announce, in the run that this code runs in."""
        parent_id = current_run_id()
        run = self.runs.around(parent_id)
        labels = labels_of(run, self._table, current_metadata(), None)
        labels.update(step=run.step, model=model, provider=provider)
        if purpose is not None:
            labels["purpose"] = purpose
        call = OpenCall("embedding", run, labels, parent_id=parent_id)
        call.place = self._place(current_metadata())
        return call

    def embedding_ended(self, call: OpenCall, usage: Usage, error: BaseException | None = None) -> None:
        """Book an embedding call."""
        call.ended()
        run_id = uuid4()
        if error is None:
            ending = Ending(usage, self._till.price(call, usage))
        elif was_under_way(error):
            ending = Ending(usage, self._till.price(call, usage), **failure(error))
        else:
            ending = Ending(cost=NOT_BILLED, **failure(error))
        self._book(run_id, call, ending)
        if self.gate is not None:
            self.gate.post(run_id, call, ending.taken(call.kind))

    def here(self) -> tuple[WorkflowRun, dict[str, Any]] | None:
        """The workflow run that this code is in, and its attribution; None outside any."""
        parent_id = current_run_id()
        if parent_id is None:
            return None
        run = self.runs.around(parent_id)
        return run, labels_of(run, self._table, current_metadata(), None)

    def record(
        self,
        name: str,
        labels: Mapping[str, str | None],
        *,
        value: Decimal | None = None,
        success: bool | None = None,
    ) -> None:
        """Book an outcome.

        Args:
            name: What was achieved or not.
            labels: Its run, session and node; what else is known of the run is added.
            value: Its worth or score.
            success: Whether it was achieved.
        """
        known = self.runs.known(labels.get("run"))
        attribution = Attribution(**{**(known or {}), **{key: text for key, text in labels.items() if text}})
        made = datetime.now(UTC)
        self._journal.write(
            Entry(str(uuid4()), "outcome", made, attribution, name=label(name), value=value, success=success)
        )

    def _keep_open(self, run_id: UUID, call: OpenCall) -> None:
        """Keep a call until it ends, and watch the task that it runs in.

        LangChain tells nothing of an async call whose task is cancelled, as a timeout does. Nothing at all is told of
        a call that another handler refused at its start: of those the oldest are dropped when there are too many.
        """
        self._open.put(run_id, call)
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop runs in this thread
            return
        if task is not None:
            left = partial(self._task_ended, run_id)
            task.add_done_callback(left)
            call.unwatch = partial(task.remove_done_callback, left)

    def _task_ended(self, run_id: UUID, task: asyncio.Task[Any]) -> None:
        """Book a call whose task ended before the call did.

        LangChain's chains make each piece of an async stream in a task of its own, which ends with its piece: a call
        that has begun to stream ends here only where it was cancelled.
        """
        call = self._open.get(run_id)
        if call is None or (call.first_token_s is not None and not task.cancelled()):
            return
        with self._journal.harmless("a cancelled call"):
            failed = self.model_failed if call.kind == "llm" else self.tool_failed
            failed(run_id, asyncio.CancelledError(), {})

    def _ended(self, run_id: UUID, kind: Kind, event: Mapping[str, Any]) -> OpenCall:
        """Take an open call out. One whose start was missed is booked all the same, to its run alone."""
        call = self._open.pop(run_id)
        if call is None:
            run = self.runs.opened(run_id, event.get("parent_run_id"))
            call = OpenCall(kind, run, labels_of(run, self._table, None, None))
        call.ended()
        self.runs.closed(run_id)
        return call

    def _learn(self, call: OpenCall, usage: Usage) -> None:
        """Compare our estimate of a whole prompt with the provider's count, where the tokenizer is not public."""
        model, shape = call.labels["model"], call.shape
        if model and shape is not None and not shape.has_history and not openai_encoding(model):
            estimated = round(shape.fresh * self.counter.factor(model))
            self.counter.observe(model, estimated=estimated, actual=usage.input_tokens)

    def _book(self, run_id: UUID, call: OpenCall, ending: Ending) -> None:
        usage, cost, saved, status, error_type = ending
        split = call.shape.split(usage.input_tokens) if usage is not None and call.shape is not None else None
        entry = Entry(
            id=str(run_id),
            kind=call.kind,
            at=call.at,
            attribution=Attribution(**call.labels),
            duration_s=call.duration_s,
            first_token_s=call.first_token_s,
            usage=usage,
            cost=cost,
            saved=saved,
            status=status,
            error_type=error_type,
            parent_id=str(call.parent_id) if call.parent_id else None,
            name=_name(call),
            split=split,
            fingerprints=self._fingerprints(call),
            decision=call.routed.id if call.routed is not None else None,
        )
        self._journal.write(entry)
        decision = decision_entry(entry, call.routed) if call.routed is not None else None
        if decision is not None:
            self._journal.write(decision)
        if self.spend is not None:
            self.spend.note(call.place, call.run, Spent.of(entry))
        if self.gate is not None:
            self.gate.settle(run_id, call, ending.taken(call.kind))
            if call.run.root_id == run_id:
                self._run_ended(call.run)

    def _place(self, metadata: Mapping[str, Any] | None) -> Place | None:
        return Place.here(metadata) if self.spend is not None else None

    def _run_ended(self, run: WorkflowRun) -> None:
        """Tell the limits, but of calls that go on in tasks of their own: those will be heard of."""
        if self.gate is not None:
            self.gate.enforcer.run_ended(run, goes_on=lambda call_id: self._is_watched(UUID(call_id)))

    def _is_watched(self, run_id: UUID) -> bool:
        call = self._open.get(run_id)
        return call is not None and call.unwatch is not None

    def _void(self, run_id: UUID | None, call: OpenCall) -> None:
        """Give back what a call reserved that was not made, or that another one's events cover."""
        if self.gate is not None and run_id is not None:
            self.gate.void(run_id, call)

    def _void_if_refused(self, run_id: UUID | None) -> None:
        """Give back what a call reserved that was over without a word: another handler refused it at its start."""
        call = self._open.get(run_id) if run_id is not None else None
        if call is not None and not call.streamed.chunks:
            self._void(run_id, call)

    def _fingerprints(self, call: OpenCall) -> tuple[tuple[str, int], ...] | None:
        if self._fingerprinter is None or isinstance(call.prompt, str) or not call.prompt:
            return None
        return self._fingerprinter.of(call.prompt)


def _name(call: OpenCall) -> str | None:
    """The cache that answered, else the model that was asked where another one answered."""
    if call.kind == "cache_hit":
        return LANGCHAIN_CACHE
    return call.asked if call.asked != call.labels["model"] else None


def _usage_missing(call: OpenCall) -> UsageMissingWarning:
    return UsageMissingWarning(
        f"{call.labels['provider']} reported no usage for {call.labels['model']}: its token counts are estimates, and "
        "so are its costs. If it streams, construct the model with stream_usage=True."
    )
