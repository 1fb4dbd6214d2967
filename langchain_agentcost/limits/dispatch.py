"""Telling of an alert: the log first, then whoever asked to be told."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from inspect import iscoroutine

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert, AlertSink
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.reported import shown

KEYS_KEPT = 10_000
"""How many keys of alerts a process remembers; beyond it the older half is asked of the store again, or fires again."""

logger = logging.getLogger("langchain_agentcost.alerts")


class Alerts:
    """Fires alerts. Nothing that goes wrong here reaches the run.

    Every alert is a record of the logger "langchain_agentcost.alerts", with the `Alert` as its `agentcost_alert`:
    a warning, or an error where the budget store failed.

    Args:
        sinks: Who is told of every alert: functions, or `Webhook`s.
        store: Where the processes that share budgets also share which alerts were fired; None is this process alone.

    Raises:
        BudgetError: If a sink cannot be called.

    Example:
        >>> told = []
        >>> alerts = Alerts([told.append])
        >>> for _ in range(2):
        ...     alerts.fire(Alert("threshold", "85 % is used."), once="session=ann||0.85")
        >>> [alert.message for alert in told]
        ['85 % is used.']
    """

    def __init__(self, sinks: Iterable[AlertSink] = (), store: BudgetStore | None = None) -> None:
        self.sinks = tuple(sinks)
        for sink in self.sinks:
            if not callable(sink):
                raise BudgetError(f"Alerts go to functions and Webhooks, not to {shown(sink)}.")
        self._store = store
        self._fired: dict[str, object] = {}

    def fire(self, alert: Alert, *, once: str | None = None, to: Iterable[AlertSink] = (), shared: bool = True) -> None:
        """Log an alert and hand it to every sink. Never raises.

        Args:
            alert: What happened.
            once: A key. Of all processes that share the store, one fires an alert of this key, once; where the store
                fails, each does. None fires.
            to: Who else is told, such as the function that a budget has as its action.
            shared: Whether the key is one of all processes; False for what belongs to one run, of which the store keeps
                nothing.
        """
        if once is not None and not self._is_first(once, self._store if shared else None):
            return
        for sink in (_log, *self.sinks, *to):
            try:
                _hand(alert, sink)
            except Exception:  # whoever is told, and whatever is wrong with them, the run goes on
                logger.exception("An alert could not be handed to %s.", shown(sink))

    def _is_first(self, key: str, store: BudgetStore | None) -> bool:
        """Claim a key: in this process, then in the store."""
        mine = object()
        if self._fired.setdefault(key, mine) is not mine:  # atomic without a lock, which a fork could leave locked
            return False
        if len(self._fired) > KEYS_KEPT:
            self._fired = dict(list(self._fired.items())[KEYS_KEPT // 2 :])
        if store is None:
            return True
        try:
            return store.set_note(f"alert:{key}", "fired", expected=None)
        except Exception as error:  # noqa: BLE001  # better told twice than never
            logger.warning("An alert may be fired twice: the budget store failed: %s: %s", type(error).__name__, error)
            return True


def _hand(alert: Alert, sink: AlertSink) -> None:
    """Hand an alert over.

    Raises:
        TypeError: If the sink is a coroutine function: nobody would await it.
    """
    said = sink(alert)
    if iscoroutine(said):
        said.close()
        raise TypeError("A function that is told of alerts cannot be async: let it start a task of its own.")


def _log(alert: Alert) -> None:
    level = logging.ERROR if alert.kind == "store" else logging.WARNING
    logger.log(level, "%s", alert.message, extra={"agentcost_alert": alert})
