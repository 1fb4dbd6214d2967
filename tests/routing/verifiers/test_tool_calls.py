"""Whether tool calls can be made: by pydantic, by JSON schema, by name."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from pydantic import BaseModel, Field, field_validator

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.routing.verifiers.tool_calls import ToolCallsValid


@tool
def book(row: int, side: str = "left") -> str:
    """Book a seat."""
    return f"{row}{side}"


class Refund(BaseModel):
    """Give money back."""

    cents: int = Field(gt=0, alias="amountCents")

    @field_validator("cents")
    @classmethod
    def whole(cls, cents: int) -> int:
        """Only whole units."""
        if cents % 100:
            raise ValueError(f"{cents} is not whole")
        return cents


ANTHROPIC = {"name": "find", "description": "d", "input_schema": {"type": "object", "required": ["q"], "properties": {
    "q": {"type": "string"}}}}  # fmt: skip
OPENAI = {"type": "function", "function": {"name": "wait", "description": "d", "parameters": {
    "type": "object", "properties": {"s": {"type": "number", "maximum": 9}}}}}  # fmt: skip
VALID = ToolCallsValid([book, Refund, ANTHROPIC, OPENAI])
REQUEST = RouteRequest.of("Book 9A.", tools=("book", "Refund", "find", "wait", "other"))


def _calling(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "1"}])


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage("Nothing to call."),
        {"seat": "9A"},
        _calling("book", row=9),
        _calling("book", row="9"),
        _calling("Refund", amountCents=300),
        _calling("find", q="seats"),
        _calling("wait", s=1.5),
        _calling("other", anything=1),
        {"raw": _calling("book", row=9), "parsed": None, "parsing_error": None},
    ],
)
def test_calls_that_can_be_made_pass(answer: Any) -> None:
    """Arguments that the tool would take pass, and so does what calls nothing."""
    assert VALID.check(REQUEST, answer, {}).accepted


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_calling("book"), "book: row: missing"),
        (_calling("book", row="nine"), "book: row: int parsing"),
        (_calling("Refund", amountCents=-1), "Refund: amountCents: greater than"),
        (_calling("Refund", amountCents=350), "Refund: amountCents: value error"),
        (_calling("find"), "find: q is missing"),
        (_calling("find", q=7), "find: q is not of type string"),
        (_calling("wait", s=10), "wait: s is above 9"),
        (_calling("secret plan"), "it calls a tool that is not bound"),
    ],
)
def test_calls_that_cannot_be_made_do_not(answer: AIMessage, why: str) -> None:
    """The reason says what is wrong in the tool's words, and repeats nothing of the answer."""
    assert VALID.check(REQUEST, answer, {}).reasons == (why,)


def test_arguments_that_are_no_json_do_not_pass() -> None:
    """What LangChain could not read cannot be called."""
    broken: Any = {"type": "invalid_tool_call", "name": "book", "args": "{row", "id": "1", "error": None}
    assert VALID.check(REQUEST, AIMessage("", invalid_tool_calls=[broken]), {}).reasons == (
        "the arguments of a call are no JSON",
    )


def test_a_call_that_had_to_be_made_has_to_be_there() -> None:
    """Where a tool is forced, words are no answer."""
    forced = RouteRequest.of("Book.", tools=("book",), forced_tool="book")
    assert VALID.check(forced, AIMessage("Shall I?"), {}).reasons == ("it does not call book",)
    assert VALID.check(forced, _calling("book", row=1), {}).accepted


def test_the_form_of_an_answer_may_be_called() -> None:
    """Structured output by a tool of the schema's name is no unknown tool."""
    assert ToolCallsValid().check(RouteRequest.of("?", schema="Seat"), _calling("Seat", row=1), {}).accepted


def test_what_a_graph_hands_to_a_tool_is_not_asked_of_the_model() -> None:
    """An injected argument is no missing one."""

    @tool
    def note(text: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
        """Note."""
        return text + call_id

    assert ToolCallsValid([note]).check(RouteRequest.of("?"), _calling("note", text="a"), {}).accepted


def test_a_tool_with_a_json_schema_is_checked_though_langchain_does_not() -> None:
    """Tools of MCP servers come with JSON schemas, against which `BaseTool` validates nothing."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    remote: BaseTool = StructuredTool.from_function(lambda **_: "", name="remote", description="d", args_schema=schema)
    assert ToolCallsValid([remote]).check(REQUEST, _calling("remote", n="x"), {}).reasons == (
        "remote: n is not of type integer",
    )


def test_what_describes_no_tool_is_refused() -> None:
    """A mistake in what is given shows when it is given."""
    with pytest.raises(RoutingError, match="int is no tool"):
        ToolCallsValid([7])


async def test_async_code_gets_the_same_verdict() -> None:
    """It asks nobody."""
    assert isinstance(VALID, Verifier)
    assert not (await VALID.acheck(REQUEST, _calling("book"), {})).accepted
