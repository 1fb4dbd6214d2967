"""A thread of four model calls that one process starts and others go on with: everything it needs is in files."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from langchain_agentcost import CostMeter
from langchain_agentcost.errors.limits import LimitReached
from langchain_agentcost.ledger import Entry, open_ledger
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import Account, Hold
from langchain_agentcost.limits.store import open_store
from tests.canned_provider import CannedProvider
from tests.meter.halting.world import PRICES, openai_model

CALLS = 4

FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Chain:
    """Four nodes with a model call each.

    Args:
        folder: Where checkpoints, ledger and budgets are.
        provider: Who is called.
        budgets: What the calls are held to.
    """

    folder: Path
    provider: CannedProvider
    budgets: Sequence[Budget]

    @property
    def store(self) -> str:
        """The budget store's URL."""
        return f"sqlite:///{self.folder}/costs.budgets.db"

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, CostMeter, RunnableConfig]]:
        """The graph, its meter and its config, in this process."""
        model = openai_model(self.provider)
        builder = StateGraph(MessagesState)
        for number in range(CALLS):
            builder.add_node(f"n{number}", lambda _: {"messages": [model.invoke("Hi")]})
            builder.add_edge(f"n{number - 1}" if number else START, f"n{number}")
        ledger = f"sqlite:///{self.folder}/costs.db"
        with (
            SqliteSaver.from_conn_string(f"{self.folder}/threads.db") as saver,
            CostMeter(ledger, prices=PRICES, budgets=self.budgets) as meter,
        ):
            yield builder.compile(saver), meter, {"callbacks": meter.callbacks, "configurable": {"thread_id": "t1"}}

    def go(self, given: Any, run_id: UUID | None = None) -> dict[str, Any]:
        """Run or resume it, and say how that went."""
        with self.opened() as (graph, meter, config):
            if run_id is not None:
                config["run_id"] = run_id
            if isinstance(given, str):  # a command as a payload has it
                given = eval(given, {"Command": Command, "graph": _Given(), "meter": meter})  # noqa: S307
            try:
                state = graph.invoke(given, config, durability="sync")
            except LimitReached as error:
                return {"error": type(error).__name__, "asked": [], "answers": 0}
            asked = [interrupt.value for interrupt in state.get("__interrupt__", ())]
            return {"error": None, "asked": asked, "answers": len(state["messages"])}

    def elsewhere(self, given: Any) -> dict[str, Any]:
        """The same in a process of its own."""
        process = self.started(given)
        process.join(60)
        assert process.exitcode == 0
        told: dict[str, Any] = json.loads((self.folder / "told.json").read_text())
        return told

    def started(self, given: Any) -> BaseProcess:
        """A process that has started on it."""
        process = FORK.Process(target=self._tell, args=(given,))
        process.start()
        return process

    def killed_in_call(self, given: Any, number: int) -> None:
        """Start on it in a process that is killed while the provider works on a call of this number."""
        process = self.started(given)
        deadline = time.monotonic() + 30
        while len(self.provider.requests) < number and time.monotonic() < deadline:
            time.sleep(0.005)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert process.exitcode == -signal.SIGKILL

    def accounts(self) -> dict[str, Account]:
        """The accounts, by what they are per."""
        with closing(open_store(self.store, create=False)) as store:
            return {account.scope.partition(" ")[0]: account for account in store.accounts()}

    def holds(self) -> list[Hold]:
        """All holds."""
        with closing(open_store(self.store, create=False)) as store:
            return list(store.holds())

    def entries(self) -> list[Entry]:
        """The ledger's entries."""
        with closing(open_ledger(f"sqlite:///{self.folder}/costs.db")) as ledger:
            return list(ledger.entries())

    def _tell(self, given: Any) -> None:
        (self.folder / "told.json").write_text(json.dumps(self.go(given)))


class _Given:
    """A graph that gives back what it is invoked with."""

    @property
    def invoke(self) -> Callable[[Any, Any], Any]:
        return lambda given, config: given
