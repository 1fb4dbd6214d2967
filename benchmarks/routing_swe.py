"""Cascades of coding agents on SWE-bench Verified: what they cost and solve, and which are refused, by name.

Each instance was tried by every model (mini-SWE-agent, real spend). A cascade lets the cheap agent try first and the
strong one where a check rejects its patch; the failed attempt is paid and thrown away whole. Quality is the share of
instances resolved; cost is a share of what the strong agent alone costs. "perfect" is a check that never errs (the
hidden tests), ".9/.2" one that accepts 90 % of right and 20 % of wrong patches. "oracle" knows beforehand whether the
cheap agent solves an instance, and asks the strong one only where that alone does. A check's errors are taken to be
independent of the instance. claude-3-7-sonnet-20250219 is left out: its flags are inconsistent.

Then the agents are ranked by measured cost per resolved instance, and the dominated are named; list prices play no
part. Last come the other cascades that lose money even with a perfect check.

With `--test DIR` the instances there are scored as well: alone, and together with those of `--data`, which is the
published table where the two are all of its 500.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from routing_data import table
from rows import parser, publish

from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.routing.cascade_cost import Attempt, Cascade, Share, dominated
from langchain_agentcost.routing.tier import Record

FILE = "swebench_miniswe.parquet"
LEFT_OUT = frozenset({"claude-3-7-sonnet-20250219"})
CHECKS = {"perfect": (1.0, 0.0), ".9/.2": (0.9, 0.2), ".9/.4": (0.9, 0.4)}
"""By name, which share of right and of wrong patches a check accepts."""

_OF_CHECKS = tuple(f"{check}_{what}" for check in CHECKS for what in ("q", "cost"))
COLUMNS = (
    "system", "instances", "n", "q_cheap", "q_strong", *_OF_CHECKS, "oracle_cost",
    "resolved", "usd_per_instance", "usd_per_resolved", "refused",
)  # fmt: skip

PAIRS = (
    ("gpt-5-mini-2025-08-07", "claude-opus-4-5-20251101"),
    ("gpt-5-mini-2025-08-07", "claude-sonnet-4-5-20250929"),
    ("deepseek-v3.2-reasoner", "claude-opus-4-5-20251101"),
    ("gpt-5-mini-2025-08-07", "gpt-5-2025-08-07"),
    ("glm-4.6", "claude-sonnet-4-5-20250929"),
    ("devstral-small-2512", "claude-opus-4-5-20251101"),
    ("devstral-2512", "claude-opus-4-5-20251101"),
    ("gpt-5-nano-2025-08-07", "gpt-5-2025-08-07"),
    ("gpt-oss-120b", "gpt-5.1-2025-11-13"),
)


class Run(NamedTuple):
    """One agent's attempt at one instance, and what it cost in nano-USD."""

    resolved: bool
    nano: int


Runs = Mapping[str, Mapping[str, Run]]
"""By model, its run on each instance."""


def runs(folder: Path) -> Runs:
    """Read the runs of a folder."""
    columns = table(folder / FILE)
    found: dict[str, dict[str, Run]] = defaultdict(dict)
    names = ("model", "instance_id", "resolved", "cost_usd")
    for model, instance, resolved, usd in zip(*(columns[name] for name in names), strict=True):
        if model not in LEFT_OUT:
            found[model][instance] = Run(resolved, to_nano(Decimal(repr(usd))))
    return found


def cascade_rows(found: Runs) -> Iterator[dict[str, Any]]:
    """Give a row for each of `PAIRS` of which there are runs."""
    tiers = _attempts(found)
    for cheap, strong in PAIRS:
        if cheap not in found or strong not in found:
            continue
        row: dict[str, Any] = {
            "n": len(found[cheap]),
            "q_cheap": tiers[cheap].quality,
            "q_strong": tiers[strong].quality,
        }
        refused: dict[str, None] = {}
        for check in CHECKS:
            cascade = _cascade(found, cheap, strong, check)
            row |= {f"{check}_q": cascade.quality, f"{check}_cost": cascade.share_of_strong}
            for refusal in cascade.refusals(tiers.values()):
                refused[refusal.why if refusal.name == "dominated" else f"{refusal.name} ({check})"] = None
        row["oracle_cost"] = _oracle(found[cheap], found[strong])
        shown = {name: value if isinstance(value, int) else _shown(value) for name, value in row.items()}
        yield {"system": f"{cheap} -> {strong}", **shown, "refused": "; ".join(refused) or None}


