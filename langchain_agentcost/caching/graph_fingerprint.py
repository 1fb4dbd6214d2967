"""What a graph does, as one hash: nodes, edges, the code of its functions, what they captured, models, reducers."""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import Future
from contextvars import ContextVar
from enum import Enum
from functools import cached_property, lru_cache, partial
from logging import Logger
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, ForwardRef, TypeVar, get_args, get_origin

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseLanguageModel
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from langchain_agentcost.caching.keys import keyed, model_fingerprint
from langchain_agentcost.caching.plain import MAX_DEPTH, plain_json
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.singleflight import SingleFlight
from langchain_agentcost.errors import Unkeyable

MAX_PARTS = 50_000
"""A graph that is made of more than this captured a data set; it needs a version."""

FINGERPRINT = "__agentcost_fingerprint__"
"""The attribute by which an object says itself what it is, as a text."""


def graph_fingerprint(graph: Any, *, version: str = "") -> str:
    """Hash what a graph does, as it is now: values that it captured and that change later have changed too late.

    Two graphs with one fingerprint have equal nodes, edges, reducers and models, and functions of equal code that
    captured equal values. Of functions in the user's own modules, the globals that they name go in as well; of those in
    installed packages they do not. What nodes read from outside, such as files, stores and services, is not in it.

    Args:
        graph: A compiled graph, or the `StateGraph` that it is compiled from.
        version: The user's own version. Where one is given, objects without a value of their own, such as clients,
            count by their class.

    Returns:
        64 hexadecimal digits.

    Raises:
        Unkeyable: If a part has no value of its own, and no version is given.

    Example:
        >>> def build(text):
        ...     return StateGraph(dict).add_node("say", lambda state: {"said": text}).add_edge("__start__", "say")
        >>> graph_fingerprint(build("a")) == graph_fingerprint(build("a").compile())
        True
        >>> graph_fingerprint(build("a")) == graph_fingerprint(build("b"))
        False
    """
    said = getattr(graph, FINGERPRINT, None)
    described = said if isinstance(said, str) else plain_json(_Description(lenient=bool(version)).of(graph))
    return keyed("graph", version, described)


