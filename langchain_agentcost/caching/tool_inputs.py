"""What a tool's result depends on: its arguments, and what the graph hands to it besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId
from langchain_core.tools.base import get_all_basemodel_annotations
from langgraph.prebuilt import InjectedState, ToolRuntime
from pydantic import BaseModel, ValidationError

from langchain_agentcost.caching.keys import SCALARS, class_of, function_value
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.tools import ToolCachePolicy
from langchain_agentcost.errors import Unkeyable
from langchain_agentcost.recent import Recent


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTool:
    """A tool call, as a cache sees it.

    Args:
        name: The tool's name.
        args: Its arguments; what the graph injects may be among them.
        call_id: The id that its answer has to carry; None where the bare value is asked for.
        caller: Who asks.
        tool: The tool, where it is known.
        config: The config of the call; hits are told to its callbacks.
        state: The graph's state; None where only what is injected is known.
        context: The graph's context.
    """

    name: str
    args: Mapping[str, Any]
    call_id: str | None
    caller: Caller
    tool: BaseTool | None = None
    config: RunnableConfig | None = None
    state: Any = None
    context: Any = None


class Inputs(NamedTuple):
    """What a result depends on.

    Args:
        args: The arguments, as they are compared.
        written: All of it, as JSON: calls that write the same are the same call.
    """

    args: Mapping[str, Any]
    written: str


class ToolInputs:
    """Reads what results depend on; what tools are given is looked at once a tool."""

    def __init__(self) -> None:
        self._known: Recent[int, tuple[BaseTool, _Injected]] = Recent(most=1_000)
        self._objects: Recent[int, tuple[object, str]] = Recent()

    def of(self, asked: AskedTool, policy: ToolCachePolicy) -> Inputs:
        """Give what the result of a call depends on.

        Args:
            asked: The call.
            policy: How the tool is cached.

        Raises:
            Unkeyable: If it depends on what cannot be compared.
        """
        with _as_unkeyable(asked.name):
            return self._of(asked, policy)

    def args(self, asked: AskedTool, policy: ToolCachePolicy) -> Mapping[str, Any]:
        """Give the arguments alone, as they are compared: all that a write's tags need.

        Raises:
            Unkeyable: If they cannot be read.
        """
        with _as_unkeyable(asked.name):
            return policy.normalised(_own_args(asked, self._injected(asked.tool)))

    def _of(self, asked: AskedTool, policy: ToolCachePolicy) -> Inputs:
        injected = self._injected(asked.tool)
        if injected.unknown and policy.vary_on is None:
            given = ", ".join(sorted(injected.unknown))
            raise Unkeyable(
                f"{asked.name} is given more than its arguments ({given}): say by vary_on=(…) on what of it the result "
                "depends, vary_on=() for nothing."
            )
        args = policy.normalised(_own_args(asked, injected))
        paths = policy.vary_on or ()
        varied = [[path, _at(asked, path)] for path in paths]
        varied += [[name, _injected_state(asked, name, field)] for name, field in sorted(injected.state.items())]
        form = "message" if asked.call_id is not None else "value"
        return Inputs(
            args, plain_json([asked.name, self._identity(asked.tool, policy), policy.version, form, args, varied])
        )

    def _identity(self, tool: BaseTool | None, policy: ToolCachePolicy) -> list[Any] | None:
        """Which code a tool is: where it was written, what it does, captured and holds, and how it is described.

        What it captured or holds may be another tenant's client. Such an object is told from all others of this process
        by what it is, and not by its class, unless the policy's version speaks for it.
        """
        if tool is None:
            return None
        code: Any = _function(tool)
        told = self._object if not policy.version else class_of
        captured = function_value(code, object_value=told) if isinstance(code, FunctionType) else []
        named = [str(getattr(code, "__module__", "")), str(getattr(code, "__qualname__", ""))]
        return [*named, captured, _fields(tool, told), tool.description]

    def _object(self, value: object) -> str:
        """Give an object a name that no other one has. It is kept as long as it has one, so that its id is its own."""
        known = self._objects.get(id(value))
        if known is None:
            known = (value, str(uuid4()))
            self._objects.put(id(value), known)
        return known[1]

    def _injected(self, tool: BaseTool | None) -> _Injected:
        if tool is None:
            return _NOTHING
        known = self._known.get(id(tool))
        if known is None or known[0] is not tool:
            known = (tool, _find_injected(tool))
            self._known.put(id(tool), known)
        return known[1]


@contextmanager
def _as_unkeyable(tool: str) -> Iterator[None]:
    """Schemas, type hints and normalisers are anybody's code: what they raise must not break the call itself."""
    try:
        yield
    except Unkeyable:
        raise
    except Exception as error:
        raise Unkeyable(f"The arguments of {tool} cannot be read: {error!r}") from error


