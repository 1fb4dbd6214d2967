"""Tools and their schemas in one order, whoever lists them: a prompt cache knows a prefix by its bytes.

Order carries no meaning among the keywords of a schema, among required names and among definitions: they are sorted.
It does carry meaning where a model reads or writes along it: the order of `properties` is the order in which most
models write arguments (a reason before a verdict), the first of an `enum` or of the alternatives is the usual one. So
those stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_agentcost.canonical import as_json
from langchain_agentcost.context.lint.schema_walk import Schema, mapped
from langchain_agentcost.context.lint.tool_parts import inner_of, name_of, parameters_key, with_parts

_FIRST = {key: at for at, key in enumerate(("type", "name", "title", "description"))}
"""What people and models look for first stands first; the rest is in alphabetical order."""


def stable_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Give tools in one order, sorted by name, each with its keys in one order.

    Args:
        tools: Descriptions in any provider's form.

    Example:
        >>> one, two = {"name": "b", "description": "B."}, {"description": "A.", "name": "a"}
        >>> stable_tools([one, two]) == stable_tools([two, one])
        True
    """
    return tuple(sorted(map(stable_schema, tools), key=lambda tool: (name_of(tool), as_json(tool))))


def stable_schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Give a tool's description with its keys in one order, where their order means nothing.

    Example:
        >>> list(stable_schema({"input_schema": {}, "description": "Track.", "name": "track"}))
        ['name', 'description', 'input_schema']
    """
    inner = dict(inner_of(tool))
    key = parameters_key(inner)
    if key is not None:
        inner[key] = _stable(inner[key], None)
    return _sorted(with_parts(tool, _sorted(inner)))


def _stable(schema: Mapping[str, Any], name: str | None) -> Schema:
    made = mapped(schema, name, _stable)
    required, properties = made.get("required"), made.get("properties")
    if isinstance(required, list) and all(isinstance(one, str) for one in required):
        places = {one: at for at, one in enumerate(properties)} if isinstance(properties, Mapping) else {}
        made["required"] = sorted(required, key=lambda one: (places.get(one, len(places)), one))
    for key in ("$defs", "definitions"):
        if isinstance(made.get(key), Mapping):
            made[key] = {own: made[key][own] for own in sorted(made[key], key=str)}
    return _sorted(made)


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: mapping[key] for key in sorted(mapping, key=lambda key: (_FIRST.get(key, len(_FIRST)), str(key)))}