class _Description:
    """Writes objects as plain lists. What was written before is a number: cycles end, and sharing is part of it.

    Args:
        lenient: Whether what has no value counts by its class, rather than being an error.
    """

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no later object has the id of one that is gone
        self._parts = 0
        self._depth = 0

    def of(self, value: Any) -> Any:
        if isinstance(builder := getattr(value, "builder", None), StateGraph):
            value = builder  # a graph is what it was compiled from
        self._parts += 1
        if self._parts > MAX_PARTS or self._depth > 8 * MAX_DEPTH:
            raise Unkeyable(f"The graph is made of more than {MAX_PARTS} parts. {_ADVICE}")
        if value is None or isinstance(value, str | bool | int | float | bytes):
            return plain_json(value)
        if id(value) in self._seen:
            return ["again", self._seen[id(value)]]
        if not isinstance(value, tuple | frozenset | CodeType):  # equal constants may be one object, or not
            self._seen[id(value)] = len(self._seen)
            self._kept.append(value)
        self._depth += 1
        try:
            kind: type = type(value)
            return _writer(kind)(self, value)
        finally:
            self._depth -= 1

    def sequence(self, values: Any) -> Any:
        return [type(values).__name__, *map(self.of, values)]

    def mapping(self, values: Mapping[Any, Any]) -> Any:
        """In the order of the keys, where those are texts: what a cache finds must not depend on the order of setup."""
        if all(isinstance(key, str) for key in values):
            return ["mapping", *([key, self.of(values[key])] for key in sorted(values))]
        return ["mapping", *([self.of(key), self.of(value)] for key, value in values.items())]

    def members(self, values: Set[Any]) -> Any:
        return ["set", *sorted((self.of(value) for value in values), key=plain_json)]

    def function(self, function: FunctionType) -> Any:
        described = [
            "function",
            function.__qualname__,
            self.code(function.__code__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            [self.of(value) for value in _captured(function)],
        ]
        if not _is_library(function.__module__):
            described.append([[name, self.of(value)] for name, value in _globals(function)])
        return described

    def method(self, method: MethodType) -> Any:
        return ["method", self.of(method.__func__), self.of(method.__self__)]

    def builtin(self, function: BuiltinFunctionType) -> Any:
        owner = function.__self__
        return ["builtin", function.__qualname__, owner.__name__ if isinstance(owner, ModuleType) else self.of(owner)]

    def partial(self, call: partial[Any]) -> Any:
        return ["partial", self.of(call.func), self.of(call.args), self.of(call.keywords)]

    def code(self, code: CodeType) -> Any:
        """Code without the places it stands at."""
        constants = [self.code(part) if isinstance(part, CodeType) else self.of(part) for part in code.co_consts]
        return ["code", plain_json(code.co_code), [*code.co_names, "/", *code.co_varnames], constants]

    def kind(self, kind: type) -> Any:
        """A class: by its name, and where it is the user's own, by its methods, constants, fields and annotations."""
        name = _name(kind)
        if _is_library(kind.__module__):
            return ["class", name]
        own = sorted((key, value) for key, value in vars(kind).items() if not _is_python_s(key))
        methods = [[key, self.of(value)] for key, value in own if isinstance(value, _METHODS)]
        constants = [[key, _constant(value)] for key, value in own if not isinstance(value, _METHODS)]
        hints = self.mapping(vars(kind).get("__annotations__", {}))
        fields = self.mapping(kind.model_fields) if issubclass(kind, BaseModel) else None
        return ["class", name, [self.of(base) for base in kind.__bases__], methods, constants, hints, fields]

    def wrapped(self, descriptor: Any) -> Any:
        inner = descriptor.fget if isinstance(descriptor, property) else descriptor.__func__
        return [type(descriptor).__name__, self.of(inner)]

    def model(self, model: BaseLanguageModel[Any]) -> Any:
        return ["model", model_fingerprint(model)]

    def builder(self, graph: StateGraph[Any, Any, Any, Any]) -> Any:
        return [
            "graph",
            [[name, self.of(spec.runnable), spec.defer] for name, spec in sorted(graph.nodes.items())],
            sorted(map(list, graph.edges)),
            sorted([sorted(starts), end] for starts, end in graph.waiting_edges),
            [[start, self.of(branches)] for start, branches in sorted(graph.branches.items())],
            [[name, self.of(channel)] for name, channel in sorted(graph.channels.items())],
        ]

    def pregel(self, graph: Pregel[Any, Any, Any, Any]) -> Any:
        """A graph that no `StateGraph` is known of, such as the functional API's."""
        nodes = [
            [name, self.of(node.bound), self.of(node.writers), sorted(node.triggers), self.of(node.channels)]
            for name, node in sorted(graph.nodes.items())
        ]
        return ["pregel", nodes, [[name, self.of(channel)] for name, channel in sorted(graph.channels.items())]]

    def named(self, value: Any) -> Any:
        """What has no say over answers, or a say that is not its value."""
        return ["named", _name(type(value)), getattr(value, "name", None) if isinstance(value, Logger) else None]

    def thing(self, value: Any) -> Any:
        """Any other object: what it says itself, else its class and its attributes, else its plain value."""
        said = getattr(value, FINGERPRINT, None)
        if isinstance(said, str):
            return ["said", said]
        if (origin := get_origin(value)) is not None:
            extra = getattr(value, "__metadata__", ())
            return ["generic", str(origin), [self.of(part) for part in (*get_args(value), *extra)]]
        if type(value) is object:
            return ["object"]
        attributes = dict(_attributes(value))
        if attributes or hasattr(value, "__dict__"):
            return ["thing", self.of(type(value)), self.mapping(attributes)]
        try:
            return plain_json(value)
        except Unkeyable as error:
            if self._lenient:
                return ["named", _name(type(value))]
            raise Unkeyable(
                f"The graph holds a {_name(type(value))}, which has no value to compare. {_ADVICE}"
            ) from error


_ADVICE = 'Give the graph a version of your own, such as version="1", and another one with every change.'

_METHODS = (FunctionType, classmethod, staticmethod, property)

_NAMED = (
    Logger, ContextVar, TypeVar, BaseCallbackHandler, BaseCheckpointSaver, BaseStore, BaseCache, Shelf, SingleFlight,
    Future, threading.Event, threading.Condition, threading.Semaphore, type(threading.Lock()), type(threading.RLock()),
    type(PydanticUndefined),
)  # fmt: skip

_OF_C = (WrapperDescriptorType, MethodDescriptorType, MethodWrapperType, ClassMethodDescriptorType)

_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[_Description, Any], Any]], ...] = (
    (_NAMED, _Description.named),
    (Enum, lambda _, value: ["enum", _name(type(value)), value.name]),
    (BaseLanguageModel, _Description.model),
    (StateGraph, _Description.builder),
    (Pregel, _Description.pregel),
    (CodeType, _Description.code),
    (FunctionType, _Description.function),
    (MethodType, _Description.method),
    (BuiltinFunctionType, _Description.builtin),
    (_OF_C, lambda _, value: ["builtin", value.__qualname__]),
    (partial, _Description.partial),
    ((classmethod, staticmethod, property), _Description.wrapped),
    (ModuleType, lambda _, value: ["module", value.__name__]),
    (type, _Description.kind),
    (ForwardRef, lambda _, value: ["forward", value.__forward_arg__]),
    (re.Pattern, lambda _, value: ["pattern", value.pattern, value.flags]),
    (Mapping, _Description.mapping),
    (Set, _Description.members),
    ((list, tuple, deque), _Description.sequence),
)
"""How an object is written, by its type; the first row that fits counts."""