class _Injected(NamedTuple):
    """What a graph hands to a tool: parts of the state by argument, all that is handed over, and what is unknown."""

    state: Mapping[str, str]
    names: frozenset[str]
    unknown: frozenset[str]


_NOTHING = _Injected({}, frozenset(), frozenset())

_NOT_LOOKED_AT = ("run_manager", "callbacks", "return", "self")
"""Parameters that are no inputs."""

_SEES_ARGUMENTS_ONLY = ("langchain_mcp_adapters.tools",)
"""Where functions are from that take the runtime for their interceptors; the server is sent the arguments alone."""


def _find_injected(tool: BaseTool) -> _Injected:
    function = _function(tool)
    hints = {**get_type_hints(function, include_extras=True), **_schema_hints(tool)}
    kinds = {name: _kind(name, hint) for name, hint in hints.items() if name not in _NOT_LOOKED_AT}
    state = {name: kind.field for name, kind in kinds.items() if isinstance(kind, InjectedState) and kind.field}
    names = frozenset(name for name, kind in kinds.items() if kind is not None)
    harmless = {name for name, kind in kinds.items() if isinstance(kind, InjectedToolCallId)} | set(state)
    if function.__module__ in _SEES_ARGUMENTS_ONLY:
        harmless = set(names)
    return _Injected(state, names, names - harmless)


def _function(tool: BaseTool) -> Any:
    """The code that a tool runs."""
    own = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    return own if own is not None else type(tool)._run  # noqa: SLF001  # it is what a tool's author writes


def _schema_hints(tool: BaseTool) -> dict[str, Any]:
    schema = tool.args_schema
    return get_all_basemodel_annotations(schema) if isinstance(schema, type) else {}


def _kind(name: str, hint: Any) -> object:
    """What is injected into a parameter, an `InjectedToolArg` mostly; None for an argument that the model gives."""
    if name == "runtime":  # ToolNode goes by the name alone
        return ToolRuntime
    for part in _parts(hint):
        if part is RunnableConfig or (isinstance(part, type) and issubclass(part, ToolRuntime)):
            return part
        if isinstance(part, InjectedToolArg):
            return part
        if isinstance(part, type) and issubclass(part, InjectedToolArg):
            return part()
    return None


def _parts(hint: Any) -> list[Any]:
    """A hint, what it is made of, and what it is annotated with; a list of runtimes is no runtime."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *said = get_args(hint)
        return [*_parts(inner), *said]
    if origin is None or isinstance(origin, type):
        return [hint if origin is None else origin]
    return [part for one in get_args(hint) for part in _parts(one)]


def _own_args(asked: AskedTool, injected: _Injected) -> dict[str, Any]:
    """The arguments that the model gave, as the tool's schema reads them and with its defaults."""
    given = {name: value for name, value in asked.args.items() if name not in injected.names}
    schema = _schema(asked.tool, injected)
    if schema is None:
        return given
    try:
        read = schema.model_validate(given)
    except ValidationError:  # the tool will say so itself
        return given
    return {**given, **{name: getattr(read, name) for name in type(read).model_fields}}


def _schema(tool: BaseTool | None, injected: _Injected) -> type[BaseModel] | None:
    """What reads the arguments: the tool's own schema with its validators, or its fields that the model fills in."""
    own = tool.args_schema if tool is not None else None
    if tool is None or not (isinstance(own, type) and issubclass(own, BaseModel)):
        return None
    if injected.names.isdisjoint(own.model_fields):
        return own
    asked_for = tool.tool_call_schema
    return asked_for if isinstance(asked_for, type) and issubclass(asked_for, BaseModel) else None


def _injected_state(asked: AskedTool, name: str, field: str) -> Any:
    if asked.state is None and name in asked.args:
        return asked.args[name]
    return _part(asked.state, field, f"state.{field}")


def _at(asked: AskedTool, path: str) -> Any:
    """What stands at a path such as "configurable.region"."""
    root, *steps = path.split(".")
    value: Any = ensure_config(asked.config).get(root) if root in ("configurable", "metadata") else _root(asked, root)
    for step in steps:
        value = _part(value, step, path)
    return value


def _root(asked: AskedTool, root: str) -> Any:
    return asked.state if root == "state" else asked.context


def _part(value: Any, name: str, path: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if value is not None and not isinstance(value, Mapping) and hasattr(value, name):
        return getattr(value, name)
    raise Unkeyable(f"There is no {path} here.")


_ANY_TOOL_S = frozenset((*BaseTool.model_fields, "func", "coroutine"))


def _fields(tool: BaseTool, told: Callable[[Any], str]) -> dict[str, Any]:
    """What a tool of a class of its own holds."""
    held = {name: getattr(tool, name) for name in type(tool).model_fields if name not in _ANY_TOOL_S}
    return {name: value if isinstance(value, SCALARS) else told(value) for name, value in held.items()}
