"""What is known of threads and of what they have spent, and the stamp of each checkpoint that is saved."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple

from langchain_agentcost.checkpoint.stamp import TOTAL, Owned, Stamp
from langchain_agentcost.checkpoint.unfinished import Unfinished, spent_elsewhere
from langchain_agentcost.meter import CostMeter, active_meters
from langchain_agentcost.meter.checkpoint_spend import Spent, Taker, invocation_of, together
from langchain_agentcost.meter.store_spends import StoreSpends
from langchain_agentcost.recent import Recent

NOT_A_RUN = ("update", "fork")
"""Sources of checkpoints that no superstep leads to: nothing has to be metered for them."""


class At(NamedTuple):
    """Which checkpoint a config names.

    Args:
        thread: The thread.
        namespace: The graph in it; "" is the outermost.
        checkpoint: The checkpoint; None is the latest.
    """

    thread: str
    namespace: str
    checkpoint: str | None

    @classmethod
    def of(cls, config: RunnableConfig) -> At:
        """Read it."""
        configurable = config.get("configurable") or {}
        checkpoint = configurable.get("checkpoint_id")
        return cls(str(configurable.get("thread_id")), configurable.get("checkpoint_ns") or "", checkpoint or None)

    @property
    def config(self) -> RunnableConfig:
        """A config that names it."""
        named = {"thread_id": self.thread, "checkpoint_ns": self.namespace}
        if self.checkpoint is not None:
            named["checkpoint_id"] = self.checkpoint
        return {"configurable": named}


class Known(NamedTuple):
    """A checkpoint that was read or saved here.

    Args:
        stamp: Its stamp; what is assumed where it has none.
        stamped: Whether it has one.
        elsewhere: What other processes spent from it that no checkpoint accounts for, by workflow run.
    """

    stamp: Stamp
    stamped: bool
    elsewhere: Mapping[str, Spent]


class Learned(NamedTuple):
    """What a thread has spent, in this process and in others.

    Args:
        thread: The thread.
        run: The latest workflow run in it; None where none is known.
    """

    thread: Owned
    run: Owned | None


NOTHING = Known(Stamp(), stamped=False, elsewhere={})
"""Before a thread's first checkpoint."""


