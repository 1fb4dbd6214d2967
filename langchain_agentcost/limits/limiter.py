"""What budgets say to a call: whose accounts it is on, whether there is room, and what follows when there is not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from langchain_agentcost.errors import (
    AgentCostWarning,
    BudgetError,
    HoldConflict,
    UnenforcedBudgetWarning,
    give_warning,
)
from langchain_agentcost.limits.alerts import Alert, AlertKind
from langchain_agentcost.limits.budget import Budget, action_name, amount_stored, limit_shown, told_by
from langchain_agentcost.limits.demand import Demand, Taken
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.holds import Account, BudgetStore, Denied, Granted, Line, Settled, Window
from langchain_agentcost.limits.refusal import Refusal, amount_of
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.limits.scopes import Mark, Rule, Scopes, fits, rules_of

_OWN = UUID("3b0f5a56-9d0a-5d6c-a8b7-52c6a3f7f9e1")
"""The namespace of the ids of reservations for calls whose place was taken."""


class Charge(NamedTuple):
    """What a call may take under a rule, and from which account."""

    rule: Rule
    line: Line


class Terms(NamedTuple):
    """How strictly a call is held.

    Args:
        soft: Names of the actions that let it be made though there is no room.
        tripped: Accounts that have stopped its run before.
    """

    soft: Collection[str] = ("warn",)
    tripped: Collection[str] = ()


NOTHING_SOFT = Terms()
"""For calls outside a graph, of a run that nothing has stopped."""


class Tripped(NamedTuple):
    """A call that is on an account that has stopped its run before: what stopped it once stops it again."""

    scope: str


@dataclass(slots=True)
class Admission:
    """A call that may be made.

    Args:
        hold_id: Its reservation; None where no limit touches it.
        charges: What it may take, an account each.
        output_tokens: The longest answer that it may get.
        drain: Why the run has to stop after the step that the call is in; None where it need not.
        owner: The limiter that gave it.
    """

    hold_id: str | None
    charges: Sequence[Charge]
    output_tokens: int
    drain: str | None
    owner: Limiter

    def settle(self, taken: Taken, *, call_id: str | None) -> tuple[str, ...]:
        """Post what the call took. Returns the reasons to drain the run, if there are any."""
        return self.owner.settle(self, taken, call_id=call_id)

    def void(self) -> None:
        """Give back what was reserved: the call was not made."""
        if self.hold_id is not None:
            self.owner.store.void(self.hold_id)


class Limiter:
    """Holds calls to budgets in one store. It knows nothing of LangChain.

    Args:
        budgets: The budgets. Each of their limits is held by itself.
        store: Where their accounts are.
        alerts: Who is told of thresholds and denials.
        enforce: False to count, and to say what would have been denied.
        subject: Whose all accounts are, whatever the calls say; None reads it from the calls.
        warn: Who gives warnings, once a subject; None gives each.

    Raises:
        BudgetError: If two budgets have the same name and unit.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        store: BudgetStore,
        *,
        alerts: Alerts | None = None,
        enforce: bool = True,
        subject: str | None = None,
        warn: Callable[[str, AgentCostWarning], object] | None = None,
    ) -> None:
        self.store = store
        self.rules = tuple(rule for budget in budgets for rule in rules_of(budget))
        self.alerts = alerts or Alerts()
        self.enforce = enforce
        self.units = frozenset(rule.unit for rule in self.rules)
        self._downgrades = False
        self._is_block = subject is not None
        self._rules_title = "".join(rule.prefix for rule in self.rules)
        self._warn = warn or (lambda _, warning: give_warning(warning))
        self._scopes = Scopes(store, self._warn, subject=subject)
        names = [(rule.budget.title, rule.unit) for rule in self.rules]
        for title, unit in names:
            if names.count((title, unit)) > 1:
                raise BudgetError(f"Two budgets named {title!r} limit {unit}: give one of them another name=.")

    def admit(
        self,
        hold_id: str,
        labels: Mapping[str, Any],
        demand: Demand,
        *,
        call_id: str,
        least_output_tokens: int | None = None,
        terms: Terms = NOTHING_SOFT,
    ) -> Admission | Refusal | Tripped:
        """Reserve what a call may take at worst.

        Args:
            hold_id: The call's place: the same when LangGraph runs the same task again from the same checkpoint.
            labels: The call's attribution, as keyword arguments of `Attribution`.
            demand: Its worst case.
            call_id: The call itself: never the same twice.
            least_output_tokens: The shortest answer worth having, where the answer can be capped.
            terms: What lets this call be made though there is no room, and what has stopped its run before.

        Returns:
            The admission, or why not.
        """
        tokens, least, charges = demand.output_tokens, least_output_tokens, []
        for charge in self._charges(labels, demand, terms):
            if isinstance(charge, Refusal):
                return charge
            if charge.line.scope in terms.tripped:
                return Tripped(charge.line.scope)
            if charge.rule.budget.subjects != ("call",):
                charges.append(charge)
                continue
            room = _fitting(charge.line, tokens)
            if room >= (demand.output_tokens if least is None else least):
                tokens = min(tokens, room) if charge.line.enforced else tokens
                continue
            own = Account(charge.line.scope, limit=charge.line.limit)
            refusal = Refusal(charge.rule, charge.line, demand, own, room, place=hold_id)
            if charge.line.enforced and not self._was_approved(refusal):
                return refusal
            self._tell(refusal)
        if not charges:
            return Admission(None, (), tokens, None, self)
        bounds = (tokens, tokens if least is None else min(tokens, least))
        return self._reserve(hold_id, charges, demand, bounds, call_id=call_id)

    def settle(self, admission: Admission, taken: Taken, *, call_id: str | None) -> tuple[str, ...]:
        """Post what a call took, tell of the thresholds that it crossed, and give the reasons to drain the run."""
        if admission.hold_id is None:
            return ()
        amounts = [taken.of(rule.unit, line.worst(admission.output_tokens)) for rule, line in admission.charges]
        settled = self.store.settle(admission.hold_id, amounts, call_id=call_id)
        return tuple(self._crossed(admission.charges, settled)) if settled.applied else ()

    def post(self, hold_id: str, labels: Mapping[str, Any], demand: Demand, taken: Taken) -> None:
        """Post a call that nobody asked about before it was made."""
        charges = [charge for charge in self._charges(labels, demand, NOTHING_SOFT) if isinstance(charge, Charge)]
        charges = [charge for charge in charges if charge.rule.budget.subjects != ("call",)]
        if charges:
            self.store.reserve(hold_id, [_unenforced(line) for _, line in charges], output_tokens=0, call_id=hold_id)
            self.settle(Admission(hold_id, charges, 0, None, self), taken, call_id=hold_id)

    def remaining(self, labels: Mapping[str, Any]) -> tuple[Remaining, ...]:
        """What is left of every limit whose subject these labels name."""
        return tuple(
            Remaining(
                rule.budget.title,
                rule.unit,
                account.scope,
                limit=limit_shown(rule.unit, account.cap),
                spent=limit_shown(rule.unit, account.spent),
                reserved=limit_shown(rule.unit, account.reserved),
                remaining=limit_shown(rule.unit, max(0, account.headroom)),
            )
            for rule, account in self._accounts(labels)
        )

    def wants_cheaper(self, labels: Mapping[str, Any]) -> bool:
        """Whether a budget whose action is "downgrade" has come that far. Who asks is taken to act on it."""
        self._downgrades = True
        mine = [rule for rule in self.rules if _cheaper_from(rule) is not None]
        return any(
            mark.is_reached(account.spent, account.cap)
            for rule, account in (self._accounts(labels, mine) if mine else ())
            if (mark := _cheaper_from(rule)) is not None
        )

    def _charges(self, labels: Mapping[str, Any], demand: Demand, terms: Terms) -> Iterator[Charge | Refusal]:
        """What a call may take under each rule that fits it, or that a price has to be known and is not."""
        for rule in self.rules:
            budget = rule.budget
            needs = demand.of(rule.unit)
            if not fits(budget, labels, demand.tool):
                continue
            hard = self.enforce and action_name(rule.marks[-1].action) not in terms.soft
            if rule.unit == "usd" and (needs is None or demand.assumed) and demand.kind == "llm":
                if budget.unknown_price == "deny" and hard:
                    yield Refusal(rule, None, demand, None, -1)
                if budget.unknown_price != "assume_dearest":
                    self._warn(f"{labels.get('model')} {budget.title}", _unpriced(budget, labels))
                    continue
            if needs is not None:
                scope, lost = self._scopes.of(rule, labels), _lost(budget, demand, *needs)
                yield Charge(rule, Line(scope, rule.limit, *needs, budget.window, lost, enforced=hard))

    def _reserve(
        self, hold_id: str, charges: list[Charge], demand: Demand, tokens: tuple[int, int], *, call_id: str
    ) -> Admission | Refusal:
        """Reserve. A rule whose action is soft is only counted, and told of where there is no room."""
        answer = self._ask(hold_id, [charge.line for charge in charges], tokens, call_id)
        if answer is None:
            return Admission(None, (), tokens[0], None, self)
        if isinstance(answer, Denied):
            rule, line = charges[answer.line]
            shorter = tokens[1] < tokens[0]
            return Refusal(rule, line, demand, answer.account, answer.output_tokens, shortened=shorter)
        stopped = self._stopped(charges, answer, demand)
        if stopped is not None:
            self.store.void(answer.hold_id)
            return stopped
        drain = None
        for (rule, line), account in zip(charges, answer.accounts, strict=True):
            if not line.enforced and account.headroom < 0:
                refusal = Refusal(rule, line, demand, account, -1)
                self._tell(refusal)
                drain = drain or (refusal.message if refusal.action == "drain" else None)
        return Admission(answer.hold_id, charges, answer.output_tokens, drain, self)

    def _ask(
        self, hold_id: str, lines: Sequence[Line], tokens: tuple[int, int], call_id: str
    ) -> Granted | Denied | None:
        """Ask the store. A place whose call was made before is really made again: it is another call.

        Two meters may hold the same call to this store. What the same budgets have reserved for it holds for both;
        with other budgets it is another reservation; and a block counts a call once, whoever sees it: None.
        """
        try:
            answer = self._ask_as(hold_id, lines, tokens, call_id)
            if not (isinstance(answer, Granted) and answer.repeated and answer.state != "pending"):
                return answer
        except HoldConflict:
            if self._is_block:
                return None
        return self._ask_as(str(uuid5(_OWN, call_id + self._rules_title)), lines, tokens, call_id)

    def _ask_as(self, hold_id: str, lines: Sequence[Line], tokens: tuple[int, int], call_id: str) -> Granted | Denied:
        longest, least = tokens
        return self.store.reserve(hold_id, lines, output_tokens=longest, least_output_tokens=least, call_id=call_id)

    def _stopped(self, charges: Sequence[Charge], granted: Granted, demand: Demand) -> Refusal | None:
        """A rule whose account is frozen, or that stops calls or asks at a share of its limit that is used already."""
        if not self.enforce:
            return None
        for (rule, line), account in zip(charges, granted.accounts, strict=True):
            if account.frozen:
                return Refusal(rule, line, demand, account, -1)
            for mark in rule.marks[:-1]:
                if mark.action in ("raise", "interrupt") and mark.is_reached(account.spent, account.cap):
                    refusal = Refusal(rule, line, demand, account, granted.output_tokens, mark=mark)
                    if not self._was_approved(refusal):
                        return refusal
        return None

    def _was_approved(self, refusal: Refusal) -> bool:
        """Whether a person has let a call pass that this would stop."""
        if refusal.action != "interrupt" or refusal.permission is None:
            return False
        return self.store.note(refusal.permission) is not None

    def _crossed(self, charges: Sequence[Charge], settled: Settled) -> Iterator[str]:
        """Tell of thresholds that a settled call crossed."""
        for (rule, _), account, before in zip(charges, settled.accounts, settled.before, strict=True):
            if account.spent == before:
                continue
            for mark in rule.marks:
                if mark.is_reached(account.spent, account.cap) and not mark.is_reached(before, account.cap):
                    self._say_crossed(rule, account, mark)
                    if mark.action == "drain":
                        yield f"{mark.share:.0%} of the {rule.budget.title} is used"

    def _say_crossed(self, rule: Rule, account: Account, mark: Mark) -> None:
        limit, spent = limit_shown(rule.unit, account.cap), limit_shown(rule.unit, account.spent)
        message = (
            f"{mark.share:.0%} of the {rule.budget.title} is used: {amount_of(rule.unit, spent)} of "
            f"{amount_of(rule.unit, limit)} for {account.scope.partition('|')[2]}."
        )
        name = mark.action if isinstance(mark.action, str) else "call"
        alert = Alert("threshold", message, account.scope, name, mark.share, amount_stored(limit), amount_stored(spent))
        once = f"{account.scope}|{account.window_start or ''}|{account.cap}|{mark.share}"
        to = [sink for other in rule.marks if other.share == mark.share for sink in told_by(other.action)]
        self.alerts.fire(alert, once=once, to=to)
        if name == "downgrade" and not self._downgrades:
            self._warn(f"downgrade {rule.prefix}", _nobody_downgrades(rule))

    def _tell(self, refusal: Refusal) -> None:
        """Say that a call was let through although there was no room for it."""
        action = refusal.rule.budget.on_limit
        kind: AlertKind = "warned" if self.enforce else "would_deny"
        self.alerts.fire(refusal.alert(kind), once=f"{kind}|{refusal.key}", to=told_by(action))

    def _accounts(
        self, labels: Mapping[str, Any], rules: Sequence[Rule] | None = None
    ) -> Iterator[tuple[Rule, Account]]:
        """The accounts that these labels name, whether they were used before or not."""
        named: list[tuple[Rule, tuple[str, Window]]] = [
            (rule, (self._scopes.of(rule, labels), rule.budget.window))
            for rule in (self.rules if rules is None else rules)
            if "call" not in rule.budget.subjects and self._scopes.are_named(rule.budget, labels)
        ]
        found = {(a.scope, a.window): a for a in self.store.accounts([key for _, key in named])} if named else {}
        for rule, (scope, window) in named:
            yield rule, found.get((scope, window)) or Account(scope, window, limit=rule.limit)


