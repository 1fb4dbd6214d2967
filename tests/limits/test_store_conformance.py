"""What every budget store does. A new store passes these by joining `STORES`, and must agree with the plain model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from naive_store import NaiveBudgetStore

from langchain_agentcost.errors import HoldConflict
from langchain_agentcost.limits.holds import Denied, Granted, Line, Window
from tests.limits.budget_model import Model, start_of
from tests.limits.stores import Clock, Opens

HOLD_IDS = st.sampled_from(["h1", "h2", "h3", "h4", "h5"])
CALL_IDS = st.sampled_from([None, "c1", "c2", "c3"])
SCOPES: st.SearchStrategy[tuple[str, Window]] = st.sampled_from(
    [("org", "total"), ("org", "hour"), ("ann", "hour"), ("ann", "total")]
)
AMOUNTS = st.integers(0, 6)


def line(scope: tuple[str, Window], limit: int, amounts: tuple[int, int], lost: int, enforced: bool) -> Line:
    """A line of a hold."""
    return Line(scope[0], limit, *amounts, window=scope[1], lost=lost, enforced=enforced)


LINES = st.lists(
    st.builds(
        line,
        SCOPES,
        st.sampled_from([0, 10, 20, 40]),
        st.tuples(AMOUNTS, st.integers(0, 2)),
        AMOUNTS,
        st.sampled_from([True, True, True, False]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda made: (made.scope, made.window),
)


class Protocol(RuleBasedStateMachine):
    """Any steps in any order, on a store and on the model: both always agree."""

    opens: Opens

    @initialize()
    def open(self) -> None:
        """Open an empty store."""
        self.folder = TemporaryDirectory()
        self.clock, self.model = Clock(), Model()
        self.store = type(self).opens(Path(self.folder.name), self.clock)
        self.model.now_s = self.clock.now_s
        self.wishes: list[tuple[Any, ...]] = []

    def teardown(self) -> None:
        """Close it."""
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 3600.0, -30.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on, or is set back; the store's never goes back."""
        self.clock.now_s += seconds
        self.model.now_s = max(self.model.now_s, self.clock.now_s)

    @rule(hold_id=HOLD_IDS, lines=LINES, most=st.integers(0, 6), less=st.integers(0, 6), call_id=CALL_IDS)
    def reserve(self, hold_id: str, lines: list[Line], most: int, less: int, call_id: str | None) -> None:
        """A new id is granted or denied as in the model; a used one is refused."""
        wish = (hold_id, lines, (most, max(0, most - less)), call_id)
        self._reserve(wish)
        self.wishes.append(wish)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), limit=st.sampled_from([0, 10, 80]))
    def reserve_again(self, data: st.DataObject, limit: int) -> None:
        """The response was lost, and the same is asked for again, perhaps under another limit."""
        hold_id, lines, asked, call_id = data.draw(st.sampled_from(self.wishes))
        told = [Line(o.scope, limit, o.fixed, o.per_output_token, o.window, o.lost, o.enforced) for o in lines]
        self._reserve((hold_id, told, asked, call_id))

    def _reserve(self, wish: tuple[str, list[Line], tuple[int, int], str | None]) -> None:
        hold_id, lines, asked, call_id = wish
        arguments: dict[str, Any] = {"output_tokens": asked[0], "least_output_tokens": asked[1], "call_id": call_id}
        hold = self.model.find(hold_id)
        if hold is None:
            expected: Granted | Denied = self.model.reserve(hold_id, lines, asked, 60.0, call_id)
            assert self.store.reserve(hold_id, lines, **arguments) == expected
            return
        shape = [(line.scope, line.window, line.fixed, line.per_output_token) for line in lines]
        before = [(line.scope, line.window, line.fixed, line.per_output_token) for line in hold.lines]
        if (shape, asked) != (before, hold.asked):
            with pytest.raises(HoldConflict):
                self.store.reserve(hold_id, lines, **arguments)
            return
        for key, line in zip(hold.keys, lines, strict=True):
            self.model.limits[key] = line.limit
        if hold.state == "pending":
            hold.expires_s = self.model.now_s + 60.0
        again = Granted(hold_id, hold.granted, tuple(map(self.model.account, hold.keys)), hold.state, repeated=True)
        assert self.store.reserve(hold_id, lines, **arguments) == again

    @rule(hold_id=HOLD_IDS, call_id=CALL_IDS, taken=st.lists(st.integers(0, 12), min_size=3, max_size=3))
    def settle(self, hold_id: str, call_id: str | None, taken: list[int]) -> None:
        """What a call took is posted once, in full, early or late, and another call's beside it."""
        hold = self.model.find(hold_id)
        if hold is None:
            with pytest.raises(LookupError):
                self.store.settle(hold_id, taken, call_id=call_id)
            return
        taken = taken[: len(hold.lines)]
        before = tuple(self.model.account(key).spent for key in hold.keys)
        posted = hold.state == "posted"
        applied = not posted or (call_id is not None and call_id not in (hold.call_id, *hold.takings))
        if applied:
            hold.call_id = hold.call_id if posted else call_id or hold.call_id
            takings = {**hold.takings, call_id: taken} if posted else {hold.call_id: taken}
            self.model.finish(hold, "posted", takings)
        settled = self.store.settle(hold_id, taken, call_id=call_id)
        assert (settled.applied, settled.before, settled.overrun) == (applied, before, hold.overrun)
        assert settled.accounts == tuple(map(self.model.account, hold.keys))

    @rule(hold_id=HOLD_IDS)
    def void(self, hold_id: str) -> None:
        """A pending hold is given back; no other is touched."""
        hold = self.model.find(hold_id)
        pending = hold is not None and hold.state == "pending"
        if hold is not None and pending:
            self.model.finish(hold, "voided", {})
        assert self.store.void(hold_id) == pending

    @rule(hold_id=HOLD_IDS, ttl_s=st.sampled_from([30.0, 90.0]))
    def extend(self, hold_id: str, ttl_s: float) -> None:
        """A pending lease is renewed from now on; no other is."""
        hold = self.model.find(hold_id)
        pending = hold is not None and hold.state == "pending"
        if hold is not None and pending:
            hold.expires_s = self.model.now_s + ttl_s
        assert self.store.extend(hold_id, ttl_s=ttl_s) == pending

    @rule()
    def sweep(self) -> None:
        """What is due expires, and is charged as lost."""
        assert self.store.sweep() == self.model.expire()

    @rule(scope=SCOPES, by=st.sampled_from([-5, 7]))
    def raise_limit(self, scope: tuple[str, Window], by: int) -> None:
        """A raise is for the current window."""
        key = self._change(scope, lambda: self.store.raise_limit(scope[0], by, window=scope[1]))
        if key is not None:
            self.model.raised[key] = self.model.raised.get(key, 0) + by

    @rule(scope=SCOPES, frozen=st.booleans())
    def freeze(self, scope: tuple[str, Window], frozen: bool) -> None:
        """A frozen account stays frozen, also in the windows that follow."""
        key = self._change(scope, lambda: self.store.freeze(scope[0], frozen=frozen, window=scope[1]))
        if key is not None:
            self.model.closed[key] = frozen

    def _change(self, scope: tuple[str, Window], change: Callable[[], object]) -> Any:
        used = [key for key in self.model.limits if key[:2] == scope]
        if not used:
            with pytest.raises(LookupError):
                change()
            return None
        change()
        current = (*scope, start_of(scope[1], self.model.now_s))
        return self.model.touch(*scope, self.model.limits[current if current in used else used[-1]])

    @rule(age=st.sampled_from([0.0, 50.0, 4000.0]))
    def prune(self, age: float) -> None:
        """Forgetting finished holds changes no account."""
        old = [h for h in self.model.holds if h.state != "pending" and not h.pruned]
        old = [hold for hold in old if hold.finished_s <= self.model.now_s - age]
        for hold in old:
            hold.pruned = True
        assert self.store.prune(older_than_s=age) == len(old)

    @invariant()
    def agrees(self) -> None:
        """Accounts and holds are the model's, and follow from each other."""
        if not hasattr(self, "store"):
            return
        now = [key for key in self.model.limits if key[2] == start_of(key[1], self.model.now_s)]
        accounts = tuple(self.model.account(key) for key in sorted(now, key=lambda key: key[:2]))
        assert self.store.accounts() == accounts
        assert list(self.store.holds()) == [view for h in self.model.holds if not h.pruned for view in h.views()]
        assert self.store.reconcile() == ()


def machine(opens: Opens) -> type[Protocol]:
    """The state machine of one store."""
    return type("ProtocolOfOne", (Protocol,), {"opens": staticmethod(opens)})


QUICK = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


def test_any_sequence_of_steps_is_as_in_the_model(opens: Opens) -> None:
    """Whatever is done in whatever order, answers, accounts and holds are those of the model."""
    run_state_machine_as_test(machine(opens), settings=QUICK)


def test_check_then_add_is_not_as_in_the_model() -> None:
    """A store that compares before the call and adds after it does not pass: two calls see the same room."""
    naive = machine(lambda folder, clock: NaiveBudgetStore(folder / "naive.db", clock=clock))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(naive, settings=settings(QUICK, phases=[Phase.generate], database=None))
