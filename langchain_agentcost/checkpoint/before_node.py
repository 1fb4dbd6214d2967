"""What is put before a node of a graph, and the wrapper by which the node sees what it made of the messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.graph import END, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict, get_type_hints, is_typeddict

from langchain_agentcost.caching.graph_fingerprint import graph_fingerprint
from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.context.memory import MAX_MEMORY_TOKENS, MemoryState, Place, with_memory
from langchain_agentcost.errors import Unkeyable

MESSAGES = "messages"
"""The channel that nodes read their messages from."""


class BeforeNode(Protocol):
    """Something that is put before a node."""

    @property
    def name(self) -> str:
        """What its node's name begins with; the node that it stands before follows after a "_"."""
        ...

    @property
    def schema(self) -> type[Any] | None:
        """The channels that it keeps its own state in: they are added to the graph's. None where it keeps none."""
        ...

    def node(self) -> Runnable[Any, Any] | None:
        """What runs before the node and writes to the state, such as a plan; None where nothing has to."""
        ...

    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> Sequence[BaseMessage]:
        """Give the messages that the node sees: a pure function, which changes none of them.

        Args:
            messages: Those of the state, or of what is put before the node earlier.
            state: The state, with the channels of `schema`.
        """
        ...


class MemoryBefore:
    """Says the working memory at the end of a node's messages.

    Args:
        max_tokens: How long it may be.
        place: Where it is said; see `with_memory`.
    """

    name = "memory"
    schema: type[Any] | None = MemoryState

    def __init__(self, *, max_tokens: int = MAX_MEMORY_TOKENS, place: Place = "last") -> None:
        self._max_tokens = max_tokens
        self._place: Place = place

    def node(self) -> None:
        """Nothing has to run before."""

    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> Sequence[BaseMessage]:
        """Give the messages with the memory at their end."""
        return with_memory(messages, state.get("working_memory"), max_tokens=self._max_tokens, place=self._place)


def put_before(builder: StateGraph[Any, Any, Any, Any], node: str, several: Sequence[BeforeNode]) -> None:
    """Put things before a node, in their order, and wrap the node so that it sees what they made of its messages.

    Edges and branches that lead to the node lead to the first of them; what a `Send` or a `Command` starts by the
    node's name starts at once, and still sees the messages as the latest plan has them.

    Args:
        builder: The graph, before it is compiled.
        node: The node's name.
        several: What is put before it.
    """
    spec, following = builder.nodes[node], node
    ours = [before.schema for before in several if before.schema is not None]
    for schema in (*ours, joined := _joined(spec.input_schema, ours)):
        _know(builder, schema)
    hidden = frozenset(get_type_hints(joined)) - frozenset(get_type_hints(spec.input_schema))
    inner = cast("Runnable[Any, Any]", spec.runnable)
    seeing: Any = Seeing(inner, several, hidden, value=partial(_values_of, several, inner))
    builder.nodes[node] = replace(spec, runnable=seeing, input_schema=joined)
    for before in reversed(several):
        runnable, name = before.node(), f"{before.name}_{node}"
        if runnable is None:
            continue
        own = [before.schema] if before.schema is not None else []
        node_before = Seeing(runnable, (), frozenset(), value=partial(_values_of, [before]))
        builder.add_node(name, node_before, input_schema=_joined(builder.state_schema, own))
        _lead_to(builder, following, name)
        builder.add_edge(name, following)
        following = name


