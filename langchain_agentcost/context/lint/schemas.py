"""A tool's description in fewer tokens, with the same information.

Generators write much into a JSON schema that says nothing: titles that repeat a name, `default: null` of what may be
left out anyway, a definition that is referred to once. `lean_schema` takes that out. What a model could have read stays
readable, and the same arguments are valid before and after: that is tested on random schemas.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any

from langchain_agentcost.context.lint.schema_pointers import DEFINITIONS, definitions, leads_to, pointers, points_into
from langchain_agentcost.context.lint.schema_walk import Schema, inside, mapped
from langchain_agentcost.context.lint.tool_parts import inner_of, name_of, parameters_key, with_parts

READS_TYPE_LISTS = ("openai", "anthropic")
"""What the names of models' families and types contain whose providers read lists of types in a schema."""


def reads_type_lists(family: str) -> bool:
    """Tell whether schemas need not be portable for a model; see `lean_schema`.

    Args:
        family: Its family, or LangChain's name for its type.

    Example:
        >>> reads_type_lists("openai-chat"), reads_type_lists("google")
        (True, False)
    """
    return any(name in family for name in READS_TYPE_LISTS)


def lean_schema(tool: Mapping[str, Any], *, portable: bool = True) -> dict[str, Any]:
    """Describe a tool in fewer tokens, with the same information.

    Taken out: titles that say a name again; descriptions that are empty, or the name again and nothing else; blanks at
    line ends and more than one blank line; `default: null` of what need not be there; definitions that are used once
    (they are written where they are used); `allOf` of one; `required: []`; `additionalProperties: true` beside
    properties; `$schema`. Kept: every other title and description, all examples, enumerations, defaults, limits, and
    `additionalProperties: false`; and a definition that anything else points to, by whatever keyword.

    Args:
        tool: A description in the form of any provider. What has no JSON schema, such as a tool that runs at the
            provider, is given back as it is.
        portable: Keep what langchain-google-genai needs (it reads neither lists of types, nor what is optional in
            an object inside without its default). False also writes `anyOf` with null as a list of types, which OpenAI
            and Anthropic read.

    Returns:
        The description, in the same form, never longer. What has a fault is given back as it is.

    Example:
        >>> parcel = {"title": "Parcel", "type": "string", "description": "Its number, such as P7."}
        >>> lean_schema({"name": "track", "input_schema": {"type": "object", "properties": {"parcel": parcel}}})
        {'name': 'track', 'input_schema': {'type': 'object', 'properties': {'parcel': {'type': 'string', \
'description': 'Its number, such as P7.'}}}}
    """
    try:
        made = _lean_tool(tool, portable=portable)
        return made if len(_text(made)) <= len(_text(tool)) else dict(tool)
    except (TypeError, ValueError, AttributeError, RecursionError):  # not JSON, or no schema: the provider's to refuse
        return dict(tool)


def lean_tools(tools: Iterable[Mapping[str, Any]], *, portable: bool = True) -> tuple[dict[str, Any], ...]:
    """Describe several tools in fewer tokens: `lean_schema` of each."""
    return tuple(lean_schema(tool, portable=portable) for tool in tools)


def _lean_tool(tool: Mapping[str, Any], *, portable: bool) -> dict[str, Any]:
    inner = dict(inner_of(tool))
    if isinstance(inner.get("description"), str):
        inner["description"] = _tidy(inner["description"])
    key = parameters_key(inner)
    if key is None:
        return dict(tool) if name_of(tool) != inner.get("name") else with_parts(tool, inner)
    inner[key] = _Leaner(inner[key], portable=portable).parameters(str(inner.get("name")), inner.get("description"))
    return with_parts(tool, inner)


