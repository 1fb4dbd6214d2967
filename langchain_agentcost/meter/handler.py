"""The meter: a callback handler that turns every model, tool and retriever event into a ledger entry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, cast, get_args
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langsmith.utils import tracing_is_enabled

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.errors import BudgetError
from langchain_agentcost.ledger import Ledger, MemoryLedger, open_ledger
from langchain_agentcost.ledger.base import Where
from langchain_agentcost.limits.alerts import AlertSink
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget, Mode, OnStoreError
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.limiter import Limiter
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.limits.scopes import count_outcome, labels_named, tags_named
from langchain_agentcost.limits.store import open_store, store_beside
from langchain_agentcost.meter.block import in_a_block
from langchain_agentcost.meter.books import Books
from langchain_agentcost.meter.enforcer import Enforcer
from langchain_agentcost.meter.events import MeterEvents
from langchain_agentcost.meter.fingerprints import Fingerprinter
from langchain_agentcost.meter.gate import Gate
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.meter.labels import current_run_id
from langchain_agentcost.meter.outcome import outcome_value, outcome_verdict
from langchain_agentcost.meter.permit import UNCAPPED_TOKENS, Permit
from langchain_agentcost.meter.prefix_watch import PrefixWatch, monitor_of
from langchain_agentcost.meter.runs import WorkflowRun
from langchain_agentcost.meter.worst_case import Request, WorstCase
from langchain_agentcost.prefix import PrefixStabilityMonitor
from langchain_agentcost.pricing import PriceBook, PriceOverrides
from langchain_agentcost.pricing.overrides import Given
from langchain_agentcost.reported import billed_tier, shown

if TYPE_CHECKING:
    from langchain_agentcost.exporters.langsmith import LangSmithCostTracer
    from langchain_agentcost.finops import Report
    from langchain_agentcost.limits.policy import Policy

LEAST_OUTPUT_TOKENS = 256
"""A shorter answer than this is rarely worth its prompt."""


MODE_VARIABLE = "AGENTCOST_MODE"
"""The kill switch: a mode in this environment variable holds for every meter, whatever the code says."""


class CostMeter(MeterEvents):
    """Meters every model, tool and retriever call that it is passed to as a callback.

    One meter serves any number of threads, tasks and runs at once. Pass `meter.callbacks` in the config of the
    outermost call: everything below it is seen, except what raw threads and nested `callbacks=[…]` hide
    (`install_global` sees those too).

    Args:
        ledger: A ledger, or the URL of one, such as "sqlite:///costs.db". None keeps the entries in memory.
        prices: The price book, or what one is made from: a TOML or JSON file, or a mapping. None has list prices.
        attribution: Which metadata fills which dimension; a mapping of keys is put before the defaults.
        fingerprint_key: A secret of 16 to 64 bytes. Each message of a prompt is then remembered by a hash salted with
            it and by its size, so that a replay can tell what was sent again. None remembers nothing of a message.
        budgets: What calls are held to before they are made: `Budget`s, and `CircuitBreaker`s as presets have them.
        breakers: What stops runs that get nowhere.
        store: Where budgets are kept: a `BudgetStore` or its URL. None is the file "costs.budgets.db" beside a SQLite
            ledger "costs.db", which all processes share, and memory where there is no such ledger.
        mode: Whether limits are held ("enforce") or only watched ("observe"); "off" switches the meter off.
        alerts: Who is told when a limit comes near, is reached, or asks a person: functions of an `Alert`, `Webhook`s.
        on_store_error: What happens to a call while the store cannot be reached: "closed" stops it, "open" lets it
            be made and says so.
        prefix_monitor: True, or a monitor, warns of prompts that change where they were sent before. It is off by
            default: it hashes every new message while the run waits, and is about habits, not about a bill.

    Raises:
        ValueError: If the fingerprint key is too short or too long, or the mode is not one.
        BudgetError: If a budget or breaker cannot be.
        StoreUnavailable: If the ledger cannot be opened.
        PriceFileError: If the prices cannot be read.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> with CostMeter() as meter:
        ...     answer = FakeMeteredChatModel().invoke("Hi", config={"callbacks": meter.callbacks})
        ...     meter.report(by="model").total.llm_calls
        1
    """

    def __init__(  # noqa: PLR0913  # the one object that holds the configuration; every argument has a default
        self,
        ledger: Ledger | str | None = None,
        *,
        prices: PriceBook | PriceOverrides | Given | None = None,
        attribution: AttributionMap | Mapping[str, Sequence[str]] | None = None,
        fingerprint_key: bytes | None = None,
        budgets: Iterable[Budget | CircuitBreaker] = (),
        breakers: Iterable[CircuitBreaker] = (),
        store: BudgetStore | str | None = None,
        mode: Mode = "enforce",
        alerts: Iterable[AlertSink] = (),
        on_store_error: OnStoreError = "closed",
        prefix_monitor: PrefixStabilityMonitor | bool = False,
    ) -> None:
        super().__init__()
        self.mode = _mode(mode)
        self.off = self.mode == "off"
        self.prices = prices if isinstance(prices, PriceBook) else PriceBook(prices)
        limits = _limits(budgets, breakers)
        table = attribution if isinstance(attribution, AttributionMap) else AttributionMap(attribution or {})
        self.attribution = table.with_tags(tags_named(limit for limit in limits if isinstance(limit, Budget)))
        self._lock = Lock()
        self.ledger = open_ledger(ledger or "memory://") if ledger is None or isinstance(ledger, str) else ledger
        self._closes_ledger = self.ledger is not ledger and not isinstance(self.ledger, MemoryLedger)
        self.journal = Journal(self.ledger)
        fingerprinter = Fingerprinter(fingerprint_key) if fingerprint_key is not None else None
        self.enforcer: Enforcer | None = None
        """What holds the limits; None where there are none yet."""
        self._closes_store = False
        self.books = Books(self.prices, self.attribution, self.journal, fingerprinter)
        self.prefix_monitor = monitor_of(prefix_monitor, self.prices)
        if self.prefix_monitor is not None:
            self.books.prefix = PrefixWatch(self.prefix_monitor, self.journal)
        if limits and not self.off:
            self._hold(limits, store, alerts, fail_open=on_store_error == "open")
        self._tracer: LangSmithCostTracer | None = None

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """What to pass as `callbacks`: this meter and, where LangSmith tracing is on, the tracer that shows its costs.

        The meter comes first, so that a run that it stops leaves no trace open.
        """
        if self.off or not tracing_is_enabled():
            return [self]
        if self._tracer is None:
            from langchain_agentcost.exporters.langsmith import LangSmithCostTracer  # noqa: PLC0415  # only for tracing

            self._tracer = LangSmithCostTracer(prices=self.prices, attribution=self.attribution)
        return [self, self._tracer]

    def report(
        self,
        by: str | Sequence[str] = "node",
        *,
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Report:
        """Report on the ledger, grouped.

        Args:
            by: A dimension of `Attribution`, several, "day", "driver", "cache", or "tag:NAME".
            where: Conditions that must all hold, such as {"tenant": "acme"}.
            since: Only calls that started at or after this instant, which has a time zone.
            until: Only calls that started before it.

        Returns:
            The report: print it, or show it in a notebook.

        Raises:
            QueryError: If a dimension does not exist.
        """
        from langchain_agentcost.finops import report  # noqa: PLC0415  # a process that only meters never reports

        self.journal.flush()
        return report(self.ledger, by=by, where=where, since=since, until=until)

    @classmethod
    def from_policy(cls, policy: Policy | Path | str) -> Self:
        """Make a meter of a policy file, `agentcost.toml`; see `limits.policy`.

        Args:
            policy: The policy, or its file.

        Raises:
            PolicyError: If the file cannot be used; the message names the key.
        """
        from langchain_agentcost.limits.policy import Policy  # noqa: PLC0415  # most meters have no file

        given = policy if isinstance(policy, Policy) else Policy.load(policy)
        return cls(
            given.ledger,
            prices=given.prices,
            attribution=given.attribution,
            budgets=given.limits,
            store=given.store,
            mode=given.mode,
            alerts=given.alerts,
            on_store_error=given.on_store_error,
        )

    def remaining(self, scope: Mapping[str, str] | str | None = None) -> tuple[Remaining, ...]:
        """What is left of the limits, for an agent or a person to read: `str()` of each is a line.

        Args:
            scope: Whose limits: labels such as {"session": "s1"}, or "session=s1". None is the run or `budget`
                block that this code is in, with every limit that it is held to. A tag is "tag:NAME=value".

        Returns:
            One for each limit whose subject is named; empty where there are none.

        Raises:
            ValueError: If a scope names no label, or none is given and no run or `budget` block is under way.
        """
        if in_a_block():
            self.hold_blocks()
        if self.enforcer is None:
            return ()
        if scope is not None:
            return self.enforcer.remaining(labels_named(scope))
        here = self.books.here()
        if here is None and not in_a_block():
            self._workflow_run(None)
        return self.enforcer.remaining(here[1] if here is not None else {})

    def should_downgrade(self) -> bool:
        """Whether a budget of the run that this code is in wants a cheaper model, by its action "downgrade"."""
        here = self.books.here()
        return here is not None and self.enforcer is not None and self.enforcer.wants_cheaper(here[1])

    def permit(
        self,
        messages: Sequence[BaseMessage],
        *,
        model: str | None,
        provider: str | None = None,
        settings: Mapping[str, Any] | None = None,
        least_output_tokens: int = LEAST_OUTPUT_TOKENS,
    ) -> Permit:
        """Reserve for the next model call of this thread or task, with as long an answer as there is room for.

        For code that shapes the call: middleware, routers. Use it in a `with` block around the call, and give the call
        `max_tokens=permit.output_tokens`.

        Args:
            messages: The prompt, system message included.
            model: The model that will be asked, as `ls_model_name` says it.
            provider: Its provider, as `ls_provider` says it.
            settings: What else is sent: `tools`, `max_tokens`, `service_tier`, ….
            least_output_tokens: The shortest answer worth having.

        Raises:
            LimitReached: If not even that fits.
            GraphInterrupt: If a person is asked.
        """
        if self.books.gate is None:
            return Permit((), UNCAPPED_TOKENS)
        run, labels = self.books.here() or (WorkflowRun(uuid4()), {})
        labels = {**labels, "run": run.id, "model": model, "provider": provider, "step": (run.step or 0) + 1}
        sent = settings or {}
        tier = billed_tier(sent.get("service_tier"))
        request = Request(messages, model, provider, sent.get("tools") or (), sent, {}, tier=tier)
        return self.books.gate.permit(run, labels, request, least_output_tokens=least_output_tokens)

    def record_outcome(
        self,
        name: str,
        value: Decimal | float | str | None = None,
        *,
        success: bool | None = None,
        run: UUID | str | None = None,
        session: str | None = None,
    ) -> None:
        """Record what a run or a session achieved, so that reports can say what a success costs.

        The latest record of a name for the same run or session counts.

        Args:
            name: What was achieved or not, such as "ticket_resolved".
            value: Its worth or score, if it has one.
            success: Whether it was achieved.
            run: The workflow run: the `run_id` in the config of the outermost call, also of one that resumed the run.
                Inside a run it may be left out.
            session: The session, where the outcome belongs to one as a whole.

        Raises:
            ValueError: If neither run nor session is given and no run is under way, the value is no number below 10**18
                with at most nine decimal places, or success is neither true nor false.
        """
        of = None if run is None and session is not None else self._workflow_run(run)
        achieved = outcome_verdict(success)
        self.books.record(name, {"run": of, "session": session}, value=outcome_value(value), success=achieved)
        if achieved and self.enforcer is not None:
            count_outcome(self.enforcer.store, session or self._session_of(of or "") or of or "")

    def mark_abandoned(self, run: UUID | str | None = None, *, node: str | None = None) -> None:
        """Mark a run, or a branch of it, as work whose result was thrown away. Reports then show what it cost.

        Args:
            run: The workflow run; inside a run it may be left out.
            node: The path of the branch's outermost node, such as "research/plan_b"; None marks the whole run.

        Raises:
            ValueError: If no run is given and none is under way.
        """
        self.books.record("abandoned", {"run": self._workflow_run(run), "node": node}, success=False)

    def close(self) -> None:
        """Write what waits and close the file that the meter opened. Closing twice is harmless.

        A ledger that the caller opened stays open, and one in memory stays readable.
        """
        self.journal.close()
        if self.enforcer is not None:
            self.enforcer.close()
            if self._closes_store:
                self.enforcer.store.close()
        if self._closes_ledger:
            self.ledger.close()

    def __enter__(self) -> Self:
        """Use the meter for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def hold_blocks(self) -> None:
        """See to it that this meter holds calls to the `budget` blocks they are in, though it has no budgets."""
        with self._lock:
            if self.enforcer is None and not self.off:
                self._hold((), None, (), fail_open=False)

    def _hold(
        self,
        limits: Sequence[Budget | CircuitBreaker],
        store: BudgetStore | str | None,
        alerts: Iterable[AlertSink],
        *,
        fail_open: bool,
    ) -> None:
        """Hold calls to limits from now on."""
        if store is None:
            store = store_beside(self.ledger.url) if limits else "memory://"
        opened = open_store(store) if isinstance(store, str) else store
        self._closes_store = opened is not store
        budgets = [limit for limit in limits if isinstance(limit, Budget)]
        breakers = [limit for limit in limits if isinstance(limit, CircuitBreaker)]
        enforce = self.mode == "enforce"
        limiter = Limiter(budgets, opened, alerts=Alerts(alerts, opened), enforce=enforce, warn=self.journal.warn_once)
        enforcer = Enforcer(limiter, breakers, self.journal, enforce=enforce, fail_open=fail_open)
        if enforcer.assumes_dearest:
            self.prices.dearest()  # what takes long the first time is done here, not while a call waits
        self.books.gate = Gate(enforcer, WorstCase(self.prices, self.books.counter), self.prices)
        self.enforcer = enforcer

    def _session_of(self, run: str) -> str | None:
        """A run's session: as this process knows it, else as the ledger does."""
        known = self.books.runs.known(run)
        if known is not None:
            return known.get("session")
        self.journal.flush()
        entries = self.ledger.entries(where={"run": run})
        return next((entry.attribution.session for entry in entries if entry.attribution.session), None)

    def _workflow_run(self, run: UUID | str | None) -> str:
        """The workflow run that is meant: the one that is named, else the one that this code runs in."""
        if run is not None:
            return self.books.runs.named(str(run))
        here = current_run_id()
        if here is None:
            raise ValueError(
                "No run is under way here. Pass run= (the run_id in the config of the outermost call) or session=."
            )
        return self.books.runs.around(here).id


def _limits(*stated: object) -> tuple[Budget | CircuitBreaker, ...]:
    """What is stated as budgets and breakers, one by one."""
    limits: list[Budget | CircuitBreaker] = []
    for several in stated:
        for limit in several if isinstance(several, Iterable) else (None,):
            if not isinstance(limit, Budget | CircuitBreaker):
                raise BudgetError(
                    f"budgets= and breakers= hold Budget and CircuitBreaker one by one, not "
                    f"{shown(several if limit is None else limit)}: write "
                    'budgets=[*Budget.presets("typical"), Budget(usd=5)].'
                )
            limits.append(limit)
    return tuple(limits)


def _mode(stated: str) -> Mode:
    """The mode that holds: the environment's, else the stated one."""
    mode = os.environ.get(MODE_VARIABLE, "").strip().lower() or stated
    if mode not in get_args(Mode):
        raise ValueError(f"The mode is one of {', '.join(get_args(Mode))}, not {shown(mode)}.")
    return cast("Mode", mode)
