"""The books: what has started, what has ended, and what it is written down as."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict
from uuid import UUID, uuid4

from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.attribution import Attribution, AttributionMap, label
from langchain_agentcost.errors import UsageMissingWarning
from langchain_agentcost.ledger.entry import Entry, Kind, Status
from langchain_agentcost.meter.answer import Answer
from langchain_agentcost.meter.calls import OpenCall, Prompt
from langchain_agentcost.meter.fingerprints import Fingerprinter
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.labels import current_metadata, current_run_id, labels_of
from langchain_agentcost.meter.runs import RunBook
from langchain_agentcost.pricing import Cost, PriceBook
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.tokens.encodings import openai_encoding
from langchain_agentcost.usage import Usage

LEFT = (GeneratorExit, asyncio.CancelledError, KeyboardInterrupt, GraphBubbleUp)
"""What ends a call that did not fail: its consumer left, its task was cancelled, the graph paused or was stopped."""

NOT_BILLED = Cost(flags=("failed before any output: assumed not billed",))
"""A call that a provider refused: rate limits and bad requests are not billed."""


class Books:
    """Keeps the open calls, and books each one when it ends.

    Only single dictionary operations touch shared state, so threads and tasks need no lock.

    Args:
        prices: What calls cost.
        table: Which metadata fills which dimension.
        journal: Where entries go.
        fingerprinter: What fingerprints prompts; None leaves them without.
    """

    def __init__(
        self, prices: PriceBook, table: AttributionMap, journal: Journal, fingerprinter: Fingerprinter | None = None
    ) -> None:
        self.runs = RunBook()
        self.counter = TokenCounter()
        self._prices = prices
        self._table = table
        self._journal = journal
        self._fingerprinter = fingerprinter
        self._open: dict[UUID, OpenCall] = {}

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
        run = self.runs.opened(run_id, parent_id)
        labels = labels_of(run, self._table, metadata, event.get("tags"))
        asked = metadata.get("ls_model_name") or sent.get("model") or sent.get("model_name")
        labels.update(provider=metadata.get("ls_provider"), model=label(asked) if asked else None)
        outer = self._open.get(parent_id) if parent_id else None
        if outer is not None and outer.kind == "llm":
            outer.wraps = True
            labels["step"] = outer.labels.get("step")
        else:
            labels["step"] = run.new_step()
        tools = sent.get("tools") or ()
        call = OpenCall("llm", run, labels, parent_id=parent_id, prompt=prompt, tools=tools)
        call.batch_size = event.get("batch_size") or 1
        self._open[run_id] = call

    def tool_started(self, run_id: UUID, kind: Kind, name: str, event: Mapping[str, Any]) -> None:
        """Open a tool or retriever call. It has the step of the model call that asked for it."""
        run = self.runs.opened(run_id, event.get("parent_run_id"))
        labels = labels_of(run, self._table, event.get("metadata"), event.get("tags"))
        labels.update(tool=label(name), step=run.step_of(event.get("tool_call_id")))
        self._open[run_id] = OpenCall(kind, run, labels, parent_id=event.get("parent_run_id"))

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
        if call.run.passed_on(answer.message_id, call.started) and not answer.from_cache:
            return
        call.run.asked_for(answer.tool_calls, call.labels["step"])
        call.answered_by(answer.model)
        usage = answer.usage
        if answer.from_cache:
            call.kind = "cache_hit"
            self._book(run_id, call, Ending(usage, Cost(), saved=self._priced(call, usage) if usage else None))
            return
        if usage is None:
            usage = call.estimated_usage(answer.text, self.counter)
            self._journal.warn_once(f"no usage: {call.labels['model']}", _usage_missing(call))
        else:
            self._learn(call, usage)
        self._book(run_id, call, Ending(usage, self._priced(call, usage)))

    def model_failed(self, run_id: UUID, error: BaseException, event: Mapping[str, Any]) -> None:
        """Book a model call that failed or was left, with what it had consumed by then.

        Where the provider's counts are lost and tokens had come, or the request was left or timed out while the
        provider worked on it, the usage is estimated. Everything else failed before it cost anything.
        """
        call = self._ended(run_id, "llm", event)
        if call.wraps:
            return
        partial = Answer.of(event.get("response"))
        call.answered_by(partial.model)
        usage = partial.usage
        if usage is None and (call.chunks or partial.text or _was_under_way(error)):
            usage = call.estimated_usage(partial.text, self.counter)
        cost = NOT_BILLED if usage is None else self._priced(call, usage)
        self._book(run_id, call, Ending(usage, cost, **_failure(error)))

    def tool_ended(self, run_id: UUID, event: Mapping[str, Any], *, failed: bool = False) -> None:
        """Book a tool or retriever call that returned.

        Args:
            run_id: Its run.
            event: The callback's other keyword arguments.
            failed: Whether it returned an error message in place of a result.
        """
        call = self._ended(run_id, "tool", event)
        self._book(run_id, call, Ending(cost=self._tool_price(call), status="error" if failed else "ok"))

    def tool_failed(self, run_id: UUID, error: BaseException, event: Mapping[str, Any]) -> None:
        """Book a tool or retriever call that raised. One that a pause cut short runs again: it has no price yet."""
        call = self._ended(run_id, "tool", event)
        cost = None if isinstance(error, GraphBubbleUp) else self._tool_price(call)
        self._book(run_id, call, Ending(cost=cost, **_failure(error)))

    def embedding_started(self, model: str | None, provider: str | None) -> OpenCall:
        """Open an embedding call, which LangChain does not announce, in the run that this code runs in."""
        parent_id = current_run_id()
        run = self.runs.around(parent_id)
        labels = labels_of(run, self._table, current_metadata(), None)
        labels.update(step=run.step, model=model, provider=provider)
        return OpenCall("embedding", run, labels, parent_id=parent_id)

    def embedding_ended(self, call: OpenCall, usage: Usage, error: BaseException | None = None) -> None:
        """Book an embedding call."""
        call.ended()
        if error is None:
            self._book(uuid4(), call, Ending(usage, self._priced(call, usage)))
        else:
            self._book(uuid4(), call, Ending(cost=NOT_BILLED, **_failure(error)))

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

    def _ended(self, run_id: UUID, kind: Kind, event: Mapping[str, Any]) -> OpenCall:
        """Take an open call out. One whose start was missed is booked all the same, to its run alone."""
        call = self._open.pop(run_id, None)
        if call is None:
            run = self.runs.opened(run_id, event.get("parent_run_id"))
            call = OpenCall(kind, run, labels_of(run, self._table, None, event.get("tags")))
        call.ended()
        self.runs.closed(run_id)
        return call

    def _learn(self, call: OpenCall, usage: Usage) -> None:
        """Compare our estimate of a whole prompt with the provider's count, where the tokenizer is not public."""
        model, shape = call.labels["model"], call.shape
        if model and shape is not None and not shape.has_history and not openai_encoding(model):
            self.counter.observe(model, estimated=shape.fresh, actual=usage.input_tokens)

    def _priced(self, call: OpenCall, usage: Usage) -> Cost | None:
        """What a call costs by the name of the model that answered, else by the name that was asked for.

        The first call of a workflow run carries the fee per task, where the prices have one.
        """
        provider, tier = call.labels["provider"], usage.service_tier
        first_call = int(call.labels["step"] == 1 and call.labels.get("attempt", 1) == 1)
        try:
            for model in call.model_names():
                card = self._prices.card(model, provider=provider, at=call.at, service_tier=tier)
                cost = card.cost(usage, tasks=first_call) if card is not None else None
                if cost is not None:
                    return cost
            return self._prices.cost(usage, call.labels["model"] or "unknown", provider=provider, at=call.at)
        except Exception as error:  # noqa: BLE001  # without a price the call is still worth an entry
            self._journal.trouble("pricing", error)
            return None

    def _tool_price(self, call: OpenCall) -> Cost | None:
        try:
            return self._prices.tool_cost(call.labels["tool"] or "", duration_s=call.duration_s)
        except Exception as error:  # noqa: BLE001  # without a price the call is still worth an entry
            self._journal.trouble("pricing", error)
            return None

    def _book(self, run_id: UUID, call: OpenCall, ending: Ending) -> None:
        usage, cost, saved, status, error_type = ending
        split = call.shape.split(usage.input_tokens) if usage is not None and call.shape is not None else None
        self._journal.write(
            Entry(
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
                split=split,
                fingerprints=self._fingerprints(call),
            )
        )

    def _fingerprints(self, call: OpenCall) -> tuple[tuple[str, int], ...] | None:
        if self._fingerprinter is None or isinstance(call.prompt, str) or not call.prompt:
            return None
        return self._fingerprinter.of(call.prompt)


class Ending(NamedTuple):
    """How a call ended."""

    usage: Usage | None = None
    cost: Cost | None = None
    saved: Cost | None = None
    status: Status = "ok"
    error_type: str | None = None


class _Failure(TypedDict):
    status: Status
    error_type: str


def _failure(error: BaseException) -> _Failure:
    return {"status": "aborted" if isinstance(error, LEFT) else "error", "error_type": type(error).__name__}


def _was_under_way(error: BaseException) -> bool:
    """Whether a provider was at work, and bills, when a call ended without an answer."""
    return isinstance(error, LEFT) or "timeout" in type(error).__name__.lower()


def _usage_missing(call: OpenCall) -> UsageMissingWarning:
    return UsageMissingWarning(
        f"{call.labels['provider']} reported no usage for {call.labels['model']}: its token counts are estimates, and "
        "so are its costs. If it streams, construct the model with stream_usage=True."
    )
