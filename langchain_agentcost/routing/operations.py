"""What is bound to a router: recorded, and done again on the tier that is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_agentcost.answer_caps import CAPS
from langchain_agentcost.chat_model import bound_to, config_of, unbound
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.handoff import settings_for, tools_for
from langchain_agentcost.routing.tier import Tier

_BOUND_KEPT = 256


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a chat model that was called on the router.

    Args:
        method: "bind_tools", "bind" or "with_structured_output".
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def on(self, model: Any, tier: Tier) -> Any:
        """Do it on a tier's model."""
        args, kwargs = self.args, settings_for(self.kwargs, tier.model)
        if self.method == "bind_tools" and args:
            args = (tools_for(args[0], tier.model), *args[1:])
        method = getattr(model, self.method, None)
        if method is None:
            raise RoutingError(
                f"The model of tier {tier.name!r}, a {type(model).__name__}, has no {self.method}: give the tier the "
                "chat model, and wrap the router instead, as in router.with_retry()."
            )
        return method(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the operations say of every call.

    Args:
        tools: The names of the bound tools.
        schemas: Their descriptions.
        forced_tool: The tool that has to be called.
        schema: The name of the structured output.
        settings: What else is sent.
        max_output_tokens: The longest answer; None where nothing caps it.
    """

    tools: tuple[str, ...] = ()
    schemas: tuple[Any, ...] = ()
    forced_tool: str | None = None
    schema: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_output_tokens: int | None = None


class Operations:
    """A queue of operations, and the tiers' models with them done.

    Queues that were made one from the other share what they have bound, so that a graph that binds its tools anew at
    each step does not bind each tier anew.

    Args:
        queue: The operations, first to last.
        bound: What was bound before.
    """

    def __init__(self, queue: tuple[Operation, ...] = (), bound: _Bound | None = None) -> None:
        self.queue = queue
        self._bound = bound if bound is not None else Recent(_BOUND_KEPT)
        self._facts: Facts | None = None

    def then(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Operations:
        """Give a queue with one more operation."""
        kept = (list(args[0]), *args[1:]) if method == "bind_tools" and args else tuple(args)
        return Operations((*self.queue, Operation(method, kept, dict(kwargs))), self._bound)

    @property
    def facts(self) -> Facts:
        """What the operations say of every call; worked out once."""
        if self._facts is None:
            key = ("", *map(_key, self.queue))
            known = self._bound.get(key)
            self._facts = known[1] if known is not None else facts_of(self.queue)
            self._bound.put(key, (self.queue, self._facts))
        return self._facts

    def on(self, tier: Tier) -> Runnable[Any, Any]:
        """Give a tier's model with the operations done."""
        if not self.queue:
            model: Runnable[Any, Any] = tier.model
            return model
        key = (tier.name, *map(_key, self.queue))
        known = self._bound.get(key)
        if known is None:
            known = (self.queue, self._made(tier))
            self._bound.put(key, known)
        bound: Runnable[Any, Any] = known[1]
        return bound

    def _made(self, tier: Tier) -> Any:
        """The tier's model with the operations done; what was bound to it before stays bound."""
        inner = unbound(tier.model)
        made = reduce(lambda model, operation: operation.on(model, tier), self.queue, inner)
        given = {name for operation in self.queue for name in operation.kwargs} | {"tools"}
        own = {name: value for name, value in bound_to(tier.model).items() if name not in given}
        if inner is tier.model:
            return made
        return RunnableBinding(bound=made, kwargs=own, config=config_of(tier.model))


_Bound = Recent[tuple[Any, ...], tuple[tuple[Operation, ...], Any]]
"""What was made of which operations. They are kept beside it, so that no other object can get an argument's id."""


def facts_of(queue: Sequence[Operation]) -> Facts:
    """Read what operations say of every call."""
    tools: list[Any] = []
    settings: dict[str, Any] = {}
    schema: str | None = None
    for operation in queue:
        given = dict(operation.kwargs)
        if operation.method == "bind_tools":
            tools = list(operation.args[0] if operation.args else given.pop("tools", ()))
        elif operation.method == "with_structured_output":
            schema = name_of(operation.args[0] if operation.args else given.pop("schema", None))
            continue
        tools = list(given.pop("tools", tools))
        settings.update(given)
    return with_settings(Facts(schemas=tuple(tools), tools=tuple(map(name_of, tools)), schema=schema), settings)


def with_settings(facts: Facts, settings: Mapping[str, Any]) -> Facts:
    """Give facts with what one call sends beside them."""
    if not settings:
        return facts
    every = {**facts.settings, **settings}
    schemas = tuple(settings["tools"]) if "tools" in settings else facts.schemas
    tools = tuple(map(name_of, schemas)) if "tools" in settings else facts.tools
    cap = next((every[name] for name in CAPS if isinstance(every.get(name), int)), None)
    return Facts(
        tools=tools,
        schemas=schemas,
        forced_tool=_forced(every.get("tool_choice"), tools),
        schema=facts.schema,
        settings=every,
        max_output_tokens=cap,
    )


def name_of(tool: Any) -> str:
    """Name a tool or schema as a model is told of it."""
    if isinstance(tool, Mapping) and not {"type", "function", "title", "parameters", "name"} & tool.keys():
        return "a tool"
    if isinstance(tool, Mapping) and "type" in tool and "function" not in tool and tool.get("type") != "object":
        return str(tool.get("name") or tool["type"])  # a provider's own tool, such as web_search
    try:
        return str(convert_to_openai_tool(tool)["function"]["name"])
    except Exception:  # noqa: BLE001  # whatever it is, the tier's own model takes or refuses it
        return str(getattr(tool, "__name__", type(tool).__name__))


def _forced(choice: Any, tools: Sequence[str]) -> str | None:
    """The one tool that a call has to make; None where the model may choose."""
    if isinstance(choice, Mapping):
        named = choice.get("name") or (choice.get("function") or {}).get("name")
        return str(named) if named else None
    if choice in ("any", "required", True):
        return tools[0] if len(tools) == 1 else None
    return choice if isinstance(choice, str) and choice in tools else None


def _key(thing: Any) -> Any:
    """Tell operations apart: plain values by what they are, all others by which object they are."""
    if isinstance(thing, Operation):
        return (thing.method, _key(thing.args), _key(thing.kwargs))
    if isinstance(thing, str | int | float | bool | None):
        return (type(thing).__name__, thing)  # 1 and True are equal, and not the same to a provider
    if isinstance(thing, list | tuple):
        return tuple(map(_key, thing))
    if isinstance(thing, Mapping):
        return tuple((name, _key(value)) for name, value in thing.items())
    return id(thing)