class Seeing(RunnableLambda[Any, Any]):
    """A node that sees its messages as they were made for it; LangGraph finds a graph inside it.

    Args:
        inner: The node.
        several: What makes them.
        hidden: Channels that the node's own state does not have.
        value: What it does, for the caches of other nodes: asked when the first of them is asked for.
    """

    def __init__(
        self,
        inner: Runnable[Any, Any],
        several: Sequence[BeforeNode],
        hidden: frozenset[str],
        *,
        value: Callable[[], Sequence[str]],
    ) -> None:
        super().__init__(self._run, self._arun, name=inner.get_name())
        self.inner = inner
        self._several = several
        self._hidden = hidden
        self._value = value

    @property
    def __agentcost_fingerprint__(self) -> str:
        """What `graph_fingerprint` takes it for: its name is `FINGERPRINT`.

        Raises:
            Unkeyable: If the node itself has no value.
        """
        return keyed("before", *self._value())

    @property
    def deps(self) -> list[Runnable[Any, Any]]:
        """The node: where LangGraph looks for subgraphs."""
        return [self.inner]

    def _run(self, state: Any, config: RunnableConfig) -> Any:
        return self.inner.invoke(self._seen(state), config)

    async def _arun(self, state: Any, config: RunnableConfig) -> Any:
        return await self.inner.ainvoke(self._seen(state), config)

    def _seen(self, state: Any) -> Any:
        """The state as the node is given it."""
        channels = _channels(state)
        messages = channels.get(MESSAGES)
        if not self._several or not isinstance(messages, list):
            return state
        for before in self._several:
            messages = list(before.view(messages, channels))
        if isinstance(state, BaseModel):
            return state.model_copy(update={MESSAGES: messages})
        if is_dataclass(state) and not isinstance(state, type):
            return replace(state, **{MESSAGES: messages})
        return {**{name: value for name, value in state.items() if name not in self._hidden}, MESSAGES: messages}


def _values_of(several: Sequence[BeforeNode], *inner: Runnable[Any, Any]) -> list[str]:
    return [*map(graph_fingerprint, inner), *map(_value_of, several)]


def _value_of(before: BeforeNode) -> str:
    """What something before a node does: its parts, where they have a value. Models and clients need have none."""
    try:
        return graph_fingerprint(before)
    except Unkeyable:
        return f"{type(before).__module__}.{type(before).__qualname__}"


def _know(builder: StateGraph[Any, Any, Any, Any], schema: type[Any]) -> None:
    """Add a schema's channels to a graph: LangGraph takes them with a node that has it as its input. The node goes."""
    name = f"agentcost_{schema.__name__}"
    builder.add_node(name, RunnableLambda(lambda _: {}), input_schema=schema)
    del builder.nodes[name]


def _joined(schema: type[Any], others: Sequence[type[Any]]) -> type[Any]:
    """A state that has the channels of several. One that is no TypedDict has its own fields, and those only."""
    if not others or not is_typeddict(schema):
        return schema
    hints = {name: hint for one in (*others, schema) for name, hint in get_type_hints(one, include_extras=True).items()}
    joined: type[Any] = TypedDict(f"{schema.__name__}Seen", hints, total=False)  # type: ignore[misc]  # made at run time
    return joined


def _channels(state: Any) -> Mapping[str, Any]:
    if isinstance(state, Mapping):
        return state
    if isinstance(state, BaseModel):
        return {name: getattr(state, name) for name in type(state).model_fields}
    if is_dataclass(state):
        return {f.name: getattr(state, f.name) for f in fields(state)}
    return {}


class _Ends(dict[Any, str]):
    """Where a branch leads: to the node that it names, but for one."""

    def __missing__(self, key: str) -> str:
        return key


def _lead_to(builder: StateGraph[Any, Any, Any, Any], node: str, first: str) -> None:
    """Let everything that leads to a node lead to another one."""
    for edge in [edge for edge in builder.edges if edge[1] == node]:
        builder.edges.remove(edge)
        builder.edges.add((edge[0], first))
    for starts, end in [edge for edge in builder.waiting_edges if edge[1] == node]:
        builder.waiting_edges.remove((starts, end))
        builder.waiting_edges.add((starts, first))
    for branches in builder.branches.values():
        for name, branch in branches.items():
            ends = branch.ends or {end: end for end in (*builder.nodes, END) if end != first}
            led = _Ends({label: first if end == node else end for label, end in ends.items()})
            branches[name] = branch._replace(ends=led)
