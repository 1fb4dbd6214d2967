"""A ledger's runs as what advice looks at: counts and money, and no text.

What prompts have in common is read from fingerprints where there are some; else from their lengths, which is an upper
bound: a prompt that is longer than the one before is taken to go on from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from langchain_agentcost.ledger import Entry, Ledger
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.watch import Watch
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms
from langchain_agentcost.replay.advice.paid import IN_TOKENS, scale_of
from langchain_agentcost.replay.advice.seen import AS_IT_WAS, Basis, Repetition, SeenCall, SeenRun, Unit
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.run import Outcome
from langchain_agentcost.replay.strategies.limits import Breakers
from langchain_agentcost.replay.strategies.truncate import Truncate
from langchain_agentcost.replay.sums import PARTS
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.replay.traces.ledger import verdicts_of
from langchain_agentcost.replay.traces.lines import Faults
from langchain_agentcost.usage import Usage

_ENTRY_CHARS = 2_000
"""What an entry takes in memory, about."""

_TOOLS, _USER, _RESULTS = PARTS.index("tools"), PARTS.index("user"), PARTS.index("tool results")


class LedgerReader:
    """Puts the runs of a ledger together.

    Args:
        tariffs: The prices, for what-ifs; what was paid is what was booked.
        faults: Where entries are named that came too late to be added to their run.
    """

    def __init__(self, tariffs: Tariffs, faults: Faults) -> None:
        self._tariffs = tariffs
        self._faults = faults

    def read(self, ledger: Ledger) -> Iterator[SeenRun]:
        """Give the runs, one for each model in each workflow run."""
        judged = verdicts_of(ledger)
        runs: Gathering[_Run] = Gathering(_Run)
        for entry in ledger.entries({"kind": ["llm", "tool", "correction"]}):
            key = entry.attribution.run or (entry.parent_id if entry.kind == "correction" else None) or entry.id
            run = runs.take(key)
            if run is None:
                self._faults.add(f"run {key}", f"entry {entry.id} came after a thousand other runs: it is left out")
                continue
            run.add(entry)
            for complete in runs.put(key, run):
                yield from self._seen(complete, judged)
        for complete in runs.rest():
            yield from self._seen(complete, judged)

    def _seen(self, run: _Run, judged: Mapping[tuple[str, str], bool]) -> Iterator[SeenRun]:
        stops = _stopped_at(run.entries)
        for strand in run.strands():
            first = strand[0].attribution
            success = judged.get(("run", run.id))
            success = judged.get(("session", first.session or "")) if success is None else success
            tariff = self._tariffs.of(first.model, first.provider)
            yield _Strand(strand, tariff, run.corrections, stops).seen(first.session or run.id, success)


class _Run:
    """A workflow run, put together entry by entry."""

    def __init__(self, run: str) -> None:
        self.id = run
        self.entries: list[Entry] = []
        self.corrections: Counter[str | None] = Counter()

    @property
    def size(self) -> int:
        """How much it holds, about, in characters."""
        return sum(_ENTRY_CHARS + 100 * len(entry.fingerprints or ()) for entry in self.entries)

    def add(self, entry: Entry) -> None:
        """Take an entry; a call that a provider refused without a bill is none."""
        if entry.kind == "correction":
            self.corrections[entry.parent_id] += entry.cost.total_nano if entry.cost is not None else 0
        elif entry.kind == "tool" or (entry.usage is not None and entry.usage.total_tokens):
            self.entries.append(entry)

    def strands(self) -> Iterator[Sequence[Entry]]:
        """Give the model calls by model: each has prices and a prompt cache of its own."""
        found: dict[str | None, list[Entry]] = {}
        for entry in self.entries:
            if entry.kind == "llm":
                found.setdefault(entry.attribution.model, []).append(entry)
        yield from found.values()


class _Stop(NamedTuple):
    """Where a breaker would have ended a run.

    Args:
        calls: The ids of the model calls that would have been made.
        kind: The breaker.
        repetition: What repeated itself.
    """

    calls: frozenset[str]
    kind: str
    repetition: Repetition


def _stopped_at(entries: Sequence[Entry]) -> _Stop | None:
    """Hold the package's breakers over a run, as far as a ledger has what they look at: failing tools, by name."""
    watch = Watch(CircuitBreaker.defaults())
    made: set[str] = set()
    failures: Counter[str] = Counter()
    for entry in entries:
        if entry.kind == "tool":
            tool, failed = entry.attribution.tool or "?", entry.status != "ok"
            failures[tool] += failed
            watch.tool_returned(tool=tool, call=tool, result=None, failed=failed)
            continue
        trips = watch.before_model(input_tokens=_usage(entry).input_tokens, at_s=entry.at.timestamp())
        stop = next((trip for trip in trips if trip.level == "stop"), None)
        if stop is not None:
            [(tool, times)] = failures.most_common(1)
            return _Stop(frozenset(made), stop.breaker.kind, Repetition(tool, times))
        made.add(entry.id)
    return None


