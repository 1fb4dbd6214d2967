"""The gate between LangChain's events and the limits: a call in the books' terms becomes one in the limits'."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import takewhile
from secrets import token_bytes
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4, uuid5

from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.attribution import label
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.limiter import Admission
from langchain_agentcost.meter.answer import Answer
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.enforcer import Enforcer
from langchain_agentcost.meter.graph import Graph
from langchain_agentcost.meter.labels import current_metadata
from langchain_agentcost.meter.limited import Call
from langchain_agentcost.meter.permit import UNCAPPED_TOKENS, Permit, taken_permit
from langchain_agentcost.meter.runs import WorkflowRun
from langchain_agentcost.meter.worst_case import Request, WorstCase
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.saving import CacheHit
from langchain_agentcost.uncounted import Prompt
from langchain_agentcost.usage import Usage


class Gate:
    """Lets the calls of a meter pass, or not, and tells the limits how they went.

    Args:
        enforcer: What holds the limits.
        worst: What says what a model call may take.
        prices: What tool calls cost.
    """

    def __init__(self, enforcer: Enforcer, worst: WorstCase, prices: PriceBook) -> None:
        self.enforcer = enforcer
        self.worst = worst
        self._prices = prices
        self._watches = {breaker.kind for breaker in enforcer.breakers}

    def model_starts(self, run_id: UUID, call: OpenCall, sent: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Let a model call be made, or raise.

        Raises:
            LimitReached: If it must not be made.
            GraphInterrupt: If a person is asked.
        """
        enforcer, call_id, permitted = self.enforcer, str(run_id), taken_permit(self)
        if permitted is not None:
            self._open(call, call_id, permitted)
            return
        with enforcer.holding():
            elapsed_ms = self._elapsed_ms(call.run)
            demand = self.worst.of(call, sent, metadata, assume_dearest=enforcer.assumes_dearest, elapsed_ms=elapsed_ms)
            place = enforcer.place_of(call.run, call.labels, metadata.get("langgraph_checkpoint_ns"), call_id)
            admitted = enforcer.admit(_call(call.run, call.labels, demand, call_id, place))
            self._open(call, call_id, admitted.take() or ())

    def permit(
        self, run: WorkflowRun, labels: Mapping[str, Any], request: Request, *, least_output_tokens: int
    ) -> Permit:
        """Reserve for a model call that nobody has announced yet, with as long an answer as there is room for."""
        enforcer, call_id, permit = self.enforcer, str(uuid4()), Permit((), UNCAPPED_TOKENS)
        with enforcer.holding():
            demand = self.worst.of_request(
                request, assume_dearest=enforcer.assumes_dearest, elapsed_ms=self._elapsed_ms(run)
            )
            place = enforcer.place_of(run, labels, current_metadata().get("langgraph_checkpoint_ns"), call_id)
            call = _call(run, labels, demand, call_id, place)
            permit = enforcer.admit(call, least_output_tokens=least_output_tokens)
            permit.owner = self
        return permit

    def tool_starts(self, run_id: UUID, call: OpenCall, event: Mapping[str, Any]) -> None:
        """Let a tool or retriever call be made, or raise as `model_starts` does."""
        with self.enforcer.holding():
            if self._watches and call.kind == "tool":
                call.arguments = fingerprint(event.get("inputs"))
            call_id = str(run_id)
            ns, asked = (event.get("metadata") or {}).get("langgraph_checkpoint_ns"), event.get("tool_call_id")
            place = str(uuid5(_TOOLS, f"{ns}|{call.labels.get('attempt', 1)}|{asked}")) if ns and asked else call_id
            demand = self._tool_demand(call)
            admitted = self.enforcer.admit(_call(call.run, call.labels, demand, call_id, place))
            self._open(call, call_id, admitted.take() or ())

    def settle(self, run_id: UUID, call: OpenCall, taken: Taken) -> None:
        """Post what a call took."""
        self.enforcer.settle(call.run, str(run_id), call.admissions, taken)

    def void(self, run_id: UUID, call: OpenCall) -> None:
        """Give back what a call reserved."""
        self.enforcer.void(call.run, str(run_id), call.admissions)

    def post(self, run_id: UUID, call: OpenCall, taken: Taken) -> None:
        """Post a call that nobody could ask about before it was made."""
        self.enforcer.post(str(run_id), call.labels, taken)

    def model_answered(self, call: OpenCall, usage: Usage, answer: Answer) -> None:
        """Tell the counter and the breakers of an answer."""
        if not usage.estimated:
            self.worst.answered(call, usage)
        if self._watches:
            seen = _progress(call.prompt, answer) if "no_progress" in self._watches else None
            self.enforcer.of(call.run).watch.model_answered(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                at_s=perf_counter(),
                fingerprint=seen,
            )

    def tool_returned(self, call: OpenCall, output: object, *, failed: bool) -> None:
        """Tell the breakers of a tool's result."""
        if self._watches and call.kind == "tool":
            raised = isinstance(output, BaseException)
            result = fingerprint(type(output).__name__ if raised else getattr(output, "content", output))
            self.enforcer.of(call.run).watch.tool_returned(
                tool=call.labels["tool"] or "", call=call.arguments or "", result=result, failed=failed
            )

    def cache_served(self, hit: CacheHit, run: WorkflowRun) -> None:
        """Tell the breakers of a tool's result that came out of a cache: a run may go round in circles on those too."""
        tool = hit.spared[0].tool if len(hit.spared) == 1 else None
        if self._watches and tool is not None and hit.entry is not None:
            self.enforcer.of(run).watch.tool_returned(
                tool=label(tool), call=hit.entry, result=hit.entry, failed=hit.failed
            )

    def _open(self, call: OpenCall, call_id: str, admissions: Sequence[Admission]) -> None:
        call.admissions = admissions
        self.enforcer.opened(call.run, call_id, admissions)

    def _tool_demand(self, call: OpenCall) -> Demand:
        """What a tool may take: its price for a call. What it costs by the second is known when it ends."""
        tool = call.labels["tool"] or ""
        price = self._prices.tool_cost(tool, duration_s=0.0)
        return Demand(
            "tool" if call.kind == "tool" else "retriever",
            input_nano=price.total_nano if price is not None else 0,
            elapsed_ms=self._elapsed_ms(call.run),
            tool=tool,
        )

    def _elapsed_ms(self, run: WorkflowRun) -> int:
        return self.enforcer.of(run).elapsed_ms() if self.enforcer.keeps_time else 0


