"""The meter: a callback handler that turns every model, tool and retriever event into a ledger entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent, GraphResumeEvent
from langsmith.utils import tracing_is_enabled

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.ledger import Ledger, MemoryLedger, open_ledger
from langchain_agentcost.ledger.base import Where
from langchain_agentcost.meter.books import Books
from langchain_agentcost.meter.fingerprints import Fingerprinter
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.labels import current_run_id
from langchain_agentcost.pricing import PriceBook, PriceOverrides
from langchain_agentcost.pricing.overrides import Given
from langchain_agentcost.reported import shown

if TYPE_CHECKING:
    from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
    from langchain_agentcost.finops import Report

Event = TypeVar("Event", bound=Callable[..., None])

MODE_VARIABLE = "AGENTCOST_MODE"
"""The kill switch: "off" in this environment variable makes every meter deaf, whatever the code says."""


def _harmless(event: Event) -> Event:
    """Keep a fault of the meter away from the user's run: the handler may raise on purpose, never by accident."""

    @wraps(event)
    def guarded(self: CostMeter, *args: Any, **kwargs: Any) -> None:
        try:
            event(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the callback boundary
            self.journal.trouble(event.__name__, error)

    return cast("Event", guarded)


class CostMeter(GraphCallbackHandler):
    """Meters every model, tool and retriever call that it is passed to as a callback.

    One meter serves any number of threads, tasks and runs at once. Pass `meter.callbacks` in the config of the
    outermost call: everything below it is seen, except what raw threads and nested `callbacks=[…]` hide
    (`install_global` sees those too).

    Args:
        ledger: A ledger, or the URL of one, such as "sqlite:///costs.db". None keeps the entries in memory.
        prices: The price book, or what one is made from: a TOML or JSON file, or a mapping. None has list prices.
        attribution: Which metadata fills which dimension; a mapping of keys is put before the defaults.
        fingerprint_key: A secret of 16 to 64 bytes. Each message of a prompt is then remembered by a hash salted with
            it and by its size, so that a replay can tell what was sent again. None remembers nothing of a message.

    Raises:
        ValueError: If the fingerprint key is too short or too long.
        StoreUnavailable: If the ledger cannot be opened.
        PriceFileError: If the prices cannot be read.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> with CostMeter() as meter:
        ...     answer = FakeMeteredChatModel().invoke("Hi", config={"callbacks": meter.callbacks})
        ...     meter.report(by="model").total.llm_calls
        1
    """

    run_inline = True
    raise_error = True

    def __init__(
        self,
        ledger: Ledger | str | None = None,
        *,
        prices: PriceBook | PriceOverrides | Given | None = None,
        attribution: AttributionMap | Mapping[str, Sequence[str]] | None = None,
        fingerprint_key: bytes | None = None,
    ) -> None:
        super().__init__()
        self.off = os.environ.get(MODE_VARIABLE, "").strip().lower() == "off"
        self.prices = prices if isinstance(prices, PriceBook) else PriceBook(prices)
        self.attribution = attribution if isinstance(attribution, AttributionMap) else AttributionMap(attribution or {})
        self.ledger = open_ledger(ledger or "memory://") if ledger is None or isinstance(ledger, str) else ledger
        self._closes_ledger = self.ledger is not ledger and not isinstance(self.ledger, MemoryLedger)
        self.journal = Journal(self.ledger)
        fingerprinter = Fingerprinter(fingerprint_key) if fingerprint_key is not None else None
        self.books = Books(self.prices, self.attribution, self.journal, fingerprinter)
        self._tracer: LangSmithCostTracer | None = None

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """What to pass as `callbacks`: this meter and, where LangSmith tracing is on, the tracer that shows its costs.

        The meter comes first, so that a run that it stops leaves no trace open.
        """
        if self.off or not tracing_is_enabled():
            return [self]
        if self._tracer is None:
            from langchain_agentcost.exporters.langsmith import LangSmithCostTracer  # noqa: PLC0415  # only for tracing

            self._tracer = LangSmithCostTracer(prices=self.prices, attribution=self.attribution)
        return [self, self._tracer]

    def report(
        self,
        by: str | Sequence[str] = "node",
        *,
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Report:
        """Report on the ledger, grouped.

        Args:
            by: A dimension of `Attribution`, several, "day", "driver", or "tag:NAME".
            where: Conditions that must all hold, such as {"tenant": "acme"}.
            since: Only calls that started at or after this instant, which has a time zone.
            until: Only calls that started before it.

        Returns:
            The report: print it, or show it in a notebook.

        Raises:
            QueryError: If a dimension does not exist.
        """
        from langchain_agentcost.finops import report  # noqa: PLC0415  # a process that only meters never reports

        self.journal.flush()
        return report(self.ledger, by=by, where=where, since=since, until=until)

    def record_outcome(
        self,
        name: str,
        value: Decimal | float | str | None = None,
        *,
        success: bool | None = None,
        run: UUID | str | None = None,
        session: str | None = None,
    ) -> None:
        """Record what a run or a session achieved, so that reports can say what a success costs.

        The latest record of a name for the same run or session counts.

        Args:
            name: What was achieved or not, such as "ticket_resolved".
            value: Its worth or score, if it has one.
            success: Whether it was achieved.
            run: The workflow run: the `run_id` in the config of the outermost call, also of one that resumed the run.
                Inside a run it may be left out.
            session: The session, where the outcome belongs to one as a whole.

        Raises:
            ValueError: If neither run nor session is given and no run is under way, the value is no number below 10**18
                with at most nine decimal places, or success is neither true nor false.
        """
        of = None if run is None and session is not None else self._workflow_run(run)
        self.books.record(name, {"run": of, "session": session}, value=_number(value), success=_verdict(success))

    def mark_abandoned(self, run: UUID | str | None = None, *, node: str | None = None) -> None:
        """Mark a run, or a branch of it, as work whose result was thrown away. Reports then show what it cost.

        Args:
            run: The workflow run; inside a run it may be left out.
            node: The path of the branch's outermost node, such as "research/plan_b"; None marks the whole run.

        Raises:
            ValueError: If no run is given and none is under way.
        """
        self.books.record("abandoned", {"run": self._workflow_run(run), "node": node}, success=False)

    def close(self) -> None:
        """Write what waits and close the file that the meter opened. Closing twice is harmless.

        A ledger that the caller opened stays open, and one in memory stays readable.
        """
        self.journal.close()
        if self._closes_ledger:
            self.ledger.close()

    def __enter__(self) -> Self:
        """Use the meter for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    @property
    def ignore_llm(self) -> bool:
        """Whether the kill switch makes the meter deaf."""
        return self.off

    ignore_chat_model = ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_llm

    @_harmless
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note where a run belongs."""
        self.books.runs.opened(run_id, parent_run_id, kwargs.get("name"), kwargs.get("metadata"))

    @_harmless
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a run ended."""
        self.books.runs.closed(run_id)

    @_harmless
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a run ended."""
        self.books.runs.closed(run_id)

    @_harmless
    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        """Note where a graph waits for a human."""
        self.books.runs.paused(event.run_id, event.checkpoint_id)

    @_harmless
    def on_resume(self, event: GraphResumeEvent) -> None:
        """Go on with the workflow run that waited."""
        self.books.runs.resumed(event.run_id, event.checkpoint_id)

    @_harmless
    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Open a model call."""
        self.books.model_started(run_id, messages[0] if messages else (), kwargs)

    @_harmless
    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any) -> None:
        """Open a call of an older text model."""
        self.books.model_started(run_id, prompts[0] if prompts else "", kwargs)

    @_harmless
    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> None:
        """Count what streams by."""
        self.books.saw_token(run_id, token)

    @_harmless
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a model call that was answered."""
        self.books.model_ended(run_id, response, kwargs)

    @_harmless
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a model call that failed or was left."""
        self.books.model_failed(run_id, error, kwargs)

    @_harmless
    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Open a tool call."""
        self.books.tool_started(run_id, "tool", _name(serialized, kwargs), kwargs)

    @_harmless
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a tool call that returned, with a result or with an error message."""
        self.books.tool_ended(run_id, kwargs, failed=getattr(output, "status", None) == "error")

    @_harmless
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a tool call that raised."""
        self.books.tool_failed(run_id, error, kwargs)

    @_harmless
    def on_retriever_start(self, serialized: dict[str, Any] | None, query: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Open a retriever call."""
        self.books.tool_started(run_id, "retriever", _name(serialized, kwargs), kwargs)

    @_harmless
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a retriever call."""
        self.books.tool_ended(run_id, kwargs)

    @_harmless
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Book a retriever call that raised."""
        self.books.tool_failed(run_id, error, kwargs)

    def _workflow_run(self, run: UUID | str | None) -> str:
        """The workflow run that is meant: the one that is named, else the one that this code runs in."""
        if run is not None:
            return self.books.runs.named(str(run))
        here = current_run_id()
        if here is None:
            raise ValueError(
                "No run is under way here. Pass run= (the run_id in the config of the outermost call) or session=."
            )
        return self.books.runs.around(here).id


def _name(serialized: Mapping[str, Any] | None, event: Mapping[str, Any]) -> str:
    """The name of a tool or retriever, wherever this version of it puts it."""
    named = serialized or {}
    path = named.get("id") or ["unnamed"]
    return str(named.get("name") or event.get("name") or path[-1])


MAX_OUTCOME_DIGITS = 18
"""An outcome's value has at most these before the point, and nine behind it: what a ledger adds up exactly."""


def _number(value: Decimal | float | str | None) -> Decimal | None:
    """An outcome's value as a decimal that can be added up."""
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not (number.is_finite() and number.adjusted() < MAX_OUTCOME_DIGITS):
        raise ValueError(f"An outcome's value must be a number below 10**18, got {shown(value)}; use success= for yes.")
    if number.as_tuple().exponent < -9:  # type: ignore[operator]  # finite numbers have an integer there
        raise ValueError(f"An outcome's value has at most nine decimal places, got {shown(value)}; round it.")
    return number


def _verdict(success: object) -> bool | None:
    """Whether an outcome was one: True, False, not said. 0, 1 and numpy's booleans mean what they say."""
    if success is None or isinstance(success, bool):
        return success
    if type(success).__name__ in ("bool_", "bool", "int") and success in (0, 1):
        return bool(success)
    raise ValueError(f"success must be True, False or None, got {shown(success)}.")
