"""What was spent from each checkpoint: a call belongs to the checkpoint that its graph's superstep started from.

LangGraph hands every task the ids of the checkpoints that it runs from, one for each graph around it. That is exact
where time is not: checkpoints are saved in the background, while the calls of the next superstep are already made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields
from os import getpid
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple, Self, TypeVar
from uuid import UUID, uuid4

from langchain_core.runnables.config import var_child_runnable_config

from langchain_agentcost.ledger.entry import PAID_KINDS, Entry
from langchain_agentcost.recent import Recent

MAX_GRAPHS = 10_000
"""How many threads and subgraphs are remembered at once."""

MAX_CHECKPOINTS = 1_000
"""How many checkpoints of one of them."""


@dataclass(frozen=True, slots=True)
class Spent:
    """An amount of work, summable.

    Args:
        cost_nano: What is known of its cost, in nano-USD. Look at `unpriced_calls` before you trust it.
        llm_calls: Model calls that reached a provider, failed ones included.
        tool_calls: Tool calls.
        input_tokens: Tokens sent to models.
        output_tokens: Tokens received from them.
        unpriced_calls: Model and embedding calls whose cost is not known.

    Example:
        >>> sum([Spent(cost_nano=5, llm_calls=1), Spent(cost_nano=7, llm_calls=1)], Spent()).cost_nano
        12
    """

    cost_nano: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced_calls: int = 0

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """What a line of the ledger says was spent. A hit of a cache spends nothing."""
        if entry.kind == "cache_hit":
            return cls()
        usage = entry.usage
        return cls(
            cost_nano=entry.cost.total_nano if entry.cost is not None else 0,
            llm_calls=int(entry.kind == "llm"),
            tool_calls=int(entry.kind == "tool"),
            input_tokens=usage.input_tokens if usage is not None else 0,
            output_tokens=usage.output_tokens if usage is not None else 0,
            unpriced_calls=int(entry.kind in PAID_KINDS and entry.cost is None),
        )

    def __add__(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(*(getattr(self, name) + getattr(other, name) for name in AMOUNTS))

    def __sub__(self, other: Spent) -> Spent:
        """What is left of it without the other; an amount may be negative."""
        return Spent(*(getattr(self, name) - getattr(other, name) for name in AMOUNTS))

    def at_least(self, other: Spent) -> Spent:
        """The greater of both, amount by amount."""
        return Spent(*(max(getattr(self, name), getattr(other, name)) for name in AMOUNTS))

    def __bool__(self) -> bool:
        """Whether anything was spent."""
        return any(getattr(self, name) for name in AMOUNTS)


AMOUNTS: tuple[str, ...] = tuple(f.name for f in fields(Spent))
"""The names of its amounts, in order."""

Run = TypeVar("Run", bound=Hashable)

ByRun = Mapping[str, Spent]
"""What was spent, by workflow run, in the order in which they came."""


def together(several: Iterable[Mapping[Run, Spent]]) -> dict[Run, Spent]:
    """Add what runs spent up, by run."""
    total: dict[Run, Spent] = {}
    for by_run in several:
        for run, spent in by_run.items():
            total[run] = total.get(run, Spent()) + spent
    return total


class Place(NamedTuple):
    """Where in its graphs a call is made.

    Args:
        thread: The thread.
        checkpoints: For each graph around it, by namespace ("" is the outermost), the checkpoint that it runs from.
        checkpointer: What saves them; None where it is not known.
        invocation: The graph's run; see `invocation_of`. None where it is not known.
    """

    thread: str
    checkpoints: Mapping[str, str]
    checkpointer: object = None
    invocation: Hashable | None = None

    @classmethod
    def here(cls, metadata: Mapping[str, Any] | None) -> Self | None:
        """Where this code runs; None where there is no thread.

        Args:
            metadata: A callback's. In a raw thread nothing but it knows the thread.
        """
        configurable = (var_child_runnable_config.get() or {}).get("configurable") or {}
        thread = configurable.get("thread_id", (metadata or {}).get("thread_id"))
        if thread is None:
            return None
        checkpoints = configurable.get("checkpoint_map") or {"": ""}
        return cls(str(thread), checkpoints, configurable.get(_CHECKPOINTER), invocation_of(configurable))


def invocation_of(configurable: Mapping[str, Any]) -> Hashable | None:
    """The run of the outermost graph that a config belongs to; None where it belongs to none, as with `update_state`.

    Tasks, and the loop that saves checkpoints, are handed different configs, and both have the run's `RunControl`. It
    is kept itself and not its id, which another one could be given later.
    """
    control: Hashable | None = getattr(configurable.get(_RUNTIME), "control", None)
    return control


_CHECKPOINTER, _RUNTIME = "__pregel_checkpointer", "__pregel_runtime"
"""Where LangGraph hands its checkpointer and its runtime down. They have no public names."""


class Taker(NamedTuple):
    """Who saves a checkpoint.

    Args:
        invocation: The graph's run; see `invocation_of`.
        root: The root run that the graph was started in; None where it is the root itself, or that is not known.
        is_under_way: Whether a root run has not ended.
    """

    invocation: Hashable | None = None
    root: UUID | None = None
    is_under_way: Callable[[UUID], bool] = lambda _: False


class CheckpointSpend:
    """Keeps what was spent from each checkpoint of one store until the next checkpoint is saved, which takes it.

    Safe for threads.

    Example:
        >>> spend = CheckpointSpend()
        >>> spend.note(Place("t", {"": "c1"}), "run", Spent(llm_calls=1))
        >>> [len(spend.take("t", "", parent="c1", before=child, by=Taker())) for child in ("c2", "c3")]
        [1, 0]
    """

    def __init__(self) -> None:
        self._name = uuid4()
        self._lock = Lock()
        self._graphs: Recent[tuple[str, str], _Graph] = Recent(MAX_GRAPHS)

    @property
    def by(self) -> str:
        """The name of what is noted here: a forked child notes under one of its own."""
        return f"{self._name}:{getpid()}"

    def note(self, place: Place | None, run: str, spent: Spent, *, root: UUID | None = None) -> None:
        """Note what a call has spent, for every graph that it is in.

        Args:
            place: Where it was made.
            run: Its workflow run.
            spent: What it has spent.
            root: Its root run: a workflow run that waited for a person goes on in another one.
        """
        if place is None or not spent:
            return
        with self._lock:
            for namespace, checkpoint in place.checkpoints.items():
                graph = self._graph(place.thread, namespace)
                graph.note(checkpoint, {run: spent}, root)
                if place.invocation is not None and root is not None:
                    graph.roots.put(place.invocation, root)

    def looked_up(self, thread: str) -> None:
        """Note that a thread's state was asked for, as each run does when it starts."""
        with self._lock:
            self._graph(thread, "").looked_up = perf_counter()

    def last_looked_up(self, thread: str) -> float | None:
        """When a thread's state was last asked for, on a clock that goes forward; None if it never was."""
        with self._lock:
            graph = self._graphs.get((thread, ""))
            return graph.looked_up if graph is not None else None

    def saw(self, thread: str, namespace: str, checkpoint: str) -> None:
        """Note that a checkpoint is in the store: nobody but a child of it takes what is spent from it."""
        with self._lock:
            self._graph(thread, namespace).stored.put(checkpoint, True)  # noqa: FBT003  # a set with a bound

    def take(self, thread: str, namespace: str, *, parent: str | None, before: str, by: Taker) -> dict[str, Spent]:
        """Take what a checkpoint that is saved now has to account for: each amount is taken once.

        That is what was spent from its parent; from checkpoints between them that were never saved, as with durability
        "exit"; and what is known too late for its own. What was spent in a root run that is still under way is left to
        that run: two may be on one thread at once.

        Args:
            thread: The thread.
            namespace: The graph in it.
            parent: The checkpoint before; None for the first one.
            before: The checkpoint that is saved. Ids are in the order of time.
            by: Who saves it.
        """
        with self._lock:
            return self._graph(thread, namespace).take(parent, before, by)

    def give_back(self, thread: str, namespace: str, spent: ByRun, *, parent: str | None, lost: str) -> None:
        """Take back what a checkpoint had taken that could not be saved: the next child of its parent takes it."""
        with self._lock:
            graph = self._graph(thread, namespace)
            graph.stored.pop(lost)
            graph.taken.pop(parent or _LATE)
            graph.note(parent or _LATE, spent)

    def unsaved(self, thread: str, checkpoint: str) -> dict[str, Spent]:
        """What was spent from a checkpoint of the outermost graph since this was last asked, and is not taken yet."""
        with self._lock:
            return self._graph(thread, "").unsaved.pop(checkpoint, {})

    def left(self, thread: str, before: str | None) -> Spent:
        """What a thread spent from checkpoints of its outermost graph that have no child to account for it.

        Args:
            thread: The thread.
            before: The checkpoint that is saved now: what was spent from it already is none of its own cost. None where
                none is saved.
        """
        with self._lock:
            graph = self._graph(thread, "")
            left = [graph.spent[at] for at in graph.spent if at != before and (graph.stored.get(at) or at == _LATE)]
        return sum((spent for amounts in left for spent in amounts.values()), Spent())

    def forget(self, thread: str) -> None:
        """Forget a thread: it was deleted."""
        with self._lock:
            self._graphs.pop((thread, ""))

    def _graph(self, thread: str, namespace: str) -> _Graph:
        graph = self._graphs.get((thread, namespace))
        if graph is None:
            graph = _Graph()
            self._graphs.put((thread, namespace), graph)
        return graph


