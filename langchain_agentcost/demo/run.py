"""The demo: tickets go through the desk, the meter counts, and the reports say what it all cost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.demo.desk import NAME, support_desk
from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import TOOL_PRICES, DeskModel, hosted_model, local_model
from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.demo.shop import ShopTools, create_shop, refunded_orders
from langchain_agentcost.demo.tickets import TICKETS, Ticket
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.finops import Outcome
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.meter import CostMeter

OUTCOME = "resolved"

REPORTS = (
    ("By agent, the dearest first", ("agent",)),
    ("By node", ("node",)),
    ("By tenant", ("tenant",)),
    ("By user", ("tenant", "user")),
    ("What drove the cost", ("driver",)),
    ("By outcome", ("outcome",)),
)


@dataclass(frozen=True, slots=True)
class Desk:
    """A support desk that is metered.

    Args:
        model: What it asks.
        meter: What counts.
        database: The shop's database, as `create_shop` wrote it.
        since: When the demo started: the ledger may hold more than this demo.
    """

    model: DeskModel
    meter: CostMeter
    database: Path
    since: datetime

    def work(self, tickets: Sequence[Ticket], screen: Screen) -> int:
        """Work tickets off, one after the other.

        Args:
            tickets: What to work on.
            screen: Where to say so.

        Returns:
            How many were resolved.
        """
        graph = support_desk(self.model.chat, ShopTools.over(self.database))
        resolved = 0
        with screen.live():
            for ticket in tickets:
                success, topics = self._ticket(graph, ticket, len(tickets), screen)
                screen.done(ticket, len(tickets), topics=topics, resolved=success, spent=self.spent)
                resolved += success
        return resolved

    @property
    def spent(self) -> Total:
        """What this demo has spent so far."""
        return self.meter.report(by=(), since=self.since).total

    def _ticket(self, graph: Any, ticket: Ticket, of: int, screen: Screen) -> tuple[bool, str]:
        run, before = uuid4(), refunded_orders(self.database)
        state: dict[str, Any] = {}
        stream = graph.stream(
            {"text": ticket.text}, self._config(ticket, run), stream_mode=["tasks", "values"], subgraphs=True
        )
        for namespace, mode, event in stream:
            if mode == "tasks" and "input" in event:
                path = [*(part.partition(":")[0] for part in namespace), event["name"]]
                screen.now(ticket, of, node="/".join(path), spent=self.spent)
            elif mode == "values" and not namespace:
                state = event
        refunded = refunded_orders(self.database) - before
        success = ticket.is_resolved_by(state["reply"], refunded=refunded)
        self.meter.record_outcome(OUTCOME, success=success, run=run)
        for node in thrown_away(state):
            self.meter.mark_abandoned(run, node=node)
        return success, "+".join(state["topics"])

    def _config(self, ticket: Ticket, run: UUID) -> RunnableConfig:
        return {
            "run_id": run,
            "callbacks": self.meter.callbacks,
            "configurable": {"tenant": ticket.tenant},
            "metadata": {
                "tenant": ticket.tenant,
                "user": ticket.user,
                "session": f"{ticket.tenant}-{ticket.user}",
                "workflow": NAME,
                "deployment": "demo",
                "ticket": ticket.number,
            },
        }


def thrown_away(state: dict[str, Any]) -> list[str]:
    """Give the branches of a run whose work went into nothing: workers that found nothing, and a vain revision.

    Example:
        >>> thrown_away({"topics": ["orders"], "findings": [], "reply": "", "revisions": 0})
        ['orders']
    """
    found = {finding["topic"] for finding in state.get("findings", [])}
    branches = [topic for topic in state["topics"] if topic not in found]
    return [*branches, "revise"] if state.get("revisions") and not state["reply"] else branches


def run_demo(*, folder: Path, ledger: Path, model: str | None, tickets: int, screen: Screen) -> None:
    """Run the demo and show what it cost.

    Args:
        folder: Where the order database and the model's log go.
        ledger: The ledger's file. Entries are added to it.
        model: A name for `init_chat_model`; None takes the local model.
        tickets: How many of the tickets to work on.
        screen: Where to show it.

    Raises:
        MissingExtra: If the local model's server is not installed.
        MissingWeights: If the local model's file is not installed.
        ModelUnavailable: If `model` cannot be used.
        StoreUnavailable: If a folder cannot be made or the ledger cannot be opened.
    """
    for needed in (folder, ledger.parent):
        try:
            needed.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The folder {needed} cannot be made: {error.strerror}.") from error
    database = folder / "shop.db"
    create_shop(database)
    started = datetime.now(UTC)
    with _model(model, folder) as chosen, _meter(chosen, ledger) as meter:
        screen.say("A support desk for two shops, as a LangGraph application, metered.", style="bold")
        screen.say(f"Model    {chosen.about}")
        screen.say(f"Dollars  {chosen.billing}")
        fees = ", ".join(f"{tool} ${usd} a call" for tool, usd in TOOL_PRICES.items())
        screen.say(f"Tools    {fees}: an invented fee. The other tools are free of charge and have no price.\n")
        todo = TICKETS[:tickets]
        resolved = Desk(chosen, meter, database, started).work(todo, screen)
        _show(meter, started, screen)
        _close(meter, started, screen, resolved=resolved, of=len(todo), ledger=ledger)


@contextmanager
def _model(name: str | None, folder: Path) -> Iterator[DeskModel]:
    if name is not None:
        yield hosted_model(name)
        return
    with LocalModel(slots=3, log=folder / "local-model.log") as served:
        yield local_model(served)


def _meter(model: DeskModel, ledger: Path) -> CostMeter:
    return CostMeter(f"sqlite:///{ledger}", prices=model.prices, attribution=AttributionMap(tags=("ticket",)))


def _show(meter: CostMeter, since: datetime, screen: Screen) -> None:
    for title, by in REPORTS:
        screen.report(meter.report(by=by, since=since), title)
    screen.report(meter.report(by="tool", where={"kind": "tool"}, since=since), "By tool")
    screen.report(meter.report(by="model", where={"kind": "llm"}, since=since), "By model", notes=True)


def _close(meter: CostMeter, since: datetime, screen: Screen, *, resolved: int, of: int, ledger: Path) -> None:
    usage = meter.report(by=(), since=since).total.usage
    screen.say(
        f"\nTokens   {usage.input_tokens:,} in, of which {usage.cache_read_tokens:,} from the prompt cache and "
        f"{usage.input_tokens - usage.cache_read_tokens:,} not; {usage.output_tokens:,} out"
    )
    screen.say(
        f"Result   {resolved} of {of} tickets resolved, by a plain check of reply and refunds{_price(meter, since)}"
    )
    screen.say("         What failed was paid all the same, and is counted: so small a model judges poorly.")
    screen.say(f"Ledger   {ledger}", whole=True)
    command = _command()
    screen.say(f"More     {command} report {ledger} --by tag:ticket", whole=True)
    screen.say(f"         {command} report {ledger} --by agent,driver", whole=True)


def _price(meter: CostMeter, since: datetime) -> str:
    for row in meter.report(by="outcome", since=since).rows:
        if isinstance(row, Outcome) and row.per_success is not None:
            return f": {row.per_success} per resolved ticket"
    return ""


def _command() -> str:
    """The console script as the user can call it: by its path where it is not on the PATH."""
    name = "langchain-agentcost"
    called = Path(sys.argv[0])
    return str(called) if called.name == name and shutil.which(name) is None else name