@dataclass(frozen=True, slots=True)
class _Strand:
    """The calls of one model in a run."""

    entries: Sequence[Entry]
    tariff: Tariff | None
    corrections: Mapping[str | None, int]
    stop: _Stop | None

    def seen(self, task: str, success: bool | None) -> SeenRun:
        first = self.entries[0].attribution
        benchmark = first.workflow or "ledger"
        traffic = Traffic(benchmark, benchmark, first.tenant or benchmark, first.model)
        unpriced = self.tariff is None and any(self._cost(entry) is None for entry in self.entries)
        tariff = IN_TOKENS if unpriced or self.tariff is None else self.tariff
        calls = tuple(self._call(entry, tariff) for entry in self.entries)
        usages = [_usage(entry) for entry in self.entries]
        amount = sum(call.amount for call in calls)
        known = tariff is not IN_TOKENS and all(call.basis is Basis.RECORDED for call in calls)
        return SeenRun(
            traffic,
            task,
            Unit.TOKENS if tariff is IN_TOKENS else Unit.USD,
            calls,
            success,
            dict(self._outcomes(tariff)),
            scale_of(amount, tariff, usages) if known else scale_of(0, tariff, ()),
            None if tariff is IN_TOKENS else tariff,
            self._parts(),
            repetition=self.stop.repetition if self.stop is not None else None,
            surely=all(entry.fingerprints is not None for entry in self.entries),
        )

    def _cost(self, entry: Entry) -> int | None:
        if entry.cost is None and entry.id not in self.corrections:
            return None
        return (entry.cost.total_nano if entry.cost is not None else 0) + self.corrections.get(entry.id, 0)

    def _call(self, entry: Entry, tariff: Tariff) -> SeenCall:
        usage, cost = _usage(entry), self._cost(entry)
        reads = None if usage.estimated else usage.cache_read_tokens
        if tariff is IN_TOKENS:
            return SeenCall(usage.input_tokens, usage.output_tokens, usage.total_tokens, Basis.COUNTED, reads)
        basis = Basis.PRICED if cost is None else Basis.RECORDED
        return SeenCall(
            usage.input_tokens, usage.output_tokens, tariff.nano(usage) if cost is None else cost, basis, reads
        )

    def _outcomes(self, tariff: Tariff) -> Iterator[tuple[str, Outcome]]:
        """What the calls would cost with the prompt cache, with the breakers, and with shorter tool results."""
        prefixes = list(_prefixes(self.entries, tariff.terms))
        sent = [(entry, prefix, 0, 0) for entry, prefix in zip(self.entries, prefixes, strict=True)]
        yield AS_IT_WAS, _paid(sent, tariff)
        broken = sent if self.stop is None else [one for one in sent if one[0].id in self.stop.calls]
        stopped = _paid(broken, tariff)
        stopped.stopped = self.stop.kind if self.stop is not None and len(broken) < len(sent) else None
        yield Breakers.name, stopped
        if all(entry.split is not None for entry in self.entries):
            over = [max(0, entry.split.tool_result_tokens - Truncate().tokens) for entry in self.entries if entry.split]
            cut = list(accumulate(over, initial=0))
            shorter = [
                (entry, prefix, cut[at], cut[at + 1])
                for at, (entry, prefix) in enumerate(zip(self.entries, prefixes, strict=True))
            ]
            yield Truncate.name, _paid(shorter, tariff)

    def _parts(self) -> tuple[int, ...] | None:
        """The tokens sent by what they are; who said what is not known, so that all of it counts as the user's."""
        sums, piled = [0] * len(PARTS), 0
        for entry in self.entries:
            if entry.split is None:
                return None
            split, sent = entry.split, _usage(entry).input_tokens
            piled = min(piled + split.tool_result_tokens, max(0, sent - split.tool_schema_tokens))
            sums[_TOOLS] += split.tool_schema_tokens
            sums[_RESULTS] += piled
            sums[_USER] += max(0, sent - split.tool_schema_tokens - piled)
        return tuple(sums)


def _usage(entry: Entry) -> Usage:
    return entry.usage or Usage()


def _paid(sent: Sequence[tuple[Entry, int, int, int]], tariff: Tariff) -> Outcome:
    """Bill calls: each with the tokens that the cache has of it, and what is cut of these and of its whole input."""
    outcome = Outcome()
    for entry, prefix, cut_before, cut in sent:
        usage = _usage(entry)
        total = max(0, usage.input_tokens - cut)
        known = max(0, min(total, prefix - cut_before))
        read = tariff.terms.cached(known, total) if tariff.terms is not None else 0
        outcome.costs.append(0)
        outcome.pay(tariff, tariff.usage(total, usage.output_tokens, read_tokens=read))
    return outcome


def _prefixes(entries: Sequence[Entry], terms: PromptCacheTerms | None) -> Iterator[int]:
    """For each call the tokens that an earlier one had sent, and that are not yet forgotten.

    The sizes of a prompt are shares of the provider's count, so that a beginning that fingerprints prove to be the same
    may be smaller than before. Where lengths only are known, a shorter prompt is another one.
    """
    sent: dict[object, tuple[int, float]] = {}
    for entry in entries:
        at_s, found = entry.at.timestamp(), 0
        beginnings = _beginnings(entry)
        for key, tokens in reversed(beginnings):
            before = sent.get(key)
            if before is None or terms is None or at_s - before[1] > terms.ttl_s:
                continue
            if entry.fingerprints or before[0] <= tokens:
                found = min(before[0], tokens)
                break
        yield found
        sent.update((key, (tokens, at_s)) for key, tokens in beginnings)


def _beginnings(entry: Entry) -> list[tuple[object, int]]:
    """The beginnings of a prompt and their sizes: by content where fingerprints tell, else the whole, by its node."""
    total = _usage(entry).input_tokens
    if not entry.fingerprints:
        return [(entry.attribution.node, total)]
    schemas = entry.split.tool_schema_tokens if entry.split is not None else 0
    ours = sum(tokens for _, tokens in entry.fingerprints) or 1
    found: list[tuple[object, int]] = []
    key, sum_ = hash(("tools", schemas)), 0
    for print_, tokens in entry.fingerprints:
        key, sum_ = hash((key, print_)), sum_ + tokens
        found.append((key, schemas + (total - schemas) * sum_ // ours))
    return found
