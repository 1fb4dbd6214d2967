"""The demo: tickets go through the desk, the meter counts, and the reports say what it all cost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import NullHandler, getLogger
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.demo.desk import NAME, support_desk
from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import (
    BILLED_AS_UNDER_A_BUDGET,
    ECONOMY_ALIAS,
    TOOL_PRICES,
    DeskModel,
    hosted_model,
    local_model,
)
from langchain_agentcost.demo.person import Person
from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.demo.shop import ShopTools, create_shop, refunded_orders
from langchain_agentcost.demo.tickets import TICKETS, Ticket
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.errors.limits import LimitReached
from langchain_agentcost.finops import Outcome
from langchain_agentcost.ledger.base import Total
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.meter import CostMeter

OUTCOME = "resolved"

DEPLOYMENT = {"deployment": "demo"}
"""What all calls of the desk have in common: what a budget for all of them is per."""

_SAID_ON_SCREEN = ("langchain_agentcost.alerts", "langchain_core.callbacks.manager")
"""Who logs a limit that is reached: the screen says it better."""

_DOES = {
    "raise": "stops its run",
    "drain": "is made, and its run stops after that superstep",
    "interrupt": "waits until you, or another terminal, have answered",
    "downgrade": "is made with a cheaper model, or stops its run",
    "warn": "is made all the same, and said to be",
}

REPORTS = (
    ("By agent, the dearest first", ("agent",)),
    ("By node", ("node",)),
    ("By tenant", ("tenant",)),
    ("By user", ("tenant", "user")),
    ("What drove the cost", ("driver",)),
    ("By outcome", ("outcome",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What became of a ticket.

    Args:
        resolved: Whether it was resolved.
        took_s: How long it took, in seconds.
    """

    resolved: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class Desk:
    """A support desk that is metered.

    Args:
        chat: What it asks.
        meter: What counts.
        database: The shop's database, as `create_shop` wrote it.
        since: When the demo started: the ledger may hold more than this demo.
        person: Who is asked when a budget has no room; None where there is no budget.
        tools: What it works with; None takes the shop's tools as they are.
        variant: Which arm of a comparison it is; None for none.
    """

    chat: BaseChatModel
    meter: CostMeter
    database: Path
    since: datetime
    person: Person | None = None
    tools: ShopTools | None = None
    variant: str | None = None

    def work(self, tickets: Sequence[Ticket], screen: Screen) -> tuple[Worked, ...]:
        """Work tickets off, one after the other, until all are done or a limit stops the desk.

        Args:
            tickets: What to work on.
            screen: Where to say so.

        Returns:
            What became of those that were not stopped by a limit.
        """
        tools = self.tools or ShopTools.over(self.database)
        graph = support_desk(self.chat, tools, checkpointer=InMemorySaver() if self.person else None)
        control, of, worked = RunControl(), len(tickets), list[Worked]()
        with screen.live():
            for number, ticket in enumerate(tickets, 1):
                began_s = perf_counter()
                try:
                    success, topics = self._ticket(graph, ticket, of, screen, control)
                except (LimitReached, GraphDrained) as stop:
                    screen.done(ticket, of, topics="", end="stopped", spent=self.spent)
                    if isinstance(stop, LimitReached):  # of a drained run the alert has said it
                        screen.say(f"Budget   {stop}")
                else:
                    worked.append(Worked(resolved=success, took_s=perf_counter() - began_s))
                    end = "resolved" if success else "not resolved"
                    screen.done(ticket, of, topics=topics, end=end, spent=self.spent)
                    if not control.drain_requested:
                        continue
                screen.say(f"Stopped  The desk takes no further ticket: {of - number} of {of} are left.")
                break
        return tuple(worked)

    @property
    def spent(self) -> Total:
        """What this demo has spent so far."""
        return self.meter.report(by=(), since=self.since).total

    def _ticket(self, graph: Any, ticket: Ticket, of: int, screen: Screen, control: RunControl) -> tuple[bool, str]:
        run, before = uuid4(), refunded_orders(self.database)
        try:
            state = self._run(graph, ticket, of, screen, run=run, control=control)
        except LimitReached:
            self.meter.record_outcome(OUTCOME, success=False, run=run)
            raise
        refunded = refunded_orders(self.database) - before
        success = ticket.is_resolved_by(state["reply"], refunded=refunded)
        self.meter.record_outcome(OUTCOME, success=success, run=run)
        for node in thrown_away(state):
            self.meter.mark_abandoned(run, node=node)
        return success, "+".join(state["topics"])

    def _run(
        self, graph: Any, ticket: Ticket, of: int, screen: Screen, *, run: UUID, control: RunControl
    ) -> dict[str, Any]:
        """Run a ticket's graph to its end, and give its state. A run that waits for a person goes on with the answer.

        Raises:
            LimitReached: If a limit stops it.
            GraphDrained: If a limit stops it after a superstep.
        """
        state: dict[str, Any] = {}
        config = self._config(ticket, run)
        given: dict[str, Any] | Command[Any] | None = {"text": ticket.text}
        while given is not None:
            stream = graph.stream(given, config, stream_mode=["tasks", "values"], subgraphs=True, control=control)
            for namespace, mode, event in stream:
                if mode == "tasks" and "input" in event:
                    path = [*(part.partition(":")[0] for part in namespace), event["name"]]
                    screen.now(ticket, of, node="/".join(path), spent=self.spent)
                elif mode == "values" and not namespace:
                    state = event
            given = self._answer(graph, config, who=f"Ticket {ticket.number}/{of}")
            config = {**config, "run_id": uuid4()}
        return state

    def _answer(self, graph: Any, config: RunnableConfig, *, who: str) -> Command[Any] | None:
        """The answer to what a run waits for; None where it waits for nothing. Of several questions the first."""
        waiting = graph.get_state(config).interrupts if self.person is not None else ()
        if self.person is None or not waiting:
            return None
        return Command(resume={waiting[0].id: self.person.decide(waiting[0].value["approval"], who=who)})

    def _config(self, ticket: Ticket, run: UUID) -> RunnableConfig:
        return {
            "run_id": run,
            "callbacks": self.meter.callbacks,
            "configurable": {"tenant": ticket.tenant, "thread_id": str(run)},
            "metadata": {
                "tenant": ticket.tenant,
                "user": ticket.user,
                "session": f"{ticket.tenant}-{ticket.user}",
                "workflow": NAME,
                **DEPLOYMENT,
                "ticket": ticket.number,
                **({"variant": self.variant} if self.variant else {}),
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


def run_demo(
    *,
    folder: Path,
    ledger: Path,
    model: str | None,
    tickets: int,
    screen: Screen,
    budget: Budget | None = None,
) -> None:
    """Run the demo and show what it cost.

    Args:
        folder: Where the order database and the model's log go.
        ledger: The ledger's file. Entries are added to it.
        model: A name for `init_chat_model`; None takes the local model.
        tickets: How many of the tickets to work on.
        screen: Where to show it.
        budget: What the calls are held to; None for no limit.

    Raises:
        MissingExtra: If the local model's server is not installed.
        MissingWeights: If the local model's file is not installed.
        ModelUnavailable: If `model` cannot be used.
        StoreUnavailable: If a folder cannot be made or the ledger cannot be opened.
    """
    make_folders(folder, ledger.parent)
    database = folder / "shop.db"
    create_shop(database)
    started = datetime.now(UTC)
    with _model(model, folder, budget) as chosen, _meter(chosen, ledger, budget, screen) as meter:
        screen.say("A support desk for two shops, as a LangGraph application, metered.", style="bold")
        screen.say(f"Model    {chosen.about}")
        screen.say(f"Dollars  {chosen.billing}")
        fees = ", ".join(f"{tool} ${usd} a call" for tool, usd in TOOL_PRICES.items())
        screen.say(f"Tools    {fees}: an invented fee. The other tools are free of charge and have no price.")
        person = _limited(meter, budget, screen, ledger) if budget is not None else None
        screen.say("")
        todo = TICKETS[:tickets]
        worked = Desk(chosen.chat, meter, database, started, person).work(todo, screen)
        resolved = sum(one.resolved for one in worked)
        _show(meter, started, screen)
        _close(meter, started, screen, resolved=resolved, of=len(todo), ledger=ledger)


def make_folders(*folders: Path) -> None:
    """Make the folders that a demo writes to.

    Raises:
        StoreUnavailable: If one cannot be made.
    """
    for needed in folders:
        try:
            needed.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The folder {needed} cannot be made: {error.strerror}.") from error


@contextmanager
def _model(name: str | None, folder: Path, budget: Budget | None) -> Iterator[DeskModel]:
    if name is not None:
        yield hosted_model(name)
        return
    with ExitStack() as stack:
        served = stack.enter_context(LocalModel(slots=3, log=folder / "local-model.log"))
        if budget is None:
            yield local_model(served)
            return
        economy = None
        if budget.on_limit == "downgrade":
            economy = stack.enter_context(LocalModel(alias=ECONOMY_ALIAS, slots=3))
        yield local_model(served, billed_as=BILLED_AS_UNDER_A_BUDGET, economy=economy)


def _meter(model: DeskModel, ledger: Path, budget: Budget | None, screen: Screen) -> CostMeter:
    return CostMeter(
        f"sqlite:///{ledger}",
        prices=model.prices,
        attribution=AttributionMap(tags=("ticket",)),
        budgets=() if budget is None else (budget,),
        alerts=(screen.alert,),
    )


def _limited(meter: CostMeter, budget: Budget, screen: Screen, ledger: Path) -> Person:
    """Say what the budget is, and make the person ready who may be asked."""
    assert meter.enforcer is not None  # noqa: S101  # narrows the type: a meter with a budget has one
    for name in _SAID_ON_SCREEN:
        getLogger(name).addHandler(NullHandler())  # without a handler Python writes to the terminal
    (left,) = meter.remaining(DEPLOYMENT)
    before = f" (${left.spent:f} of it was spent on this ledger before)" if left.spent else ""
    screen.say(f"Budget   ${left.limit:f} for all tickets together{before}.")
    screen.say(f"Limit    A call that there is no room for {_DOES[str(budget.on_limit)]}.")
    screen.say(f"         Watch it from another terminal: {command()} budgets list {ledger}", whole=True)
    return Person(meter.enforcer.store, screen, command=f"{command()} budgets approve {ledger}")


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
    for left in meter.remaining(DEPLOYMENT):
        screen.say(f"Budget   {left}: ${left.spent:f} is spent, ${left.reserved:f} reserved")
    screen.say(f"Ledger   {ledger}", whole=True)
    called = command()
    screen.say(f"More     {called} report {ledger} --by tag:ticket", whole=True)
    screen.say(f"         {called} report {ledger} --by agent,driver", whole=True)


def _price(meter: CostMeter, since: datetime) -> str:
    for row in meter.report(by="outcome", since=since).rows:
        if isinstance(row, Outcome) and row.per_success is not None:
            return f": {row.per_success} per resolved ticket"
    return ""


def command() -> str:
    """The console script as the user can call it: by its path where it is not on the PATH."""
    name = "langchain-agentcost"
    called = Path(sys.argv[0])
    return str(called) if called.name == name and shutil.which(name) is None else name
