"""What was spent from checkpoints, store by store: a thread's id says nothing of the store that the thread is in."""

from __future__ import annotations

from threading import Lock
from weakref import ref

from langchain_agentcost.meter.checkpoint_spend import CheckpointSpend, Place, Spent
from langchain_agentcost.meter.runs import WorkflowRun


class StoreSpends:
    """Keeps a `CheckpointSpend` for each checkpointer that keeps threads. Safe for threads.

    What wraps such a checkpointer and is given to graphs in its place says whose spend it takes: its attribute `spend`.

    Example:
        >>> class Saver:
        ...     pass
        >>> one, other, spends = Saver(), Saver(), StoreSpends()
        >>> spends.of(one) is spends.of(one), spends.of(one) is spends.of(other)
        (True, False)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._of: dict[int, tuple[ref[object], CheckpointSpend]] = {}
        """By the checkpointer's id: one may compare by what is in it, and have no hash."""

    def of(self, store: object) -> CheckpointSpend:
        """Give what was spent from the checkpoints of a store, as long as that is there."""
        with self._lock:
            for key in [key for key, (alive, _) in self._of.items() if alive() is None]:
                del self._of[key]
            if id(store) not in self._of:
                self._of[id(store)] = (ref(store), CheckpointSpend())
            return self._of[id(store)][1]

    def note(self, place: Place | None, run: WorkflowRun, spent: Spent) -> None:
        """Note what a call has spent, for the store that its graph is kept in."""
        spend = self._at(place) if place is not None and spent else None
        if spend is not None:
            spend.note(place, run.id, spent, root=run.root_id)

    def _at(self, place: Place) -> CheckpointSpend | None:
        """The store of a call. Where nothing says it, as in a raw thread, it is the one last asked for the thread."""
        with self._lock:
            known = [spend for alive, spend in self._of.values() if alive() is not None]
        stated = getattr(place.checkpointer, "spend", None)
        if any(spend is stated for spend in known):
            return stated
        asked = [(spend.last_looked_up(place.thread) or 0.0, spend) for spend in known]
        return max(asked, key=lambda found: found[0], default=(0.0, None))[1]
