"""Whether a structured answer fits: parsed, called or written."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.routing.verifiers.schema import SchemaValid


class Seat(BaseModel):
    """A seat."""

    row: int
    side: str


class Other(BaseModel):
    """Holds the same."""

    row: int
    side: str


class SeatDict(TypedDict):
    """A seat as a dict."""

    row: int
    side: str


SCHEMA = {"title": "Seat", "description": "d", "type": "object", "required": ["row", "side"], "properties": {
    "row": {"type": "integer"}, "side": {"type": "string"}}}  # fmt: skip
REQUEST = RouteRequest.of("Which seat?", schema="Seat")
GOOD = {"row": 9, "side": "left"}


def _called(name: str, *args: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": one, "id": str(n)} for n, one in enumerate(args)])


@pytest.mark.parametrize("schema", [Seat, SeatDict, SCHEMA])
@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        {"raw": AIMessage("x"), "parsed": GOOD, "parsing_error": None},
        AIMessage('{"row": 9, "side": "left"}'),
        AIMessage('```json\n{"row": 9, "side": "left"}\n```'),
        Other(row=9, side="left"),
        _called("search", {"q": "seats"}),
    ],
)
def test_an_answer_that_fits_passes_however_it_comes(schema: Any, answer: Any) -> None:
    """Whichever way the structure was asked for and given, what fits passes."""
    assert SchemaValid(schema).check(REQUEST, answer, {}).accepted


def test_the_call_of_the_form_is_the_answer() -> None:
    """An agent answers by a tool of the schema's name: once, and with what fits."""
    valid = SchemaValid(Seat)
    assert valid.check(REQUEST, _called("Seat", GOOD), {}).accepted
    assert valid.check(REQUEST, _called("Seat", {"row": 9}), {}).reasons == ("side: missing",)
    assert valid.check(REQUEST, _called("Seat", GOOD, GOOD), {}).reasons == ("it gives several answers",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"row": "nine", "side": "left"}, "row: int parsing"),
        (None, "it is empty"),
        ({"raw": AIMessage("x"), "parsed": None, "parsing_error": ValueError("x")}, "what it says could not be parsed"),
        (AIMessage('{"row": 9, "side": "le'), "it is no JSON"),
        (AIMessage("Row nine."), "it is no JSON"),
        (AIMessage("[]"), "it: model type"),
    ],
)
def test_an_answer_that_does_not_fit_does_not_pass(answer: Any, why: str) -> None:
    """Neither does JSON that was cut off, which lenient parsers complete."""
    assert SchemaValid(Seat).check(REQUEST, answer, {}).reasons == (why,)


def test_arguments_that_are_no_json_do_not_pass() -> None:
    """A broken call is no answer."""
    broken: Any = {"type": "invalid_tool_call", "name": "Seat", "args": "{", "id": "1", "error": None}
    verdict = SchemaValid(Seat).check(REQUEST, AIMessage("", invalid_tool_calls=[broken]), {})
    assert verdict.reasons == ("the arguments of a call are no JSON",)


async def test_it_is_a_verifier_and_names_the_schema() -> None:
    """Reports say which schema was asked for."""
    valid = SchemaValid(SCHEMA)
    assert isinstance(valid, Verifier)
    assert valid.name == "schema Seat"
    assert (await valid.acheck(REQUEST, {"row": 9}, {})).reasons == ("side is missing",)
