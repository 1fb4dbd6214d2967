"""The fixed part of the prompts of a compiled graph or agent, as far as it can be seen without running it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate, SystemMessagePromptTemplate
from langchain_core.runnables import Runnable, RunnableBinding, RunnableParallel, RunnableSequence
from langchain_core.tools import BaseTool
from langgraph.graph import StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from langchain_agentcost.context.lint.subject import Subject
from langchain_agentcost.context.lint.tool_parts import described, name_of

MOST_PARTS = 200
"""Items of a list or mapping that are looked at: longer ones are data."""

MOST_LOOKED_AT = 5_000
"""Objects that are looked at; a graph has some hundred."""

_PROMPT_NAMES = ("prompt", "system", "instruction")
_PROMPT_CHARS = 20


def of_graph(graph: object, *, name: str) -> tuple[Subject, ...]:
    """Read what a graph, agent or runnable sends with every call: one subject for each place that calls a model.

    It looks into `create_agent` graphs, runnables with bound tools, prompt templates, and the functions of nodes: what
    they close over, and the globals that they name, graphs too. Nothing is run. What is made while a graph runs, such
    as a prompt that a middleware writes, is not there to be seen, and is told.

    Args:
        graph: A compiled graph, or any runnable.
        name: What people call it.

    Returns:
        The subjects. Where nothing was found, one that says so.
    """
    while isinstance(graph, RunnableBinding):
        if isinstance(graph.bound, (Pregel, RunnableBinding)) and not graph.kwargs.get("tools"):
            graph = graph.bound
        else:
            break
    untouched = next((told for kind, told in _NOT_YET if isinstance(graph, kind)), None)
    if untouched is not None:
        return (Subject(name=name, unseen=(untouched,)),)
    told: list[str] = []
    subjects = list(_subjects(graph, name, set(), told))
    if subjects:
        first = subjects[0]
        return (replace(first, unseen=tuple(dict.fromkeys([*first.unseen, *told]))), *subjects[1:])
    return (Subject(name=name, unseen=("No model, system message or tool was found in it: lint its traces instead.",)),)


_NOT_YET: tuple[tuple[type, str], ...] = (
    (StateGraph, "It is a graph that is not compiled: lint what its compile() returns."),
    (FunctionType, "It is a function, and is not called here: if it makes a graph, lint what it returns."),
    (MethodType, "It is a method, and is not called here: if it makes a graph, lint what it returns."),
)
"""What may become a graph, and what to do for that."""


def _subjects(graph: object, name: str, seen: set[int], told: list[str]) -> Iterator[Subject]:
    """What the nodes of a graph send, and the graphs that they call, each once; what is told of the rest is added."""
    if isinstance(graph, Pregel):
        if id(graph) in seen:
            return
        seen.add(id(graph))
    for label, node in _nodes(graph, name):
        if isinstance(node, Pregel):
            yield from _subjects(node, label, seen, told)
            continue
        found = _Found()
        found.look(node)
        made = _subject(found, label)
        if made is not None:
            yield made
        else:
            told += found.unseen
        for called, inner in found.graphs:
            yield from _subjects(inner, f"{label} > {called or inner.get_name()}", seen, told)


def _nodes(graph: object, name: str) -> Iterator[tuple[str, object]]:
    """The nodes of a graph; anything else is one node."""
    if not isinstance(graph, Pregel):
        yield name, graph
        return
    for label, node in graph.nodes.items():
        if not isinstance(node.bound, ToolNode) and not label.startswith("__"):
            yield f"{name} > {label}", node.bound


def _subject(found: _Found, name: str) -> Subject | None:
    if found.model is None and not found.bound:
        return None
    tools: list[Mapping[str, Any]] = []
    odd = list(found.unseen)
    for tool in found.bound or found.tools:
        told = described(tool)
        if told is None:
            odd.append(f"The tool {tool!r:.80} cannot be described.")
        elif name_of(told) not in {name_of(one) for one in tools}:
            tools.append(told)
    if not found.systems:
        odd.append("No system message was found: it may be written when the node runs.")
    params = found.model._get_ls_params() if found.model is not None else {}  # noqa: SLF001  # LangChain's own names
    return Subject(
        name=name,
        system="\n\n".join(dict.fromkeys(found.systems)),
        tools=tuple(tools),
        model=params.get("ls_model_name"),
        provider=params.get("ls_provider"),
        unseen=tuple(dict.fromkeys(odd)),
    )


class _Found:
    """What was found of one node."""

    def __init__(self) -> None:
        self.model: BaseChatModel | None = None
        self.systems: list[str] = []
        self.bound: list[object] = []
        self.tools: list[object] = []
        self.graphs: list[tuple[str, Pregel[Any, Any, Any, Any]]] = []
        self.unseen: list[str] = []
        self._seen: dict[int, object] = {}  # an id is another object's once its own is gone

    def look(self, thing: object, name: str = "") -> None:
        """Look at a thing and at what it is made of."""
        waiting: list[tuple[object, str]] = [(thing, name)]
        while waiting and len(self._seen) < MOST_LOOKED_AT:
            one, called = waiting.pop()
            if id(one) not in self._seen:
                self._seen[id(one)] = one
                if not self._take(one, called):
                    waiting += reversed([(part, name or called) for part, name in _inside(one)])

    def _take(self, one: object, called: str) -> bool:
        """Keep what a prompt is made of; False where one has to look inside."""
        if isinstance(one, (SystemMessage, str, BasePromptTemplate)):
            self._take_text(one, called)
        elif isinstance(one, BaseChatModel):
            self.model = self.model or one
        elif isinstance(one, BaseTool) or (isinstance(one, Mapping) and "tools" in called and _is_tool(one)):
            self.tools.append(one)
        elif isinstance(one, Pregel):
            self.graphs.append((called, one))
        elif _asks_by_itself(one):
            self.unseen.append(_OWN_CALLS.format(type(getattr(one, "__self__", one)).__name__))
        elif isinstance(one, RunnableBinding):
            self.bound += [tool for tool in one.kwargs.get("tools") or () if tool not in self.bound]
            return False
        else:
            self._note_middleware(one)
            return isinstance(one, (bytes, int, float, type))
        return True

    def _take_text(self, one: SystemMessage | str | BasePromptTemplate[Any], called: str) -> None:
        if isinstance(one, SystemMessage):
            self.systems.append(str(one.text))
        elif isinstance(one, BasePromptTemplate):
            self.systems += _system_templates(one)
            if isinstance(one, ChatPromptTemplate) and (filled := sorted({*_variables(one)})):
                self.unseen.append(f"The system template's {', '.join(filled)} are filled in while it runs: {_ENDS}")
        elif len(one) >= _PROMPT_CHARS and any(word in called.lower() for word in _PROMPT_NAMES):
            self.systems.append(one)

    def _note_middleware(self, one: object) -> None:
        if _is_middleware(one):
            self.unseen.append(f"What the middleware {type(one).__name__} changes while the agent runs is not seen.")


_OWN_CALLS = "What the middleware {} asks a model of its own is not in front of every call, and not looked at."


def _is_middleware(one: object) -> bool:
    """By name: LangChain's agents are an extra."""
    return any(kind.__name__ == "AgentMiddleware" for kind in type(one).__mro__)


