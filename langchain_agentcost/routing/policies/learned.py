"""What examples teach of each kind of step: what a tier loses there, as far as it was tried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.signature import Signature

SHRINKAGE = 10
"""How many examples of a signature weigh as much as what is known of the coarser one."""

_DIGITS = 6


class Loss(NamedTuple):
    """What a tier lost on examples: how many, and on average against the reference, from -1 to 1."""

    n: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLosses:
    """Mean losses by signature and tier, each drawn towards the coarser signature's where examples are few.

    A signature's `n` examples have the weight n / (n + 10); the rest is the next coarser signature's, and at last the
    prior's (James and Stein's shrinkage, with a weight that is fixed and so can be read off the table).

    Args:
        reference: The tier that the others are compared with; None where nothing was learnt.
        examples: How many examples it is from.
        table: By a signature's key and tier.

    Example:
        >>> from langchain_agentcost.routing.request import RouteRequest
        >>> request = RouteRequest.of("Total?", node="extract")
        >>> learned = LearnedLosses.of(
        ...     [Example(request=request, quality={"small": 0, "big": 1})] * 30, ["small", "big"]
        ... )
        >>> learned.losses(request.signature, {"small": 0.0}), learned.seen(request.signature)
        ({'small': 0.75}, 30)
    """

    reference: str | None = None
    examples: int = 0
    table: Mapping[str, Mapping[str, Loss]] = field(default_factory=dict)

    @classmethod
    def of(cls, examples: Iterable[Example], tiers: Sequence[str]) -> Self:
        """Learn from examples that the strongest tier answered too; the others say nothing of a loss.

        Args:
            examples: Calls and how good the tiers' answers were.
            tiers: The tiers, weakest first; the last is the reference.
        """
        reference = tiers[-1]
        paired = [example for example in examples if reference in example.quality]
        lost: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for example in paired:
            best = example.quality[reference]
            for key in dict.fromkeys(example.request.signature.coarser()):
                for tier in example.quality:
                    lost[key][tier].append(best - example.quality[tier])
        table = {key: {tier: _mean(values) for tier, values in by_tier.items()} for key, by_tier in lost.items()}
        return cls(reference=reference, examples=len(paired), table=table)

    def losses(self, signature: Signature, priors: Mapping[str, float]) -> dict[str, float]:
        """Give what tiers are expected to lose on a kind of step.

        Args:
            signature: The kind of step.
            priors: What each is expected to lose as far as nothing is known.
        """
        rows = [row for key in signature.coarser() if (row := self.table.get(key)) is not None]
        return {tier: _shrunk([row[tier] for row in rows if tier in row], prior) for tier, prior in priors.items()}

    def seen(self, signature: Signature) -> int:
        """Say how many examples of the very kind of step, of whatever length, there are of the tier tried least."""
        by_tier = self.table.get(signature.coarser()[1], {})
        return min((loss.n for loss in by_tier.values()), default=0)

    def knows(self, signature: Signature) -> bool:
        """Tell whether there is any example of a kind of step, or of what it is a case of."""
        return signature.coarser()[-1] in self.table

    def as_dict(self) -> dict[str, Any]:
        """Write it as a table that a person can read."""
        rows = {
            key: {tier: {"n": loss.n, "loss": loss.mean} for tier, loss in sorted(by_tier.items())}
            for key, by_tier in sorted(self.table.items())
        }
        return {"reference": self.reference, "examples": self.examples, "signatures": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            RoutingError: If it is not that.
        """
        try:
            table = {
                str(key): {str(tier): Loss(int(cell["n"]), float(cell["loss"])) for tier, cell in row.items()}
                for key, row in data["signatures"].items()
            }
            return cls(reference=data["reference"], examples=int(data["examples"]), table=table)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RoutingError(f"This is no table of losses by signature: {error!r}.") from error


def _shrunk(known: Sequence[Loss], prior: float) -> float:
    """Draw what was seen, closest signature first, towards the next coarser one's and the prior."""
    value = prior
    for at in range(len(known) - 1, -1, -1):
        n, mean = known[at]
        if at and known[at - 1].n == n:
            continue  # the closer signature's examples are the very same: they count once
        value += (mean - value) * n / (n + SHRINKAGE)
    return value


def _mean(values: Sequence[float]) -> Loss:
    return Loss(len(values), round(sum(values) / len(values), _DIGITS))
