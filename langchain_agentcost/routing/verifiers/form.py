"""What a value has to look like: a pydantic model where there is one, else the JSON schema that models are told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ValidationError

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.verifiers.json_schema import fault


@dataclass(frozen=True, slots=True)
class Form:
    """A tool's or a schema's name, and what is wrong with a value.

    Args:
        name: Its name, as the model is told it.
        fault: Says what about a value does not fit, without text of the value; None where it fits.

    Example:
        >>> class Seat(BaseModel):
        ...     row: int
        >>> Form.of(Seat).name, Form.of(Seat).fault({})
        ('Seat', 'row: missing')
    """

    name: str
    fault: Callable[[Any], str | None]

    @classmethod
    def of(cls, described: Any) -> Form:
        """Make one of anything that `bind_tools` or `with_structured_output` takes.

        Args:
            described: A tool, a function, a pydantic model, a TypedDict, or a schema of OpenAI's or Anthropic's form.

        Raises:
            RoutingError: If it is none of these.
        """
        if isinstance(described, BaseTool):
            asked_for = described.tool_call_schema
            return cls(described.name, _fault_of(asked_for))
        if _is_model(described):
            return cls(str(described.model_config.get("title") or described.__name__), _fault_of(described))
        try:
            told = convert_to_openai_tool(described)["function"]
        except Exception as error:  # whatever LangChain cannot read
            raise RoutingError(f"{type(described).__name__} is no tool, model or schema.") from error
        return cls(str(told["name"]), _fault_of(told.get("parameters", {})))


def _is_model(described: Any) -> bool:
    return isinstance(described, type) and issubclass(described, BaseModel)


def _fault_of(schema: Any) -> Callable[[Any], str | None]:
    if _is_model(schema):
        return lambda value: _model_fault(schema, value)
    if not isinstance(schema, Mapping):  # a model of pydantic 1
        schema = convert_to_openai_tool(schema)["function"].get("parameters", {})
    return lambda value: fault(value, schema)


def _model_fault(model: type[BaseModel], value: Any) -> str | None:
    """The first fault, as pydantic names it; of where it is only the model's own fields are told."""
    if isinstance(value, model):
        return None
    try:
        model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        known = {field.alias or name: name for name, field in model.model_fields.items()}
        where = next((str(part) for part in first["loc"][:1] if part in known), "it")
        return f"{where}: {first['type'].replace('_', ' ')}"
    return None