def _asks_by_itself(one: object) -> bool:
    """Whether it is a middleware with a model of its own, such as one that summarises, or a method of one."""
    one = one.__self__ if isinstance(one, MethodType) else one
    held = getattr(one, "__dict__", {}).values() if _is_middleware(one) else ()
    return any(isinstance(value, (BaseChatModel, RunnableBinding)) for value in held)


_ENDS = "what differs from call to call ends the cached prefix there."


def _is_tool(one: Mapping[Any, Any]) -> bool:
    """Whether a mapping in a list of tools is one: it has a provider's type, or a name."""
    return isinstance(one.get("type"), str) or isinstance(one.get("name"), str)


def _system_templates(prompt: BasePromptTemplate[Any]) -> list[str]:
    """The system messages of a prompt template; templates with their variables in braces."""
    if not isinstance(prompt, ChatPromptTemplate):
        return []
    found: list[str] = []
    for message in prompt.messages:
        if isinstance(message, SystemMessage):
            found.append(str(message.text))
        elif isinstance(message, SystemMessagePromptTemplate):
            parts = message.prompt if isinstance(message.prompt, list) else [message.prompt]
            found += [str(part.template) for part in parts if hasattr(part, "template")]
    return found


def _variables(prompt: ChatPromptTemplate) -> Iterator[str]:
    for message in prompt.messages:
        if isinstance(message, SystemMessagePromptTemplate):
            yield from message.input_variables