class _Leaner:
    """Makes one tool's schema lean.

    Args:
        schema: The schema of its arguments.
        portable: See `lean_schema`.
    """

    def __init__(self, schema: Mapping[str, Any], *, portable: bool) -> None:
        self._schema = schema
        self._portable = portable
        self._addressed = points_into(schema)
        self._once = {} if self._addressed else _used_once(schema)
        self._closed = "unevaluated" in _text(schema)  # what is allowed here is then counted elsewhere

    def parameters(self, tool: str, description: object) -> Schema:
        made = self._lean(self._schema, None)
        made.pop("$schema", None)
        if _says(made.get("title"), tool) or _says(made.get("title"), "parameters"):
            made.pop("title")
        if made.get("description") in (description, ""):
            made.pop("description", None)
        return _without_unused(made, set(self._once))

    def _lean(self, schema: Mapping[str, Any], name: str | None, *, top: bool = True) -> Schema:
        schema = self._in_place(schema, name)
        made = mapped(schema, name, lambda one, own: self._lean(one, own, top=False))
        if name is not None and _says(made.get("title"), name):
            del made["title"]
        _without_restated_description(made, name)
        _without_defaults_of_json_schema(made, closed=self._closed)
        if top or not self._portable:
            _without_null_defaults(made)
        if not self._portable and not self._addressed:
            made = _nullable(made)
        return made

    def _in_place(self, schema: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
        """A schema with what it refers to, where nothing else does; and with what `allOf` of one holds."""
        while True:
            ref = schema.get("$ref")
            single = schema.get("allOf")
            if isinstance(ref, str) and ref in self._once:
                target = _titled(self._once[ref], ref, name)
                said = name is not None and _says(schema.get("title"), name)
                rest = {key: one for key, one in schema.items() if key != "$ref" and not (said and key == "title")}
            elif (
                isinstance(single, list) and len(single) == 1 and isinstance(single[0], Mapping) and not self._addressed
            ):
                target = single[0]
                rest = {key: value for key, value in schema.items() if key != "allOf"}
            else:
                return schema
            merged = _merged(rest, target)
            if merged is None:
                self._once.pop(str(ref), None)
                return schema
            schema = merged


_NOTES = frozenset({"title", "description", "default", "examples", "deprecated"})
"""Keywords that say something and forbid nothing."""

_MERGED_INTO = _NOTES | {"$defs", "definitions", "$schema"}
"""Keywords beside which another schema may be written: none of them looks at what its neighbours allow."""


def _used_once(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The definitions that one place refers to, and that do not refer to themselves, by their reference.

    Whatever text points to a definition counts, in keywords that are not known here too (`unevaluatedItems`, the
    `discriminator` of OpenAPI), and also what points to a part of it.
    """
    uses = Counter(one["$ref"] for one in inside(schema) if isinstance(one.get("$ref"), str))
    told = list(pointers(schema))
    found = {}
    for ref, one in definitions(schema):
        alone = uses[ref] == 1 and sum(leads_to(pointer, ref) for pointer in told) == 1
        if alone and isinstance(one, Mapping) and not _refers(one, ref, schema):
            found[ref] = one
    return found


def _without_unused(made: Schema, once: set[str]) -> Schema:
    """A schema without those definitions to which nothing in it leads any more."""
    while True:
        rest = {**made}
        for key in DEFINITIONS:
            held = rest.get(key)
            if isinstance(held, Mapping):
                rest[key] = {name: one for name, one in held.items() if f"#/{key}/{name}" not in once}
                if held and not rest[key]:
                    del rest[key]
        needed = {ref for ref in once for pointer in pointers(rest) if leads_to(pointer, ref)}
        if not needed:
            return rest
        once = once - needed


def _refers(schema: Mapping[str, Any], to: str, root: Mapping[str, Any]) -> bool:
    """Whether a schema refers to a definition, also by way of others."""
    waiting, seen = [schema], set()
    while waiting:
        for part in inside(waiting.pop()):
            ref = part.get("$ref")
            if not isinstance(ref, str) or ref in seen:
                continue
            seen.add(ref)
            target: Any = root
            for step in ref.split("/")[1:]:
                target = target.get(step) if isinstance(target, Mapping) else None
            if isinstance(target, Mapping):
                waiting.append(target)
    return to in seen


def _merged(outer: Mapping[str, Any], target: Mapping[str, Any]) -> Schema | None:
    """Both as one schema; None where a note would get lost, or where the outer one forbids anything.

    What stands in two schemas is looked at apart: `additionalProperties: false` beside `allOf` knows nothing of the
    properties in there, and would allow them were they written beside it. So only notes are written beside a schema.
    """
    clash = any(outer[key] != target[key] for key in outer.keys() & target.keys())
    return None if clash or not outer.keys() <= _MERGED_INTO else {**target, **outer}


def _titled(target: Mapping[str, Any], ref: str, name: str | None) -> Mapping[str, Any]:
    """A definition that keeps its name, as its title, where the property does not say it anyway."""
    own = ref.rpartition("/")[2]
    bare = {key: value for key, value in target.items() if key != "title" or not _says(value, own)}
    evident = name is not None and _letters(own) in _letters(name)
    return bare if evident or "title" in bare else {"title": own, **bare}


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _says(title: object, name: str) -> bool:
    """Whether a title is a name again, as generators write it: "Order Id", "trackArguments"."""
    if not isinstance(title, str):
        return False
    return bool(_letters(name)) and _letters(name) in (_letters(title), _letters(_GENERATED.sub("", title)))


_GENERATED = re.compile(r"[ _]?(?:Schema|Input|Args|Arguments|Params|Parameters)$")
_ARTICLES = frozenset({"the", "a", "an", "of"})


def _words(text: str) -> list[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").casefold()
    return sorted(word for word in re.findall(r"\w+", split) if word not in _ARTICLES)


def _without_restated_description(made: Schema, name: str | None) -> None:
    """Take out a description that is the name again: every word of it is still read, in the name."""
    description = made.get("description")
    if not isinstance(description, str):
        return
    made["description"] = description = _tidy(description)
    if not description or (name is not None and _words(description) == _words(name) != []):
        del made["description"]


def _without_defaults_of_json_schema(made: Schema, *, closed: bool) -> None:
    """Take out what holds without being said."""
    if made.get("required") == []:
        del made["required"]
    if made.get("additionalProperties") in (True, {}) and made.get("properties") and not closed:
        del made["additionalProperties"]
    if "const" in made and made.get("enum") == [made["const"]] and type(made["const"]) is str:
        del made["enum"]


def _without_null_defaults(made: Schema) -> None:
    """Take `default: null` from what may be left out."""
    properties, required = made.get("properties"), made.get("required") or ()
    if not isinstance(properties, dict):
        return
    for name, one in properties.items():
        if isinstance(one, Mapping) and "default" in one and one["default"] is None and name not in required:
            properties[name] = {key: value for key, value in one.items() if key != "default"}


_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_FOR_ALL_TYPES = frozenset({"enum", "const", "anyOf", "oneOf", "allOf", "not", "$ref", "if", "then", "else"})
"""Keywords that would bind null too, were they written beside a list of types."""


def _nullable(made: Schema) -> Schema:
    """Write "this or null" as a list of two types, where that means the same."""
    choices = made.get("anyOf")
    if not isinstance(choices, list) or len(choices) != 2 or {"type": "null"} not in choices:
        return made
    other = next((one for one in choices if one != {"type": "null"}), None)
    if not isinstance(other, Mapping) or other.get("type") not in _TYPES or _FOR_ALL_TYPES & other.keys():
        return made
    rest = {key: value for key, value in made.items() if key != "anyOf"}
    if rest.keys() & other.keys() or not rest.keys() <= _NOTES:
        return made
    return {**other, "type": [other["type"], "null"], **rest}


def _tidy(text: str) -> str:
    """A text without blanks at line ends, the indentation that all lines share, and blank lines above one."""
    lines = [line.rstrip() for line in cleandoc(text).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
