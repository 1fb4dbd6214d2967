"""The package's own ledger as runs: who was billed for what, with fingerprints in the place of texts.

A meter with `CostMeter(fingerprint_key=…)` remembers each message of a prompt by a hash and a size. That is enough to
simulate the provider's prompt cache, budgets and routing by length; strategies that read texts are left out.

| of the ledger | becomes |
|---|---|
| a workflow run (`Attribution.run`) | an `Episode`; its conversation is the task |
| its model calls, in the order of `at` | the calls; a message that recurs is one object |
| a fingerprint | a message that says its hash, with a mark of its key and its size |
| `split.tool_schema_tokens` | a message of that size before the others, one for each agent |
| usage, cost with all corrections, model and provider | what was recorded |
| outcomes of the run, else of its session | success: no if one says no, else yes if one says yes |
| the tenant, else the workflow | source |
| the workflow | benchmark |

Calls that a provider refused without a bill, and answers from caches, are no calls here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.canonical import digest
from langchain_agentcost.errors import ReplayError, StoreUnavailable
from langchain_agentcost.finops.pieces import ABANDONED
from langchain_agentcost.finops.prompt_bill import share_out
from langchain_agentcost.ledger import Entry, Ledger, open_ledger
from langchain_agentcost.ledger.kind import noun_of
from langchain_agentcost.replay.episode import Call, Episode, Piece, Recorded
from langchain_agentcost.replay.traces.answering import most_used
from langchain_agentcost.replay.traces.fields import shown
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.replay.traces.histories import OVERHEAD_CHARS, Histories, Shared
from langchain_agentcost.replay.traces.lines import Faults

NAME = "ledger of this package"

_UNREADABLE = (
    "have no fingerprints, so that it is not known what they were sent: CostMeter(fingerprint_key=…) keeps them"
)


def episodes(ledger: Ledger, *, outcome: str | None = None, faults: Faults | None = None) -> Iterator[Episode]:
    """Read the runs of a ledger, in the order of time.

    At most a thousand runs are held at once; a run is complete when nothing of it has come for a thousand others, or
    at the end. Of a run that pauses for longer, what comes later is a fault. The outcomes of the whole ledger are held.

    Args:
        ledger: The ledger.
        outcome: Only outcomes of this name say whether a run succeeded; None takes all but "abandoned".
        faults: Where runs are named that have no fingerprints.

    Yields:
        The runs with at least one call, all of them fingerprinted.

    Example:
        >>> list(episodes(open_ledger("memory://")))
        []
    """
    noted = faults if faults is not None else Faults()
    judged = verdicts_of(ledger, outcome)
    runs: Gathering[_Run] = Gathering(_Run)
    unread = _Unread()
    try:
        for entry in ledger.entries({"kind": ["llm", "correction"]}):
            key = entry.attribution.run or (entry.parent_id if entry.kind == "correction" else None) or entry.id
            run = runs.take(key)
            if run is None:
                noted.add(
                    f"run {key}", f"entry {entry.id} came after the entries of a thousand other runs: it is left out"
                )
                continue
            run.add(entry)
            yield from _read_out(runs.put(key, run), judged, unread)
        yield from _read_out(sorted(runs.rest(), key=lambda run: run.began), judged, unread)
    finally:
        unread.note(noted)


def fits(path: Path) -> bool:
    """Tell whether a SQLite file is a ledger, or another file of this package."""
    return noun_of(path.absolute()) is not None


def read(path: Path, faults: Faults) -> Iterator[Episode]:
    """Read the runs of a ledger's file.

    Args:
        path: The file.
        faults: Where runs are named that have no fingerprints.

    Yields:
        The runs.

    Raises:
        ReplayError: If it cannot be opened, or is another file of this package.
    """
    try:
        with closing(open_ledger(path, create=False)) as ledger:
            yield from episodes(ledger, faults=faults)
    except StoreUnavailable as error:
        raise ReplayError(str(error)) from error


def verdicts_of(ledger: Ledger, name: str | None = None) -> Mapping[tuple[str, str], bool]:
    """Say whether runs and sessions succeeded: of several outcomes of a name the latest, of several names all.

    Args:
        ledger: The ledger.
        name: Only outcomes of this name; None takes all but "abandoned".

    Returns:
        The verdicts by ("run", id) and ("session", id).
    """
    latest: dict[tuple[str, str], dict[str | None, bool]] = {}
    for entry in ledger.entries({"kind": "outcome"} if name is None else {"kind": "outcome", "name": name}):
        if entry.success is None or (name is None and entry.name == ABANDONED):
            continue
        who = entry.attribution
        units = [(kind, id_) for kind, id_ in (("run", who.run), ("session", who.session)) if id_ is not None]
        if units:
            latest.setdefault(units[0], {})[entry.name] = entry.success
    return {unit: all(said.values()) for unit, said in latest.items()}


@dataclass(slots=True)
class _Unread:
    """Runs with calls that have no fingerprints: one fault, however many there are."""

    first: str = ""
    runs: int = 0
    calls: int = 0
    without: int = 0

    def add(self, run: _Run) -> None:
        self.first = self.first or shown(run.id)
        self.runs, self.calls, self.without = self.runs + 1, self.calls + len(run), self.without + run.unread

    def note(self, faults: Faults) -> None:
        if self.runs:
            place = f"run {self.first}" if self.runs == 1 else f"{self.runs:,} runs, the first of them {self.first}"
            whose = "its" if self.runs == 1 else "their"
            faults.add(place, f"{self.without:,} of {whose} {self.calls:,} calls {_UNREADABLE}")


def _read_out(runs: Iterable[_Run], judged: Mapping[tuple[str, str], bool], unread: _Unread) -> Iterator[Episode]:
    for run in runs:
        if run.unread:
            unread.add(run)
        elif len(run):
            yield run.episode(judged)


class _Made(NamedTuple):
    """A model call: its entry without its fingerprints, and the messages that stand for them."""

    entry: Entry
    prompt: tuple[BaseMessage, ...]


class _Run:
    """A workflow run, put together entry by entry."""

    def __init__(self, run: str) -> None:
        self.id = run
        self.unread = 0
        self.size = 0
        self._made: list[_Made] = []
        self._corrections: Counter[str | None] = Counter()
        self._shared = Shared()
        self._marks: dict[int, Piece] = {}

    def __len__(self) -> int:
        """Say how many calls it has."""
        return len(self._made)

    @property
    def began(self) -> datetime:
        """When its first call was made."""
        return self._made[0].entry.at if self._made else datetime.max.replace(tzinfo=UTC)

    def add(self, entry: Entry) -> None:
        """Take an entry."""
        if entry.kind == "correction":
            self._corrections[entry.parent_id] += entry.cost.total_nano if entry.cost is not None else 0
        elif entry.status == "ok" or (entry.usage is not None and entry.usage.total_tokens):
            self.unread += entry.fingerprints is None
            before = self._shared.chars
            prompt = self._prompt(entry)
            self._made.append(_Made(replace(entry, fingerprints=None), prompt))
            self.size += self._shared.chars - before + OVERHEAD_CHARS + 8 * len(prompt)

    def episode(self, judged: Mapping[tuple[str, str], bool]) -> Episode:
        """Give what was put together."""
        histories = Histories()
        knows = any(entry.usage is not None and entry.usage.cache_read_tokens for entry, _ in self._made)
        calls = [
            Call(*histories.place(prompt), AIMessage(""), recorded=self._recorded(entry, knows_cache=knows))
            for entry, prompt in self._made
        ]
        first = self._made[0].entry.attribution
        model, provider = most_used(
            (call.recorded, entry.attribution.provider) for call, (entry, _) in zip(calls, self._made, strict=True)
        )
        benchmark = first.workflow or "ledger"
        success = judged.get(("run", self.id))
        return Episode(
            shown(self.id),
            tuple(calls),
            source=first.tenant or benchmark,
            benchmark=benchmark,
            family=benchmark,
            task=first.session or shown(self.id),
            session=first.session,
            model=model,
            provider=provider,
            success=success if success is not None else judged.get(("session", first.session or "")),
            marks=self._marks,
        )

    def _prompt(self, entry: Entry) -> tuple[BaseMessage, ...]:
        """The messages that stand for a prompt: its tools, if it has any, then each fingerprint. They say its key.

        Those that are new share what the provider's count is above what stood before, so that it comes out again.
        """
        pieces = [Piece(digest(hashed), max(0, tokens)) for hashed, tokens in entry.fingerprints or ()]
        messages: list[BaseMessage] = [HumanMessage(piece.key.hex()) for piece in pieces]
        tools = _tools(entry, sum(piece.tokens for piece in pieces))
        if tools is not None:
            pieces, messages = [tools, *pieces], [SystemMessage(tools.key.hex()), *messages]
        prompt = self._shared.prompt(zip((piece.key for piece in pieces), messages, strict=True))
        new = [at for at, message in enumerate(prompt) if id(message) not in self._marks]
        weights = [pieces[at].tokens for at in new]
        usage = entry.usage
        if usage is not None and not usage.estimated and any(weights):
            known = sum(self._marks[id(message)].tokens for message in prompt if id(message) in self._marks)
            left = usage.input_tokens - known
            weights = list(share_out(left, weights)) if left >= len(new) else [min(weight, 1) for weight in weights]
        self._marks.update((id(prompt[at]), Piece(pieces[at].key, size)) for at, size in zip(new, weights, strict=True))
        return prompt

    def _recorded(self, entry: Entry, *, knows_cache: bool) -> Recorded:
        """What was booked of a call, corrections included."""
        usage = entry.usage
        knows = knows_cache and usage is not None and not usage.estimated
        cost = entry.cost.total_nano if entry.cost is not None else None
        if entry.id in self._corrections:
            cost = (cost or 0) + self._corrections[entry.id]
        of = entry.attribution
        return Recorded(usage, knows, cost, entry.at.timestamp(), of.model, of.provider)


def _tools(entry: Entry, ours: int) -> Piece | None:
    """The descriptions of an agent's tools, as large beside its messages as the entry's split says.

    Args:
        entry: The call.
        ours: The size of its messages as fingerprinted, by which the provider's counts are divided.
    """
    split = entry.split
    if split is None or not split.tool_schema_tokens:
        return None
    rest = split.new_tokens + split.resent_tokens + split.tool_result_tokens
    size = round(ours * split.tool_schema_tokens / rest) if rest else split.tool_schema_tokens
    return Piece(digest(f"tools of {entry.attribution.agent}"), size)