_TOOLS = UUID("7d1f0f0e-1c5e-5b5c-8d6f-1f0a4d3b8d2f")
"""The namespace of the ids of tool calls' reservations."""


def _graph_of(run: WorkflowRun) -> Graph | None:
    return Graph.around(resumed=run.resumed)


def _call(run: WorkflowRun, labels: Mapping[str, Any], demand: Demand, call_id: str, place: str) -> Call:
    """A call as limits see it: no step of this part of a run is one of another part's."""
    if run.part is not None:
        labels = {**labels, "step": f"{run.part}.{labels.get('step')}"}
    return Call(run, labels, demand, call_id, place, _graph_of(run))


_SALT = token_bytes(16)
"""The key of this process's fingerprints: runs are watched in one process."""


def fingerprint(value: object) -> str:
    """A short hash of arguments or a result: equal values have equal ones in this process.

    It is salted, so that nobody who sees one can tell the value by trying.
    """
    text = json.dumps(value, sort_keys=True, default=_content)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12, key=_SALT).hexdigest()


def _content(value: object) -> object:
    return value.content if isinstance(value, BaseMessage) else repr(value)


def _progress(prompt: Prompt, answer: Answer) -> str:
    """What was new in a prompt, and what was answered: a run that repeats both gets nowhere."""
    new: list[Any] = [prompt]
    if not isinstance(prompt, str):
        latest = takewhile(lambda m: not isinstance(m, AIMessage), reversed(prompt))
        new = [message.content for message in latest if message.id != TAIL_ID]
    asked = [(tool_call.get("name"), tool_call.get("args")) for tool_call in answer.tool_calls]
    return fingerprint([new, answer.text, asked])
