from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest

from langchain_agentcost.errors import BudgetError, LimitReached, StoreUnavailable
from langchain_agentcost.limits import dispatch
from langchain_agentcost.limits.alerts import Alert, AlertKind
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.store import open_store
from tests.limits.crossing import KEY, cross_in_a_process


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the package logs about alerts."""
    caplog.set_level(logging.DEBUG, "langchain_agentcost.alerts")
    return caplog


def alert(message: str = "85 % is used.", kind: AlertKind = "threshold") -> Alert:
    """An alert."""
    return Alert(kind, message)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("threshold", "WARNING"),
        ("denied", "WARNING"),
        ("would_deny", "WARNING"),
        ("tripped", "WARNING"),
        ("warned", "WARNING"),
        ("approval", "WARNING"),
        ("store", "ERROR"),
    ],
)
def test_every_alert_is_logged(said: pytest.LogCaptureFixture, kind: AlertKind, level: str) -> None:
    """Without any sink the log has the message, and the alert itself for who formats logs as JSON."""
    fired = alert("It is so.", kind)
    Alerts().fire(fired)
    (record,) = said.records
    assert (record.levelname, record.getMessage()) == (level, "It is so.")
    assert vars(record)["agentcost_alert"] is fired


def test_every_sink_is_told() -> None:
    """All sinks get the alert, in order, then those that this alert alone is for."""
    told: list[tuple[int, Alert]] = []
    sinks = [lambda a, n=n: told.append((n, a)) for n in range(3)]
    fired = alert()
    Alerts(sinks[:2]).fire(fired, to=sinks[2:])
    assert told == [(0, fired), (1, fired), (2, fired)]


async def asynchronous(_: Alert) -> None:
    """A sink that nobody would await."""


def failing(_: Alert) -> None:
    """A sink with a fault."""
    raise RuntimeError("no route to the pager")


def limiting(_: Alert) -> None:
    """A sink that meets a limit of its own."""
    raise LimitReached("the sink has a budget too")


@pytest.mark.parametrize(
    ("sink", "why"),
    [(failing, "no route to the pager"), (limiting, "a budget too"), (asynchronous, "cannot be async")],
)
def test_a_sink_with_a_fault_is_logged_and_holds_up_nobody(said: pytest.LogCaptureFixture, sink: Any, why: str) -> None:
    """The run goes on, the other sinks are told, and the log says what was wrong with which sink."""
    told: list[Alert] = []
    Alerts([sink, told.append]).fire(alert(), to=[sink, told.append])
    assert len(told) == 2
    faults = [record for record in said.records if record.exc_info]
    assert [record.levelname for record in faults] == ["ERROR", "ERROR"]
    assert why in said.text
    assert str(sink)[:20] in faults[0].getMessage()


def test_what_cannot_be_called_is_refused() -> None:
    """A sink that is no function is a mistake, and found before the first alert."""
    with pytest.raises(BudgetError, match="not to 'https://"):
        Alerts(["https://hooks.example.com/…"])  # type: ignore[list-item]


@pytest.mark.parametrize("store", [None, MemoryBudgetStore()])
def test_an_alert_with_a_key_fires_once(said: pytest.LogCaptureFixture, store: MemoryBudgetStore | None) -> None:
    """Of a key one alert is logged and told, the first; other keys, and alerts without one, are not held back."""
    told: list[str] = []
    alerts = Alerts([lambda a: told.append(a.message)], store)
    for number in range(3):
        alerts.fire(alert(f"a{number}"), once=KEY)
        alerts.fire(alert(f"b{number}"))
    alerts.fire(alert("c"), once=f"{KEY}0")
    assert told == ["a0", "b0", "b1", "b2", "c"]
    assert [record.getMessage() for record in said.records] == told


class Yielding(str):
    """A key at whose every look-up another thread has its turn."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Let others run, and hash."""
        sleep(0)
        return super().__hash__()


def test_threads_fire_a_key_once() -> None:
    """Of many threads that cross a threshold together, one tells."""
    told: list[Alert] = []
    alerts = Alerts([told.append])
    keys = [Yielding(number) for number in range(50)]

    def cross() -> None:
        for key in keys:
            alerts.fire(alert(), once=key)

    threads = [Thread(target=cross) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 50


def test_processes_that_share_a_store_fire_a_key_once(tmp_path: Path) -> None:
    """Of four processes that cross twenty thresholds together, one tells of each."""
    url = f"sqlite:///{tmp_path / 'budgets.db'}"
    open_store(url).close()
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    outs = [tmp_path / f"told{number}" for number in range(4)]
    processes = [spawn.Process(target=cross_in_a_process, args=(url, barrier, out)) for out in outs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    told = [line for out in outs for line in out.read_text(encoding="utf-8").split()]
    assert sorted(told, key=int) == [str(number) for number in range(20)]


def test_what_was_fired_stays_fired_after_a_restart(tmp_path: Path) -> None:
    """A process that starts again does not tell again what the one before it told."""
    told: list[Alert] = []
    for _ in range(2):
        store = open_store(f"sqlite:///{tmp_path / 'budgets.db'}")
        Alerts([told.append], store).fire(alert(), once=KEY)
        store.close()
    assert len(told) == 1


def test_a_store_that_fails_costs_no_alert(said: pytest.LogCaptureFixture) -> None:
    """Where the store cannot be asked, the alert is fired all the same, once in this process, and the log says why."""
    store = MemoryBudgetStore()
    store.close()
    told: list[Alert] = []
    alerts = Alerts([told.append], store)
    alerts.fire(alert(), once=KEY)
    alerts.fire(alert(), once=KEY)
    assert len(told) == 1
    assert "may be fired twice: the budget store failed: StoreUnavailable: This budget store" in said.text


class Counting(MemoryBudgetStore):
    """A store that counts how often it is asked."""

    asked = 0

    def set_note(self, key: str, value: str | None, *, expected: str | None) -> bool:
        """Count, and write."""
        self.asked += 1
        return super().set_note(key, value, expected=expected)


def test_the_store_is_asked_once_a_key() -> None:
    """A threshold that every later call finds crossed costs one look at the store."""
    store = Counting()
    alerts = Alerts((), store)
    for _ in range(100):
        alerts.fire(alert(), once=KEY)
    assert store.asked == 1
    assert list(store.notes("alert:")) == [f"alert:{KEY}"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many keys the older are forgotten and the newer remembered; the store knows the forgotten ones still."""
    monkeypatch.setattr(dispatch, "KEYS_KEPT", 100)
    told: list[Alert] = []
    store = MemoryBudgetStore()
    lonely, sharing = Alerts([told.append]), Alerts([told.append], store)
    for number in range(1000):
        lonely.fire(alert(), once=str(number))
        lonely.fire(alert(), once=str(max(0, number - 40)))
    assert len(told) == 1000
    assert len(vars(lonely)["_fired"]) <= 100
    for _ in range(2):
        for number in range(300):
            sharing.fire(alert(), once=str(number))
    assert len(told) == 1300


def test_a_failed_claim_is_no_error_of_the_store(said: pytest.LogCaptureFixture) -> None:
    """Another process that was first is nothing to log."""
    store = MemoryBudgetStore()
    told: Mapping[str, list[Alert]] = {"first": [], "second": []}
    for sinks in told.values():
        Alerts([sinks.append], store).fire(alert(), once=KEY)
    assert [len(sink) for sink in told.values()] == [1, 0]
    assert len(said.records) == 1


def test_a_store_raises_what_the_tests_say_it_does() -> None:
    """The store that stands for a failing one does fail."""
    store = MemoryBudgetStore()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.set_note("a", "b", expected=None)