def _fitting(line: Line, output_tokens: int) -> int:
    """The longest answer that one call's own limit has room for; -1 where not even an empty one fits."""
    left = line.limit - line.fixed
    if left < 0:
        return -1
    return min(output_tokens, left // line.per_output_token) if line.per_output_token else output_tokens


def _lost(budget: Budget, demand: Demand, fixed: int, each: int) -> int:
    if budget.on_lost == "release":
        return 0
    return fixed + (each * demand.output_tokens if budget.on_lost == "charge_full" else 0)


def _unenforced(line: Line) -> Line:
    return Line(line.scope, line.limit, line.fixed, line.per_output_token, line.window, line.lost, enforced=False)


def _cheaper_from(rule: Rule) -> Mark | None:
    """Where a rule wants a cheaper model from; None where it never does."""
    return next((mark for mark in rule.marks if mark.action == "downgrade"), None)


def _nobody_downgrades(rule: Rule) -> UnenforcedBudgetWarning:
    return UnenforcedBudgetWarning(
        f'The {rule.budget.title} says "downgrade", and nothing here takes a cheaper model: a callback cannot. Use '
        "agentcost_middleware(meter, downgrade_to=…), or ask meter.should_downgrade(). Its limit still stops calls."
    )


def _unpriced(budget: Budget, labels: Mapping[str, Any]) -> UnenforcedBudgetWarning:
    return UnenforcedBudgetWarning(
        f"{labels.get('model')} has no known price: its calls are not held to the USD limit of the {budget.title}, "
        'as its unknown_price or its action has it. Give the meter a price for it: prices={"models": [{"model": …}]}.'
    )
