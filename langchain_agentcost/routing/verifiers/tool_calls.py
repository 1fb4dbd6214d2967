"""Whether an answer's tool calls can be made at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.answer import message_of
from langchain_agentcost.routing.verifiers.form import Form
from langchain_agentcost.routing.verifiers.pure import Pure


class ToolCallsValid(Pure):
    """Accepts an answer whose tool calls name bound tools, with arguments that fit; one without calls passes too.

    A tool with a pydantic schema is asked as the tool itself would be, so "9" fits an int. Of a JSON schema the
    keywords are looked at that `json_schema.fault` names. Whether a call is wise is not looked at.

    Args:
        tools: What is bound: tools, functions, pydantic models or schemas. Of tools that are bound and not given here,
            the name alone is checked.

    Raises:
        RoutingError: If one of them describes no tool.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> answer = AIMessage("", tool_calls=[{"name": "fly", "args": {}, "id": "1"}])
        >>> ToolCallsValid().check(RouteRequest.of("Book 9A.", tools=("book",)), answer, {}).reasons
        ('it calls a tool that is not bound',)
    """

    __slots__ = ("_forms",)

    def __init__(self, tools: Sequence[Any] = ()) -> None:
        forms = [Form.of(tool) for tool in tools]
        self._forms = {form.name: form for form in forms}

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "tool calls"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        message = message_of(answer)
        if message is None:
            return Verdict(accepted=True)
        if message.invalid_tool_calls:
            return Verdict(accepted=False, reasons=("the arguments of a call are no JSON",))
        if request.forced_tool is not None and request.forced_tool not in [call["name"] for call in message.tool_calls]:
            return Verdict(accepted=False, reasons=(f"it does not call {request.forced_tool}",))
        faults = [why for call in message.tool_calls if (why := self._fault(request, call)) is not None]
        return Verdict(accepted=not faults, reasons=tuple(faults))

    def _fault(self, request: RouteRequest, call: Any) -> str | None:
        """What is wrong with a call. A name that nobody bound is the answer's own text, and is not told."""
        form = self._forms.get(call["name"])
        if form is None:
            known = call["name"] in request.tools or call["name"] == request.schema
            return None if known else "it calls a tool that is not bound"
        why = form.fault(call["args"])
        return None if why is None else f"{form.name}: {why}"