def _inside(one: object) -> Iterator[tuple[object, str]]:
    """What a thing is made of, with the names that it has there."""
    opened = next((opens for kind, opens in _OPENED if isinstance(one, kind)), None)
    if opened is not None:
        yield from opened(one)
    elif isinstance(one, Runnable) or _is_own(one):
        # Runnables keep what they run under various names (func, runnable, default, …); so do the user's own objects.
        yield from _named(getattr(one, "__dict__", {}))


def _is_own(one: object) -> bool:
    """Whether an object is of the user's own code or an agent's middleware, and not a library's inner workings."""
    module = type(one).__module__
    return not module.startswith(
        ("builtins", "langgraph", "langchain_core", "pydantic", "threading", "asyncio", "typing")
    )


def _named(mapping: Mapping[Any, object]) -> Iterator[tuple[object, str]]:
    yield from ((value, str(name)) for name, value in list(mapping.items())[:MOST_PARTS])


def _listed(parts: Iterable[object]) -> Iterator[tuple[object, str]]:
    yield from ((value, "") for value in list(parts)[:MOST_PARTS])


def _of_partial(one: partial[Any]) -> Iterator[tuple[object, str]]:
    yield one.func, ""
    yield from _listed(one.args)
    yield from _named(one.keywords)


def _of_function(function: FunctionType) -> Iterator[tuple[object, str]]:
    """What a function closes over, and the globals that it names."""
    try:
        named = inspect.getclosurevars(function)
    except (TypeError, ValueError):
        return
    yield from ((value, name) for name, value in named.nonlocals.items())
    for name, value in named.globals.items():
        if not inspect.ismodule(value) and not inspect.isclass(value) and _worth_a_look(value, function):
            yield value, name
    yield from ((one, "system") for one in function.__code__.co_consts if isinstance(one, str) and _is_prompt(one))


def _worth_a_look(value: object, function: FunctionType) -> bool:
    """Whether a global may hold a prompt: a function does where it is of the same module."""
    return not isinstance(value, FunctionType) or value.__module__ == function.__module__


def _is_prompt(text: str) -> bool:
    """Whether a text that is written in a function looks like an instruction, and not like its documentation."""
    return text.startswith(("You are ", "You're ")) and len(text) >= _PROMPT_CHARS


_OPENED: tuple[tuple[Any, Callable[[Any], Iterable[tuple[object, str]]]], ...] = (
    (RunnableSequence, lambda one: _listed(one.steps)),
    (RunnableParallel, lambda one: _named(one.steps__)),
    (RunnableBinding, lambda one: _listed([one.bound])),
    (FunctionType, _of_function),
    (MethodType, lambda one: _listed([one.__func__, one.__self__])),
    (partial, _of_partial),
    (Mapping, _named),
    ((Sequence, set, frozenset), _listed),
)
"""How things are opened, by what they are; the first that fits counts."""
