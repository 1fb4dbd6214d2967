"""The comparison: the same desk with everything off, then with everything on, and what each feature saved."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.demo.compare_arm import Arm
from langchain_agentcost.demo.compare_features import guard, routed, with_cache
from langchain_agentcost.demo.compare_models import Contest, Pair
from langchain_agentcost.demo.compare_savings import Savings
from langchain_agentcost.demo.compare_tables import parts, results
from langchain_agentcost.demo.compare_tickets import compared
from langchain_agentcost.demo.models import TOOL_PRICES
from langchain_agentcost.demo.run import Desk, command, make_folders
from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.demo.shop import ShopTools, create_shop
from langchain_agentcost.demo.tickets import TICKETS
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.meter import CostMeter

GUARD_USD = ("1", "25")
"""What a ticket may cost at most, for local and for hosted models: the longest answer of those is dear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs of the desk on the same tickets.

    Args:
        contest: The models.
        folder: Where the order database and the models' logs go.
        ledger: The ledger's file. Both runs are added to it, as the variants "off" and "on".
        tickets: How many of the demo's tickets there are, before customers write again.
        screen: Where to show it.
    """

    contest: Contest
    folder: Path
    ledger: Path
    tickets: int
    screen: Screen

    def run(self) -> Savings:
        """Run both, and show what they came to.

        Returns:
            What each feature took off the bill.

        Raises:
            MissingExtra: If the local model's server is not installed.
            MissingWeights: If the local model's file is not installed.
            ModelUnavailable: If a hosted model cannot be used.
            PriceNotFound: If one of the models has no price.
            StoreUnavailable: If a folder cannot be made or the ledger cannot be opened.
        """
        make_folders(self.folder, self.ledger.parent)
        self._announce()
        with self.contest.off(self.folder) as pair, self._meter(pair) as meter:
            off = self._work(pair, meter, "off")
        with self.contest.on(self.folder) as pair, self._meter(pair, guard(self._guard)) as meter:
            on = self._work(pair, meter, "on")
            savings = Savings.of(off.entries, on.entries, pair.cards)
        self._show(off, on, savings)
        return savings

    @property
    def _guard(self) -> str:
        return GUARD_USD[self.contest.hosted]

    def _work(self, pair: Pair, meter: CostMeter, variant: str) -> Arm:
        """Work all tickets off, on an order database as it was before the first one."""
        database = self.folder / "shop.db"
        create_shop(database)
        tools = ShopTools.over(database)
        chat = pair.strong if pair.small is None else routed(pair, meter)
        desk = Desk(
            chat,
            meter,
            database,
            datetime.now(UTC),
            tools=tools if pair.small is None else with_cache(tools),
            variant=variant,
        )
        tickets = compared(self.tickets)
        self.screen.say(f"\nEverything {variant}", style="bold")
        return Arm.of(desk, desk.work(tickets, self.screen), tickets=len(tickets))

    def _meter(self, pair: Pair, *budgets: Budget) -> AbstractContextManager[CostMeter]:
        return CostMeter(
            f"sqlite:///{self.ledger}",
            prices=pair.prices,
            attribution=AttributionMap(tags=("ticket",)),
            budgets=budgets,
            alerts=(self.screen.alert,),
        )

    def _announce(self) -> None:
        first, every = len(TICKETS[: self.tickets]), len(compared(self.tickets))
        fees = ", ".join(f"{tool} ${usd} a call" for tool, usd in TOOL_PRICES.items())
        self.screen.say("The same support desk twice: with everything off, then with everything on.", style="bold")
        self.screen.facts(
            ("Model", self.contest.about),
            ("Dollars", self.contest.prices),
            ("Tools", f"{fees}: an invented fee. The other tools are free of charge."),
            ("Tickets", _TICKETS.format(first=first, again=every - first)),
            ("Off", "The strong model answers every call. Only its own prompt cache is at work."),
            ("On", _ON.format(guard=self._guard)),
        )

    def _show(self, off: Arm, on: Arm, savings: Savings) -> None:
        self.screen.table(results(off, on, savings))
        self.screen.table(parts(savings, off, on, guard=self._guard))
        self.screen.say("")
        if savings.unknown:
            self.screen.facts(("Unknown", f"{savings.unknown} calls have no known price: no figure above has them."))
        self.screen.facts(
            ("Router", "The same tokens at the strong model's price, less what was paid and what caches spared."),
            (
                "Caches",
                "A spared call counts as what it took in the other run, at the price of the tier it would go to.",
            ),
            ("Real", _REAL),
            ("Price", self.contest.bound),
        )
        self.screen.say(f"Ledger   {self.ledger}", whole=True)
        self.screen.say(f"More     {command()} report {self.ledger} --by variant,node", whole=True)
        self.screen.say(f"         {command()} router report {self.ledger}", whole=True)
        self.screen.facts(("", "The latter goes by what the router expected before each call: see its line Baseline."))


_TICKETS = "{first}, and {again} more from customers who write again: caches need somebody who does."

_ON = (
    "RouterRunnable with its default policy: triage and extraction go to the small tier. Equal prompts and tool "
    "results are cached; a refund never is, and ends what it changes. A budget of ${guard} a ticket. Prompts are left "
    "as they are."
)

_REAL = (
    "Calls, tokens, cache reads and outcomes of both runs, and the seconds of the calls that were made, on a machine "
    "that may have had more to do in one run. Answers vary a little: one ticket more or less is chance."
)
