"""Something in the prompt changes from call to call, in front of what was sent before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_share
from langchain_agentcost.prefix import PrefixChange
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.bills import Bill
from langchain_agentcost.replay.advice.detector import Detector
from langchain_agentcost.replay.advice.finding import Finding, Manner, tokens_of
from langchain_agentcost.replay.advice.saved import Saved
from langchain_agentcost.replay.advice.seen import SeenRun
from langchain_agentcost.replay.advice.thresholds import VOLATILE_SHARE
from langchain_agentcost.replay.strategy import Fidelity

CODE = """
from datetime import UTC, datetime

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import HumanMessage

@wrap_model_call
def changing_part_last(request, handler):
    # The time, say: no longer in the system prompt, but behind all that stays.
    now = HumanMessage(f"(It is {datetime.now(UTC):%Y-%m-%d %H:%M}.)")
    return handler(request.override(messages=[*request.messages, now]))

agent = create_agent(model, tools, middleware=[changing_part_last])
"""

MARKED = """
from datetime import UTC, datetime

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import HumanMessage

def marked(message):  # the provider stores the prompt up to here
    block = {"type": "text", "text": message.text, "cache_control": {"type": "ephemeral"}}
    return message.model_copy(update={"content": [block]})

@wrap_model_call
def changing_part_last(request, handler):
    # The time, say: no longer in the system prompt, but behind all that stays.
    now = HumanMessage(f"(It is {datetime.now(UTC):%Y-%m-%d %H:%M}.)")
    *before, last = request.messages
    return handler(request.override(messages=[*before, marked(last), now]))

agent = create_agent(model, tools, middleware=[changing_part_last])
"""


class VolatilePrefix(Detector):
    """The package's `PrefixStabilityMonitor` looks at the prompts of each run; changes that come again are counted."""

    kind: ClassVar[str] = "volatile_prefix"
    title: ClassVar[str] = "Something in front of the prompt changes from call to call"
    manner: ClassVar[Manner] = Manner("some lines", "faster: what is cached is not read again", "low: it only moves")

    def __init__(self, bill: Bill, floor: QualityFloor) -> None:
        super().__init__(bill, floor)
        self._saved = Saved()
        self._followers = self._changed = self._lost = 0
        self._cached = self._automatic = True
        self._items: Counter[tuple[str, str]] = Counter()
        self._first: PrefixChange | None = None

    def see(self, run: SeenRun) -> None:
        """Count the changes of a run whose prompts are known."""
        if run.volatility is None:
            return
        found = run.volatility
        self._followers += len(run.calls) - 1
        self._changed += len(found.changes)
        self._lost += found.lost_tokens
        self._saved.add(run.task, found.saved, run.amount)
        for change in found.changes:
            self._items[change.place, change.kind] += 1
            self._first = earlier(self._first, change)
        if run.tariff is not None and run.tariff.terms is not None:
            self._automatic = run.tariff.terms.automatic
        self._cached &= found.cached

    def finding(self) -> Finding | None:
        """Say so where a tenth of the calls changes it."""
        if self._first is None or self._changed < VOLATILE_SHARE * self._followers or not self._lost:
            return None
        facts: dict[str, object] = {
            "items": [{"place": p, "kind": kind, "changes": n} for (p, kind), n in self._items.most_common()],
            "calls_changed": self._changed,
            "lost_tokens": self._lost,
            "cached": self._cached,
            "since": None if self._first.since is None else self._first.since.isoformat(),
        }
        saving = self._saved.saving(self.bill.unit, Fidelity.SAME_INFORMATION)
        code = CODE if self._cached or self._automatic else MARKED
        return self.found(saving, self._evidence(self._first), facts, code=code)

    def unjudged(self) -> str | None:
        """Say that no call with known prompts and prices follows another one."""
        return None if self._followers else "no call follows another one whose text and price are known"

    def _evidence(self, first: PrefixChange) -> Iterator[str]:
        [((place, kind), _)] = self._items.most_common(1)
        since = "" if first.since is None else f", on {first.since:%Y-%m-%d %H:%M} UTC"
        yield (
            f"{label(place)} changes ({kind}) in {self._changed:,} of {self._followers:,} calls that follow another "
            f"one ({written_share(self._changed / self._followers)}); first in call {first.since_call} of a run{since}"
        )
        yield f"what stands behind it was sent before, and a cache would have served {tokens_of(self._lost)} more"
        if not self._cached:
            yield (
                "no cache is known to have been at work in all calls: there the saving takes the cache too, and is "
                "what both save beyond the cache alone"
            )
        yield first.advice


def earlier(known: PrefixChange | None, other: PrefixChange) -> PrefixChange:
    """Give the change that came first; where times are not known, the one that was seen first."""
    if known is None or (known.since is not None and other.since is not None and other.since < known.since):
        return other
    return known