class ThreadCosts:
    """Works out stamps. It reads and writes no store: whoever owns one tells it what was read. Safe for threads.

    Args:
        meter: Who knows what was spent.
        store: What keeps the threads: those of another one may have the same ids.
    """

    def __init__(self, meter: CostMeter, store: object) -> None:
        self.meter = meter
        books = meter.books
        books.spend = books.spend or StoreSpends()
        self.spend = books.spend.of(store)
        self._store = store  # what is copied from its checkpointer may be all that is left of that one
        self._lock = Lock()
        self._known: Recent[At, Known] = Recent()
        self._totals: Recent[str, Spent] = Recent()
        self._own: Recent[str, Spent] = Recent()
        self._settled: Recent[At, bool] = Recent()
        """Checkpoints whose unfinished superstep a child accounts for."""
        self._last: Recent[At, tuple[Known, Mapping[str, Spent]]] = Recent()
        """What checkpoints were stamped by, should they not be saved: their parent, and what they took."""

    def looked_up(self, config: RunnableConfig) -> None:
        """Note that a thread's state is asked for."""
        self.spend.looked_up(At.of(config).thread)

    def read(self, saved: CheckpointTuple, *, latest: bool) -> Learned | None:
        """Note a checkpoint that was read.

        Args:
            saved: The checkpoint.
            latest: Whether it is its graph's latest one: only then its unfinished superstep is accounted for nowhere.

        Returns:
            What its thread has spent in all, where not all of that was spent here; None where it was.
        """
        at = At.of(saved.config)._replace(checkpoint=saved.checkpoint["id"])
        stamp = Stamp.of(saved.metadata)
        elsewhere: Mapping[str, Spent] = {}
        if latest and not at.namespace and not self._settled.get(at):
            elsewhere = spent_elsewhere(saved, here=self.spend.by, thread=at.thread)
        with self._lock:
            before = self._known.get(at)
            if before is not None and not latest:
                return None
            self._known.put(at, Known(stamp or _assumed(saved), stamped=stamp is not None, elsewhere=elsewhere))
            self.spend.saw(at.thread, at.namespace, saved.checkpoint["id"])
            return self._learned(at, stamp, elsewhere) if not at.namespace else None

    def lacks(self, config: RunnableConfig) -> At | None:
        """The parent of a checkpoint that is about to be saved, where it has to be read first; None where not."""
        parent = At.of(config)
        return parent if parent.checkpoint is not None and self._known.get(parent) is None else None

    def stamped(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> CheckpointMetadata:
        """Give the metadata with the stamp of a checkpoint that is saved now.

        Args:
            config: The config that it is saved with: it names the parent.
            checkpoint: The checkpoint.
            metadata: Its metadata. What comes with a stamp is a copy, and keeps it.
        """
        parent, mine = At.of(config), At.of(config)._replace(checkpoint=checkpoint["id"])
        base = self._known.get(parent) if parent.checkpoint is not None else NOTHING
        base = base or Known(Stamp(unmetered=True), stamped=False, elsewhere={})
        if TOTAL in metadata:
            self._keep(mine, Stamp.of(metadata) or Stamp(), stamped=True)
            return metadata
        with self._lock:
            taken = self.spend.take(
                mine.thread,
                mine.namespace,
                parent=parent.checkpoint,
                before=checkpoint["id"],
                by=self._taker(config),
            )
            spent = together((base.elsewhere, taken))
            if base.elsewhere:
                self._known.put(parent, base._replace(elsewhere={}))
                self._settled.put(parent, True)  # noqa: FBT003  # a set with a bound
            self._last.put(mine, (base, taken))
            metered = bool(spent) or metadata.get("source") in NOT_A_RUN or is_metered(config, self.meter)
            stamp = base.stamp.then(spent, thread=self._total_after(mine, taken), unmetered=not metered)
            stamps = base.stamped or bool(spent) or (metered and metadata.get("source") not in NOT_A_RUN)
            self._keep(mine, stamp, stamped=stamps)
        return {**metadata, **stamp.as_metadata()} if stamps else metadata  # type: ignore[typeddict-item]  # ours besides

    def not_saved(self, config: RunnableConfig, checkpoint: Checkpoint) -> None:
        """Take a stamp back whose checkpoint could not be saved: what follows has to account for it."""
        parent, mine = At.of(config), At.of(config)._replace(checkpoint=checkpoint["id"])
        with self._lock:
            base, taken = self._last.pop(mine) or (NOTHING, {})
            self._known.pop(mine)
            self.spend.give_back(mine.thread, mine.namespace, taken, parent=parent.checkpoint, lost=checkpoint["id"])
            if base.elsewhere:
                self._known.put(parent, base)
                self._settled.pop(parent)
            for totals in (self._totals, self._own) if not mine.namespace else ():
                totals.put(mine.thread, (totals.get(mine.thread) or Spent()) - sum(taken.values(), Spent()))

    def unfinished(self, config: RunnableConfig) -> Unfinished | None:
        """What was spent from a checkpoint since this was last asked, as a write of its own; None where nothing was."""
        at = At.of(config)
        spent = self.spend.unsaved(at.thread, at.checkpoint) if at.checkpoint and not at.namespace else {}
        return Unfinished.of(spent, thread=at.thread, by=self.spend.by) if spent else None

    def forget(self, thread: str) -> None:
        """Forget a thread that was deleted."""
        with self._lock:
            self._totals.pop(thread)
            self._own.pop(thread)
            self.spend.forget(thread)
            self._known = Recent()

    def _taker(self, config: RunnableConfig) -> Taker:
        """Who saves a checkpoint. A graph that was started by a run is in that one's root run from the beginning."""
        runs, callbacks = self.meter.books.runs, config.get("callbacks")
        around = callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None
        return Taker(
            invocation_of(config.get("configurable") or {}),
            runs.around(around).root_id if around else None,
            runs.is_open,
        )

    def _keep(self, at: At, stamp: Stamp, *, stamped: bool) -> None:
        self._known.put(at, Known(stamp, stamped=stamped, elsewhere={}))
        self.spend.saw(at.thread, at.namespace, at.checkpoint or "")

    def _total_after(self, at: At, taken: Mapping[str, Spent]) -> Owned | None:
        """What the thread has spent, with what is accounted for now; what others spent is in its total already."""
        if at.namespace:
            return None
        for totals in (self._totals, self._own):
            totals.put(at.thread, sum(taken.values(), totals.get(at.thread) or Spent()))
        left = self.spend.left(at.thread, at.checkpoint or "")
        return Owned(at.thread, (self._totals.get(at.thread) or Spent()) + left)

    def _learned(self, at: At, stamp: Stamp | None, elsewhere: Mapping[str, Spent]) -> Learned | None:
        stamp = stamp or Stamp()
        if stamp.thread is None or stamp.thread.owner != at.thread:  # a copy of another thread, which spent that
            stamp = Stamp(thread=Owned(at.thread, Spent()))
        stated = sum(elsewhere.values(), stamp.thread.spent if stamp.thread else Spent())
        left = self.spend.left(at.thread, None)  # a stamp of ours may count this already
        self._totals.put(at.thread, (self._totals.get(at.thread) or Spent()).at_least(stated - left))
        own = (self._own.get(at.thread) or Spent()) + left
        if own.at_least(stated) == own:
            return None
        return Learned(Owned(at.thread, stated), stamp.then(elsewhere, thread=stamp.thread).run)


def is_metered(config: RunnableConfig, meter: CostMeter) -> bool:
    """Whether a run with this config is seen by a meter."""
    callbacks: Any = config.get("callbacks")
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
    return not meter.off and (meter in handlers or meter in active_meters())


def _assumed(saved: CheckpointTuple) -> Stamp:
    """What is assumed of a checkpoint without a stamp: an update of an empty thread cost nothing."""
    is_first = saved.metadata.get("source") in NOT_A_RUN and saved.parent_config is None
    return Stamp(unmetered=not is_first)
