"""The lines under a replay's tables: what the figures rest on, what they do not say, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_count
from langchain_agentcost.finops.base import Note
from langchain_agentcost.replay.render_table import MIRAGE, OFF, SAVED, Block, mark
from langchain_agentcost.replay.strategy import Fidelity

if TYPE_CHECKING:
    from langchain_agentcost.replay.result import Result

_NAMED = 5
"""How many faults and models are named; JSON has more."""

_BELIEF: Mapping[str, str] = {
    Fidelity.EXACT: "exact: what is sent is what was recorded, up to where a run is stopped; the dollars are proven",
    Fidelity.SAME_INFORMATION: "same info: other bytes that say the same; very likely the same answers",
    Fidelity.RECORDED_OUTCOME: "recorded: what other recorded runs of the same task cost and achieved",
    Fidelity.OPEN_LOOP: "open-loop: information is removed and the recorded answers are played all the same; what the "
    "agent would have done then is not known, so this is no saving at equal quality",
    Fidelity.PRICE_BOUND: "price bound: another model's price for recorded answers, or hindsight; an upper bound",
}


def title(result: Result) -> str:
    """Say in one line what was replayed.

    Args:
        result: The result.
    """
    if not result.episodes:
        return "Replay: no run could be replayed"
    runs = f"{written_count(result.episodes)} run{'' if result.episodes == 1 else 's'}"
    return f"Replay of {runs} with {written_count(result.calls)} model calls"


def notes_of(result: Result, blocks: tuple[Block, ...]) -> tuple[Note, ...]:
    """Write the lines under the tables, what is wrong first.

    Args:
        result: The result.
        blocks: Its blocks.
    """
    return (*_missing(result), *_basis(result), *_terms(blocks))


def _missing(result: Result) -> Iterator[Note]:
    """What is not in the figures."""
    if not result.complete:
        yield Note("Incomplete", "the replay was stopped: the figures are of the runs until then", warning=True)
    if result.faults.count:
        named = "; ".join(str(fault) for fault in result.faults.named[:_NAMED])
        text = f"{written_count(result.faults.count)} could not be read: {named}"
        yield Note("Faults", f"{text}{_more(result.faults.count)}", warning=True)
    if result.unpriced:
        by_count = sorted(result.unpriced.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{label(model)} ({written_count(count)})" for model, count in by_count[:_NAMED])
        text = f"{written_count(sum(result.unpriced.values()))}, left out, since no price is known: {named}"
        yield Note("Unpriced runs", f"{text}{_more(len(by_count))}; state it in a file, or name a model", warning=True)
    if result.unread:
        text = f"{written_count(result.unread)} whose texts are not known: strategies that read texts leave them out"
        yield Note("Unread runs", text, warning=True)


def _more(count: int) -> str:
    return f" and {written_count(count - _NAMED)} more" if count > _NAMED else ""


def _basis(result: Result) -> Iterator[Note]:
    """What the figures rest on."""
    said = {name: label(result.settings.get(name, "unknown")) for name in ("prices", "price_version", "priced_at")}
    yield Note("Prices", f"{said['prices']}; list {said['price_version']}, prices of {said['priced_at']}")
    warm = result.settings.get("warm")
    start = "cold: every run writes its tools and system message anew"
    if warm:
        start = "warm: the cache has tools and system message when a run starts, as where runs follow within minutes"
    yield Note("Prompt cache", f"simulated from the provider's published terms; {start}")
    verified = sum(sums.verified for sums in result.sums.values())
    if verified:
        how = "made in a real LangGraph graph as well, request by request, and billed the same by a real meter"
        yield Note("Verified", f"{verified:,} of the replays, a run under a strategy each, were {how}")


def _terms(blocks: tuple[Block, ...]) -> Iterator[Note]:
    """What the words in the tables mean."""
    rows = [row for block in blocks for row in block.rows]
    if not rows:
        return
    yield Note(
        SAVED,
        "dollars with prompt caching on, against the recorded runs billed alike; 95% interval by bootstrap over tasks; "
        f"{OFF}: the same comparison without prompt caching",
    )
    yield Note(
        "bill by part",
        "input that the prompt cache served / written to it / outside it / answers / calls that only the strategy "
        "makes; in failed: the part of the bill of runs that failed or were stopped",
    )
    names = {row.strategy for row in rows}
    if "prompt_cache" in names:
        yield Note("prompt_cache", f"is in every bill already; what caching itself saves stands under {OFF!r}")
    if any(mark(row) == MIRAGE for row in rows):
        yield Note(
            MIRAGE,
            f"large under {OFF!r}, little or nothing with caching on: the tokens that it removes would have been read "
            "from the cache at a discount, and it makes the rest be written anew",
        )
    if any(row.harm.get("dangling_pct") for row in rows):
        yield Note(
            "dangling",
            "steps whose recorded tool call uses a path, id or number that the strategy had removed from the prompt",
        )
    for fidelity, meaning in _BELIEF.items():
        if any(row.fidelity == fidelity for row in rows):
            name, _, text = meaning.partition(": ")
            yield Note(name, text)