@lru_cache(maxsize=4096)
def _writer(kind: type) -> Callable[[_Description, Any], Any]:
    return next((write for kinds, write in _WRITERS if issubclass(kind, kinds)), _Description.thing)


_PYTHON_S = frozenset(("__init__", "__call__", "__post_init__", "__enter__", "__exit__"))
"""The methods of double underscores that people write themselves."""


def _is_python_s(name: str) -> bool:
    return name.startswith("__") and name not in _PYTHON_S


def _constant(value: Any) -> str | None:
    """A class's constant; what is no plain value there is a descriptor or a registry, of no say."""
    try:
        return plain_json(value)
    except Unkeyable:
        return None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _captured(function: FunctionType) -> Iterator[Any]:
    """The values in a function's closure; an empty cell is a function that is not yet defined."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            yield None


def _globals(function: FunctionType) -> list[tuple[str, Any]]:
    """The globals that a function, or one inside it, names."""
    codes, names = [function.__code__], set[str]()
    for code in codes:  # grows while it is read
        names.update(code.co_names)
        codes.extend(part for part in code.co_consts if isinstance(part, CodeType))
    return [(name, function.__globals__[name]) for name in sorted(names) if name in function.__globals__]


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """An object's attributes, without what it only worked out and can work out again."""
    kind = type(value)
    for name, attribute in getattr(value, "__dict__", {}).items():
        if not isinstance(getattr(kind, name, None), cached_property):
            yield name, attribute
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                yield name, getattr(value, name)


@lru_cache(maxsize=4096)
def _is_library(module: str | None) -> bool:
    """Whether a module is Python's own, was installed, or is of this package."""
    path = getattr(sys.modules.get(module or ""), "__file__", None)
    package = (module or "").partition(".")[0]
    if module in (None, "builtins") or module in sys.builtin_module_names or package == __name__.partition(".")[0]:
        return True
    return path is not None and any(Path(path).is_relative_to(home) for home in _HOMES)


_HOMES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
