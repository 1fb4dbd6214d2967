"""Budgets that outlive a meter: shared by processes, kept beside the ledger, and closed when their store fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost import Budget, CostMeter, LimitReached
from langchain_agentcost.errors import LimitUnavailable, StoreUnavailable
from langchain_agentcost.limits import open_store
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.memory import MemoryBudgetStore
from tests.meter.test_budgets import PRICES, calls_until_stopped, cents_model, meter_with, of

WORKER = """
import sys, logging
logging.disable(logging.CRITICAL)
from langchain_agentcost import Budget, CostMeter, LimitReached
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
model = FakeMeteredChatModel(model="cents", counts=FakeCounts(10, 1)).bind(max_tokens=1)
prices = {"models": [{"model": "cents", "input": 0, "output": 10_000}]}
made = 0
with CostMeter(sys.argv[1], prices=prices, budgets=[Budget(usd="0.20", per="tenant", window="total")]) as meter:
    for _ in range(10):
        try:
            model.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"tenant": "acme"}})
            made += 1
        except LimitReached:
            pass
print(made)
"""


def test_processes_share_the_budgets_beside_their_ledger(tmp_path: Path) -> None:
    """Four processes that want forty calls make the twenty that there is money for, and the file agrees."""
    ledger = f"sqlite:///{tmp_path / 'costs.db'}"
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, ledger], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    made = [int(worker.communicate()[0]) for worker in workers]
    assert sum(made) == 20
    (account,) = open_store(tmp_path / "costs.budgets.db", create=False).accounts()
    assert (account.spent, account.reserved, account.headroom) == (200_000_000, 0, 0)


def test_a_new_meter_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    """No session gets a fresh budget by starting the process again."""
    ledger = f"sqlite:///{tmp_path / 'costs.db'}"
    for expected in (2, 1):
        with CostMeter(ledger, prices=PRICES, budgets=[Budget(usd="0.03", per="session")]) as meter:
            assert calls_until_stopped(meter, cents_model(), of(session="s"), most=2) == expected


def test_a_raised_limit_holds_at_once(tmp_path: Path) -> None:
    """What another process adds to a limit can be spent by a meter that is open."""
    path = tmp_path / "b.db"
    with meter_with(Budget(usd="0.01", per="session"), store=f"sqlite:///{path}") as meter:
        assert calls_until_stopped(meter, cents_model(), of(session="s")) == 1
        other = open_store(path)
        (account,) = other.accounts()
        other.raise_limit(account.scope, 20_000_000)
        other.close()
        assert calls_until_stopped(meter, cents_model(), of(session="s")) == 2


def test_a_meter_without_limits_makes_no_store(tmp_path: Path) -> None:
    """Metering alone leaves no second file."""
    with CostMeter(f"sqlite:///{tmp_path / 'costs.db'}"):
        pass
    assert not (tmp_path / "costs.budgets.db").exists()


class Flaky(MemoryBudgetStore):
    """A store that can be out of reach."""

    down = False

    def reserve(self, *args: Any, **kwargs: Any) -> Any:
        """Reserve, or not."""
        self._check()
        return super().reserve(*args, **kwargs)

    def settle(self, *args: Any, **kwargs: Any) -> Any:
        """Settle, or not."""
        self._check()
        return super().settle(*args, **kwargs)

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("The disk is gone.")


def test_a_store_that_fails_stops_calls_by_default() -> None:
    """A budget that cannot be checked is not taken to have room."""
    store = Flaky()
    meter = meter_with(Budget(usd=1), store=store)
    store.down = True
    with pytest.raises(LimitUnavailable, match="The disk is gone"):
        cents_model().invoke("Hi", {"callbacks": meter.callbacks})
    assert list(meter.ledger.entries()) == []


def test_a_store_that_fails_lets_calls_pass_where_that_was_chosen_and_says_so() -> None:
    """on_store_error="open" is said for every call."""
    store, told = Flaky(), list[Alert]()
    meter = meter_with(Budget(usd=1), store=store, on_store_error="open", alerts=[told.append])
    store.down = True
    assert calls_until_stopped(meter, cents_model(), most=2) == 2
    assert [alert.kind for alert in told] == ["store", "store"]


def test_what_could_not_be_settled_is_settled_when_the_store_is_back() -> None:
    """A call that was paid while the store was away is on the account in the end."""
    store = Flaky()
    meter = meter_with(Budget(usd=1, per="session"), store=store)

    class Cut(type(cents_model().bound)):  # type: ignore[misc]  # the store goes away while the call is made
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            store.down = True
            return super()._generate(*args, **kwargs)

    model = Cut(model="cents", counts=cents_model().bound.counts).bind(max_tokens=1)
    with pytest.warns(match="the budget store"):
        model.invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    store.down = False
    cents_model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    (account,) = store.accounts()
    assert (account.spent, account.reserved) == (20_000_000, 0)


def test_a_policy_file_makes_a_meter(tmp_path: Path) -> None:
    """`CostMeter.from_policy` holds calls to what the file says."""
    policy = tmp_path / "agentcost.toml"
    policy.write_text(
        'ledger = "memory://"\n'
        "[[prices.models]]\n"
        'model = "cents"\ninput = 0\noutput = 10000\n'
        '[[budget]]\nusd = "0.02"\nper = "session"\n',
        encoding="utf-8",
    )
    with CostMeter.from_policy(policy) as meter:
        assert calls_until_stopped(meter, cents_model(), of(session="s")) == 2


def test_a_denied_call_leaves_no_entry_and_no_hold() -> None:
    """What was not made is neither paid nor reserved."""
    store = MemoryBudgetStore()
    meter = meter_with(Budget(usd=0, per="session"), store=store)
    with pytest.raises(LimitReached):
        cents_model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})
    assert list(meter.ledger.entries()) == []
    assert list(store.holds()) == []
