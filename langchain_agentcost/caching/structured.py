"""Structured output of `create_agent`: how it is asked for, as part of a key, and how a cached answer becomes one."""

from __future__ import annotations

from typing import Any

from langchain.agents.middleware import ModelResponse
from langchain.agents.structured_output import (
    AutoStrategy,
    OutputToolBinding,
    ProviderStrategy,
    ProviderStrategyBinding,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, ToolMessage


def described(wanted: Any) -> Any:
    """Give how structured output is asked for, as it can be compared: the strategy, and each schema with its name.

    Args:
        wanted: `ModelRequest.response_format`.

    Example:
        >>> described(ToolStrategy({"title": "Order", "type": "object"}))
        ['ToolStrategy', None, [['Order', '', {'title': 'Order', 'type': 'object'}]]]
    """
    if wanted is None:
        return None
    strict = wanted.schema_spec.strict if isinstance(wanted, ProviderStrategy) else None
    specs = [[spec.name, spec.description, spec.json_schema] for spec in _tool_strategy(wanted).schema_specs]
    return [_kind(wanted), strict, specs]


def response_of(message: AIMessage, wanted: Any) -> ModelResponse[Any]:
    """Make of a cached answer what the agent makes of the model's: its structured output, and the tool message for it.

    Args:
        message: The answer.
        wanted: `ModelRequest.response_format`; equal to that of the call that was answered.
    """
    if wanted is None:
        return ModelResponse(result=[message])
    strategy = _tool_strategy(wanted)
    specs = {spec.name: spec for spec in strategy.schema_specs}
    for call in message.tool_calls:
        if call["name"] in specs:
            found = OutputToolBinding.from_schema_spec(specs[call["name"]]).parse(call["args"])
            text = strategy.tool_message_content or f"Returning structured response: {found}"
            said = ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"])
            return ModelResponse(result=[message, said], structured_response=found)
    if message.tool_calls:
        return ModelResponse(result=[message])
    [spec] = specs.values()
    return ModelResponse(
        result=[message], structured_response=ProviderStrategyBinding.from_schema_spec(spec).parse(message)
    )


def _kind(wanted: Any) -> str:
    """A bare schema is what `AutoStrategy` is made of."""
    return type(wanted).__name__ if isinstance(wanted, ToolStrategy | ProviderStrategy) else AutoStrategy.__name__


def _tool_strategy(wanted: Any) -> ToolStrategy[Any]:
    """The strategy with its schemas by name; a schema without a name gets another one each time, and is never equal."""
    if isinstance(wanted, ToolStrategy):
        return wanted
    return ToolStrategy(wanted.schema if isinstance(wanted, ProviderStrategy | AutoStrategy) else wanted)
