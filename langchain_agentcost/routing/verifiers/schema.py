"""Whether a structured answer has the structure that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.answer import message_of, parsed_of, plain
from langchain_agentcost.routing.verifiers.form import Form
from langchain_agentcost.routing.verifiers.pure import Pure

_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)


class SchemaValid(Pure):
    """Accepts an answer that fits a schema: what was parsed, the call of a tool of the schema's name, or JSON as text.

    JSON that is cut off does not fit. Where an agent calls other tools, it is not at its answer yet, and passes.

    Args:
        schema: What `with_structured_output` takes: a pydantic model, a TypedDict or a JSON schema with a title.

    Raises:
        RoutingError: If it describes no structure.

    Example:
        >>> valid = SchemaValid({"title": "Seat", "type": "object", "required": ["row"], "properties": {"row": {}}})
        >>> valid.check(RouteRequest.of("Which seat?"), AIMessage('{"col": "A"}'), {}).reasons
        ('row is missing',)
    """

    __slots__ = ("_form",)

    def __init__(self, schema: Any) -> None:
        self._form = Form.of(schema)

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return f"schema {self._form.name}"

    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""
        if isinstance(answer, Mapping) and answer.get("parsing_error") is not None:
            return _rejected("what it says could not be parsed")
        parsed = parsed_of(answer)
        if parsed is not None:
            return self._fits(parsed)
        message = message_of(answer)
        if message is None:
            return _rejected("it is empty")
        if message.invalid_tool_calls:
            return _rejected("the arguments of a call are no JSON")
        return self._called(message) if message.tool_calls else self._written(message)

    def _called(self, message: AIMessage) -> Verdict:
        given = [call["args"] for call in message.tool_calls if call["name"] == self._form.name]
        if not given:
            return Verdict(accepted=True, reasons=("it calls other tools first",))
        return self._fits(given[0]) if len(given) == 1 else _rejected("it gives several answers")

    def _written(self, message: AIMessage) -> Verdict:
        text = str(message.text)
        fenced = _FENCED.match(text)
        try:
            return self._fits(json.loads(fenced.group(1) if fenced else text))
        except ValueError:
            return _rejected("it is no JSON")

    def _fits(self, value: Any) -> Verdict:
        why = self._form.fault(value)
        if why is not None and plain(value) is not value:  # a model of another class may fit by what it holds
            why = self._form.fault(plain(value))
        return Verdict(accepted=True) if why is None else _rejected(why)


def _rejected(why: str) -> Verdict:
    return Verdict(accepted=False, reasons=(why,))