def tier_rows(found: Runs) -> Iterator[dict[str, Any]]:
    """Give a row for each agent, by what a resolved instance costs."""
    tiers = _attempts(found)
    beaten = dominated(tiers.values())
    for name, tier in sorted(tiers.items(), key=lambda item: item[1].nano_per_solved or float("inf")):
        per_solved = tier.nano_per_solved
        yield {
            "system": name,
            "n": len(found[name]),
            "resolved": _shown(tier.quality),
            "usd_per_instance": from_nano(tier.nano),
            "usd_per_resolved": None if per_solved is None else from_nano(per_solved),
            "refused": f"dominated by {beaten[name]}" if name in beaten else None,
        }


def losing_rows(found: Runs) -> Iterator[dict[str, Any]]:
    """Give a row for each other cascade, up to an agent worth having, that loses money with a check that never errs."""
    tiers = _attempts(found)
    beaten = dominated(tiers.values())
    for cheap, strong in permutations(tiers, 2):
        if (cheap, strong) in PAIRS or strong in beaten or tiers[cheap].nano >= tiers[strong].nano:
            continue
        cascade = _cascade(found, cheap, strong, "perfect")
        named = [refusal.name for refusal in cascade.refusals(tiers.values())]
        if "loses money" in named:
            shown = {"perfect_q": _shown(cascade.quality), "perfect_cost": _shown(cascade.share_of_strong)}
            yield {"system": f"{cheap} -> {strong}", "n": len(found[cheap]), **shown, "refused": "; ".join(named)}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = parser(__doc__, data=True)
    arguments.add_argument("--test", type=Path, metavar="DIR", help="score the instances of this folder as well")
    options = arguments.parse_args(argv)
    sets = {"data": runs(options.data)}
    if options.test:
        sets["test"] = runs(options.test)
        sets["both"] = {model: {**tried, **sets["test"].get(model, {})} for model, tried in sets["data"].items()}
    found = []
    for table_of in (cascade_rows, tier_rows, losing_rows):
        found += [{"system": row.pop("system"), "instances": of, **row} for of in sets for row in table_of(sets[of])]
    publish("routing_swe", [{column: row.get(column) for column in COLUMNS} for row in found], options.json)
    for of, its in sets.items():
        print(f"{of}: {max(map(len, its.values()))} instances, {len(its)} agents; the published figures are of 500.")


def _attempts(found: Runs) -> dict[str, Attempt]:
    return {model: _attempt(model, list(tried.values())) for model, tried in sorted(found.items())}


def _attempt(model: str, tried: Sequence[Run]) -> Attempt:
    record = Record(runs=len(tried), solved=sum(run.resolved for run in tried), nano=sum(run.nano for run in tried))
    made = Attempt.of(model, record)
    assert made is not None
    return made


def _cascade(found: Runs, cheap: str, strong: str, check: str) -> Cascade:
    """The strong agent is looked at apart where the cheap one was right and where not: the latter are the harder."""
    first, second = found[cheap], found[strong]
    parts = [[second[at] for at in first if first[at].resolved is resolved] for resolved in (True, False)]
    after = [_attempt(strong, part) if part else None for part in parts]
    right, wrong = CHECKS[check]
    return Cascade(
        cheap=_attempt(cheap, list(first.values())),
        strong=_attempt(strong, list(second.values())),
        accepts_right=right,
        accepts_wrong=wrong,
        after_right=after[0],
        after_wrong=after[1],
    )


def _oracle(first: Mapping[str, Run], second: Mapping[str, Run]) -> Fraction:
    asked = [second[at] if second[at].resolved and not first[at].resolved else first[at] for at in first]
    return Fraction(sum(run.nano for run in asked), sum(run.nano for run in second.values()))


def _shown(value: Share | None) -> float | None:
    return None if value is None else round(float(value), 4)


if __name__ == "__main__":
    main()