_LATE = ""
"""Where amounts are kept whose checkpoint is not known, or has a child already: what takes it may be another's."""


class _Payer(NamedTuple):
    """Who spent an amount: a workflow run, and the root run that it went on in then."""

    run: str
    root: UUID | None


class _Graph:
    """One graph of one thread."""

    __slots__ = ("looked_up", "roots", "spent", "stored", "taken", "unsaved")

    def __init__(self) -> None:
        self.looked_up = 0.0
        self.spent: dict[str, dict[_Payer, Spent]] = {}
        self.unsaved: dict[str, dict[str, Spent]] = {}
        self.stored: Recent[str, bool] = Recent(MAX_CHECKPOINTS)
        self.taken: Recent[str, bool] = Recent(MAX_CHECKPOINTS)
        self.roots: Recent[Hashable, UUID] = Recent(MAX_CHECKPOINTS)
        """The root run of each invocation that spent something."""

    def note(self, checkpoint: str, spent: ByRun, root: UUID | None = None) -> None:
        kept = _LATE if self.taken.get(checkpoint) else checkpoint
        paid = {_Payer(run, root): amount for run, amount in spent.items()}
        self.spent[kept] = together((self.spent.get(kept, {}), paid))
        self.unsaved[kept] = together((self.unsaved.get(kept, {}), spent))
        for amounts in (self.spent, self.unsaved):
            if len(amounts) > MAX_CHECKPOINTS:  # of a graph that nobody checkpoints
                del amounts[next(iter(amounts))]

    def take(self, parent: str | None, before: str, by: Taker) -> dict[str, Spent]:
        due = [checkpoint for checkpoint in self.spent if self._is_due(checkpoint, parent, before)]
        for checkpoint in filter(None, (*due, parent)):
            self.taken.put(checkpoint, True)  # noqa: FBT003  # a set with a bound
            self.unsaved.pop(checkpoint, None)
        spent = together([self.spent.pop(checkpoint) for checkpoint in due])
        mine = {payer for payer in spent if self._is_of(payer.root, by)}
        if others := {payer: amount for payer, amount in spent.items() if payer not in mine}:
            self.spent[_LATE] = others
        return together({payer.run: amount} for payer, amount in spent.items() if payer in mine)

    def _is_of(self, root: UUID | None, by: Taker) -> bool:
        """Whether nobody but the taker can account for what was spent in a root run."""
        own = self.roots.get(by.invocation) if by.invocation is not None else None
        return root is None or root in (own, by.root) or not by.is_under_way(root)

    def _is_due(self, checkpoint: str, parent: str | None, before: str) -> bool:
        if checkpoint in (_LATE, parent):
            return True
        return checkpoint < before and not self.stored.get(checkpoint)
