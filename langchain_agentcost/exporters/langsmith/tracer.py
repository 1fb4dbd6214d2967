"""LangSmith's tracer with costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast
from uuid import UUID

from langchain_core.outputs import LLMResult
from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.tracers.schemas import Run
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.exporters.langsmith.asked import Asked
from langchain_agentcost.exporters.langsmith.desk import OF_THE_TRACE, Desk, shown
from langchain_agentcost.exporters.langsmith.findings import Finding, find, message_of, with_usage
from langchain_agentcost.exporters.langsmith.routes import route_shown
from langchain_agentcost.exporters.langsmith.traces import Trace
from langchain_agentcost.saving import CACHE_HIT, CacheHit

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_agentcost.pricing import PriceBook

P = ParamSpec("P")
R = TypeVar("R")


class LangSmithCostTracer(LangChainTracer):
    """A `LangChainTracer` whose runs carry what they cost and whom it is booked to.

    Pass it as a callback where LangChain's own tracer would be; where both would run, LangChain posts the runs once.
    Model runs get `input_cost`, `output_cost`, `total_cost` and details, tools with a price `total_cost`, chain runs
    never any cost, since LangSmith adds their children up. Root and model runs get `agentcost_*` metadata to filter by,
    runs in which a cache of ours served `agentcost_cache_hits` and `agentcost_saved_usd`, and the root run the sums of
    the trace at its end. Model runs that a router chose a tier for get `agentcost_route_*`, beside their tag.
    The messages that the application sees are not changed.

    A fault in pricing warns once and lets the plain trace through.

    Args:
        *args: What `LangChainTracer` takes.
        prices: The price book; None is the default one.
        attribution: Which metadata fills which dimension; None is the default table.
        pseudonymise: A secret. With it users appear under `pseudonym(user, key=secret)`, in `agentcost_user` and in the
            metadata that states them. What prompts, answers and tags say is not changed.
        **kwargs: What `LangChainTracer` takes: `project_name`, `client`, `tags`, `metadata`, ….

    Raises:
        ValueError: If the secret is empty.

    Example:
        >>> from langchain_agentcost.testing.collector import LangSmithCollector
        >>> with LangSmithCollector() as collector:
        ...     tracer = LangSmithCostTracer(client=collector.client(), project_name="docs")
        ...     tracer.project_name
        'docs'
    """

    def __init__(
        self,
        *args: Any,
        prices: PriceBook | None = None,
        attribution: AttributionMap | None = None,
        pseudonymise: str | bytes | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.desk = Desk(prices, table=attribution, secret=pseudonymise)
        self.tracing_metadata = self.desk.mask.hide(self.tracing_metadata)

    def copy_with_metadata_defaults(
        self, *, metadata: Mapping[str, str] | None = None, tags: list[str] | None = None
    ) -> Self:
        """Clone the tracer, as LangGraph does at every level; the clones share prices and open traces."""
        stated = dict(metadata) if metadata is not None else None
        clone = super().copy_with_metadata_defaults(metadata=self.desk.mask.hide(stated), tags=tags)
        clone = cast("Self", clone)
        clone.desk = self.desk
        return clone

    def on_chain_start(self, *args: Any, **kwargs: Any) -> Run:
        """Start a chain run; a root run gets its attribution."""
        return super().on_chain_start(*args, **self._started(kwargs))

    def on_tool_start(self, *args: Any, **kwargs: Any) -> Run:
        """Start a tool run."""
        return super().on_tool_start(*args, **self._started(kwargs))

    def on_retriever_start(self, *args: Any, **kwargs: Any) -> Run:
        """Start a retriever run."""
        return super().on_retriever_start(*args, **self._started(kwargs))

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any) -> Run:
        """Start a model run; it gets its attribution."""
        kwargs = self._started(kwargs, prompt=messages[0] if messages else ())
        return super().on_chat_model_start(serialized, messages, **kwargs)

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> Run:
        """Start the run of an older text model; it gets its attribution."""
        kwargs = self._started(kwargs, prompt=prompts[0] if prompts else "")
        return super().on_llm_start(serialized, prompts, **kwargs)

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any) -> Run:
        """Count what streams by, for calls whose usage is never reported."""
        asked = self.desk.asked(run_id)
        if asked is not None:
            asked.streamed.saw(token)
        return super().on_llm_new_token(token, run_id=run_id, **kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a model run, with what it cost."""
        priced = self._guarded(self._model_ended, run_id, response)
        return super().on_llm_end(response if priced is None else priced, run_id=run_id, **kwargs)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a model run that failed or was left, with what it had cost by then."""
        self._guarded(self._model_ended, run_id, kwargs.get("response"), error)
        return super().on_llm_error(error, run_id=run_id, **kwargs)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a tool run, with its price."""
        self._guarded(self._tool_ended, run_id)
        return super().on_tool_end(output, run_id=run_id, **kwargs)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a tool run that failed, with its price; one that a pause cut short runs again and has none yet."""
        self._guarded(self._tool_ended, run_id, error)
        return super().on_tool_error(error, run_id=run_id, **kwargs)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a retriever run, with its price."""
        self._guarded(self._tool_ended, run_id)
        return super().on_retriever_end(documents, run_id=run_id, **kwargs)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a retriever run that failed."""
        self._guarded(self._tool_ended, run_id, error)
        return super().on_retriever_error(error, run_id=run_id, **kwargs)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a chain run; the root run gets the sums of its trace."""
        self._guarded(self._ended, run_id)
        return super().on_chain_end(outputs, run_id=run_id, **kwargs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a chain run that failed; the root run gets the sums of its trace."""
        self._guarded(self._chain_failed, run_id, error)
        return super().on_chain_error(error, run_id=run_id, **kwargs)

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Show a hit of a cache on the run that it happened in; other events are none of ours."""
        if name == CACHE_HIT:
            self._guarded(self._cache_served, run_id, data)

    # What is added to LangChain's tracer

    def _guarded(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Do something that must not keep the plain trace from going out."""
        try:
            return work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the callback boundary
            self.desk.trouble(error)
            return None

    def _started(self, event: dict[str, Any], prompt: Any = None) -> dict[str, Any]:
        """Give the keyword arguments of a start event with our metadata.

        LangChain hands one metadata mapping to all handlers and keeps it: it is copied, never written to. Hiding users
        is not guarded: where that fails, no trace goes out.
        """
        event = {**event, "metadata": self.desk.mask.hide(event.get("metadata"))}
        labels = self._guarded(self._labels, event, prompt)
        route = self._guarded(route_shown, event["metadata"]) if prompt is not None else None
        if route is not None:
            labels = {**(labels or {}), **route}
        if labels:
            event["metadata"] = {**labels, **(event["metadata"] or {})}
        return event

    def _labels(self, event: dict[str, Any], prompt: Any) -> dict[str, Any]:
        """Open a run in its trace; the metadata that it gets."""
        run_id = event["run_id"]
        trace = self.desk.opened(run_id, event)
        labels = {}
        if trace.root == run_id:
            self.desk.root_labels(trace, event, self.tracing_metadata)
            labels = shown(trace.labels, (*OF_THE_TRACE, "agent"))
        if prompt is not None:
            step = trace.model_started(run_id, self._asked(event, prompt))
            labels |= self.desk.call_labels(trace, event, step)
        return labels

    def _asked(self, event: Mapping[str, Any], prompt: Any) -> Asked:
        """What a start event says about a model call."""
        metadata = event.get("metadata") or {}
        sent = event.get("invocation_params") or {}
        return Asked(
            self.desk.counter,
            parent_id=event.get("parent_run_id"),
            prompt=prompt,
            tools=sent.get("tools") or (),
            model=metadata.get("ls_model_name") or sent.get("model") or sent.get("model_name"),
            provider=metadata.get("ls_provider"),
            batch_size=event.get("batch_size") or 1,
        )

    def _model_ended(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None = None
    ) -> LLMResult | None:
        """Put a model call's cost on its run and its trace; the copy of the response that shows it."""
        run = self.run_map.get(str(run_id))
        asked = self.desk.asked(run_id) or Asked(self.desk.counter)
        trace = self.desk.trace_of(run_id)
        finding = None
        try:
            if trace is not None:
                trace.answered(run_id, message_of(response))
            if run is not None:
                finding = find(response, asked, price=self.desk.price(asked, run.start_time), error=error)
                self._put(run, finding)
        finally:
            self._ended(run_id)
        if response is None or finding is None or finding.usage_metadata is None:
            return None
        return with_usage(response, finding.usage_metadata)

    def _tool_ended(self, run_id: UUID, error: BaseException | None = None) -> None:
        """Put a tool's price on its run and its trace."""
        run = self.run_map.get(str(run_id))
        try:
            finding = self.desk.tool_finding(run) if run is not None and not isinstance(error, GraphBubbleUp) else None
            if run is not None and finding is not None:
                self._put(run, finding)
        finally:
            self._ended(run_id)

    def _cache_served(self, run_id: UUID, data: Mapping[str, Any]) -> None:
        """Put a hit on its run and its trace."""
        hit, trace, run = CacheHit.from_event(data), self.desk.trace_of(run_id), self.run_map.get(str(run_id))
        if trace is None:
            return
        saved = self.desk.saved(hit)
        shown = trace.served(run_id, hit, saved.total_nano if saved is not None else None)
        if run is not None and shown is not None:
            _annotate(run, shown)

    def _chain_failed(self, run_id: UUID, error: BaseException) -> None:
        trace = self.desk.trace_of(run_id)
        if trace is not None:
            trace.failed(run_id, error)
        self._ended(run_id)

    def _put(self, run: Run, finding: Finding) -> None:
        """Write a finding on a run that is open, and add it to its trace."""
        written = dict(finding.labels)
        if finding.usage_metadata is not None:
            written["usage_metadata"] = finding.usage_metadata
        _annotate(run, written)
        trace = self.desk.trace_of(run.id)
        if trace is not None:
            trace.add(**finding.sums)

    def _ended(self, run_id: UUID) -> None:
        """Close a run in its trace; with the root run the trace is complete."""
        trace = self.desk.closed(run_id)
        if trace is None or trace.root != run_id:
            return
        self._close_orphans(trace)
        run = self.run_map.get(str(run_id))
        if run is not None:
            _annotate(run, trace.summary())

    def _close_orphans(self, trace: Trace) -> None:
        """End model runs that were stopped before the call, by a handler that came after this one.

        LangChain sends no event for them: without this they would stay pending for ever.
        """
        for run_id, error in trace.orphans.items():
            if self.desk.closed(run_id) is not None and str(run_id) in self.run_map:
                _annotate(self.run_map[str(run_id)], {"agentcost_status": "halted"})
                super().on_llm_error(error, run_id=run_id)


def _annotate(run: Run, written: Mapping[str, Any]) -> None:
    """Add metadata to a run without writing to the mapping that it shares with other handlers."""
    run.extra["metadata"] = {**(run.extra.get("metadata") or {}), **written}
