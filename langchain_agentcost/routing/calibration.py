"""What was proven of a router, as a file that a person reads before it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from langchain_agentcost.canonical import as_json, digest
from langchain_agentcost.chat_model import names_of
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.ledger.whole_file import whole_file
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.fixed_sequence import Step
from langchain_agentcost.routing.policies.within import levelled, scored_in, settings_of, with_scored
from langchain_agentcost.routing.policy import Choice, Learning, Offers, Policy, Scored
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.score_bins import ScoreBins
from langchain_agentcost.routing.tier import Tier, with_levels

FORMAT = "langchain-agentcost calibration"
VERSION = 1
_ID_CHARS = 12
_MOST_CHANGES = 20
_COUNTS = ("n", "examples", "draws")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What examples proved of a policy and its tiers. `calibrate` makes it.

    The proof is of the traffic that the examples were drawn from, on average over it: it says nothing of a single kind
    of call, and nothing once the traffic is another (`DriftMonitor` looks for that).

    Args:
        policy: The policy's name.
        settings: What it was told, as far as its expected losses go by it.
        tiers: The tiers, weakest first, with the names of their models where they have one.
        floor: The share of the strongest tier's mean quality that had to be kept.
        confidence: How sure that had to be.
        metric: What quality is here.
        examples: How many examples were used.
        draws: How many conversations they are from; the examples of one are one draw.
        left_out: Why examples were not used, and how many.
        steps: The thresholds that were tested, the first all-strong.
        missing: How many more examples it takes at least; 0 where the floor is proven, None where more of the same
            would not prove it.
        cost_share: What the router's calls cost of what they would all cost at the strongest tier; None where examples
            have no cost.
        scores: How the scores were spread.
        learned: What the policy has learnt; None where it does not learn.
        created_at: When, in UTC, as ISO 8601.
        package_version: By which version of this package.

    Attributes:
        id: A digest of all the rest.

    Example:
        >>> from langchain_agentcost.routing.fixed_sequence import fixed_sequence
        >>> steps = fixed_sequence([0.1] * 90, [1.0] * 90, [1.0] * 90, floor=0.95, confidence=0.95)
        >>> calibration = Calibration(
        ...     policy="step",
        ...     tiers={"small": None, "big": None},
        ...     floor=0.95,
        ...     confidence=0.95,
        ...     examples=90,
        ...     draws=90,
        ...     steps=steps,
        ...     missing=0,
        ...     scores=ScoreBins.of([0.1] * 90),
        ... )
        >>> calibration.proven, calibration.threshold, calibration.strong_share
        (True, 0.1, 0.0)
    """

    policy: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tiers: Mapping[str, str | None]
    floor: float
    confidence: float
    metric: str = "quality"
    examples: int
    draws: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[Step, ...]
    missing: int | None
    cost_share: float | None = None
    scores: ScoreBins
    learned: Mapping[str, Any] | None = None
    created_at: str = ""
    package_version: str = ""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _id(self._content()))

    @property
    def step(self) -> Step | None:
        """The last step that passed; None where there was nothing to test."""
        return next((step for step in reversed(self.steps) if step.passed), None)

    @property
    def proven(self) -> bool:
        """Whether a tier that is not the strongest may be used at all."""
        return self.threshold is not None

    @property
    def threshold(self) -> float | None:
        """The most that a call may be expected to lose; None leaves all calls with the strongest tier.

        That is so too where a threshold passed at which the policy would send none of the examples elsewhere.
        """
        return self.step.threshold if self.step is not None and self.step.strong_share < 1 else None

    @property
    def strong_share(self) -> float:
        """Which share of the calls the strongest tier answers."""
        return self.step.strong_share if self.step is not None else 1.0

    @property
    def why(self) -> str:
        """What was found, in a sentence."""
        if self.proven:
            return f"at least {self.floor:.0%} of {self._strongest}'s {self.metric} is proven"
        if self.missing is None:
            return "the cheaper tiers are not good enough on these examples, and more of the same would not change that"
        passed = self.step is not None and self.step.threshold is not None
        what = "nothing is routed at the thresholds that are proven" if passed else "the quality floor is not proven"
        return f"{what}: at least {self.missing:,} more examples are needed"

    def holds(self, floor: QualityFloor) -> bool:
        """Tell whether it proves a floor, or a stricter one."""
        return self.proven and floor.min <= self.floor and floor.confidence <= self.confidence

    def apply(self, policy: Policy, tiers: Sequence[Tier]) -> Policy:
        """Give the policy with what it has learnt and the threshold that was proven, in what stands around it.

        Where nothing was proven, that is one that sends every call to the strongest tier.

        Raises:
            RoutingError: If it is the calibration of another policy, of one with other settings, or of other tiers; the
                message says what differs.
        """
        scored = scored_in(policy)
        if scored is None or scored.name != self.policy:
            raise RoutingError(f"Calibration {self.id} is of policy {self.policy!r}, not {(scored or policy).name!r}.")
        self._check(tiers)
        policy = levelled(policy, with_levels(tiers))
        scored = self._same_settings(scored_in(policy) or scored)
        if self.learned is not None:
            if not isinstance(scored, Learning):
                raise RoutingError(f"Calibration {self.id} has learnt something, and {scored.name!r} does not learn.")
            scored = scored.with_learned(self.learned)
        if self.threshold is None:
            return _Strongest(self.policy, self.why)
        return with_scored(policy, scored.with_threshold(self.threshold))

    def save(self, path: Path | str) -> None:
        """Write it to a file, as indented JSON.

        Raises:
            StoreUnavailable: If the file cannot be written; what was there is there still.
        """
        with whole_file(path) as file:
            file.write(json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            RoutingError: If there is no such file, or it is damaged, was changed by hand or is of a newer version.
        """
        try:
            data = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise RoutingError(f"{path} is no calibration that can be read: {error}.") from error
        return cls.from_dict(data, source=str(path))

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"format": FORMAT, "version": VERSION, "id": self.id, **self._content()}

    @classmethod
    def from_dict(cls, data: Any, *, source: str = "This") -> Self:
        """Read what `as_dict` wrote.

        Args:
            data: It.
            source: What an error is about.

        Raises:
            RoutingError: If it is something else, was changed since, or is of a newer version.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT or not isinstance(data.get("version"), int):
            raise RoutingError(f"{source} is no calibration.")
        if data["version"] > VERSION:
            raise RoutingError(f"{source} was written by a newer version: update langchain-agentcost to read it.")
        content = {name: value for name, value in data.items() if name not in ("format", "version", "id")}
        if data.get("id") != _id(content):
            raise RoutingError(f"{source} is damaged or was changed after it was written; calibrate again.")
        try:
            return cls(**(content | _read(content)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RoutingError(f"{source} is no calibration: {error!r}.") from error

    def diff(self, other: Calibration) -> str:
        """Say what changes if another calibration takes the place of this one, a line each: figures, then counts."""
        before, after = (
            _leaves({**each.summary(), "settings": each.settings, "learned": each.learned or {}})
            for each in (self, other)
        )
        lines = _changes(before, after)
        more = [f"and {len(lines) - _MOST_CHANGES} more"] if len(lines) > _MOST_CHANGES else []
        return "\n".join([f"{self.id} -> {other.id}", *lines[:_MOST_CHANGES], *more])

    def summary(self) -> dict[str, Any]:
        """Give what it says in few figures."""
        step = self.step
        return {
            "policy": self.policy,
            "tiers": dict(self.tiers),
            "metric": self.metric,
            "floor": self.floor,
            "confidence": self.confidence,
            "proven": self.proven,
            "missing": self.missing,
            "threshold": self.threshold,
            "strong_share": self.strong_share,
            "quality": step.quality if step else None,
            "strong_quality": step.strong_quality if step else None,
            "cost_share": self.cost_share,
            "examples": self.examples,
            "draws": self.draws,
            "left_out": dict(self.left_out),
        }

    def __str__(self) -> str:
        """Say it in a few lines."""
        tiers = ", ".join(name if model is None else f"{name} = {model}" for name, model in self.tiers.items())
        lines = [f"Calibration {self.id} of policy {self.policy!r} ({tiers})", f"  {self.why}"]
        if self.proven and self.step is not None:
            cost = "" if self.cost_share is None else f", for {self.cost_share:.0%} of its cost"
            lines[1] += f" at {self.confidence:.0%} confidence"
            lines.append(
                f"  {self.strong_share:.0%} of calls go to {self._strongest}{cost}; threshold {self.threshold:.4g}"
            )
            lines.append(f"  {self.metric} {self.step.quality:.3f} against {self.step.strong_quality:.3f}")
        lines.append(f"  {self.examples:,} examples of {self.draws:,} conversations, {self.created_at}")
        lines += [f"  left out: {count:,}, {reason}" for reason, count in self.left_out.items()]
        return "\n".join(lines)

    @property
    def _strongest(self) -> str:
        return next(reversed(list(self.tiers)), "the strongest tier")

    def _check(self, tiers: Sequence[Tier]) -> None:
        models = {tier.name: names_of(tier.model)[0] for tier in tiers}
        if list(models) != list(self.tiers):
            raise RoutingError(f"Calibration {self.id} is of tiers {_listed(self.tiers)}, not {_listed(models)}.")
        for name, model in models.items():
            if self.tiers[name] is not None and model is not None and model != self.tiers[name]:
                raise RoutingError(
                    f"Calibration {self.id} is of {self.tiers[name]!r} as tier {name!r}, not of {model!r}."
                )

    def _same_settings(self, scored: Scored) -> Scored:
        changes = _changes(_leaves(self.settings), _leaves(_plain(settings_of(scored))))
        if changes:
            raise RoutingError(
                f"Calibration {self.id} is of a {self.policy!r} policy with other settings, of which nothing is proven "
                f"with these; calibrate again. Then -> now: {'; '.join(changes)}."
            )
        return scored

    def _content(self) -> dict[str, Any]:
        content = {name: getattr(self, name) for name in self.__slots__ if name not in ("id", "steps", "scores")}
        steps, scores = [asdict(step) for step in self.steps], asdict(self.scores)
        return _plain({**content, "steps": steps, "scores": scores})


@dataclass(frozen=True, slots=True)
class _Strongest:
    """Stands for a policy of which nothing was proven."""

    name: str
    why: str

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the strongest tier."""
        del request
        return Choice(tier=offers[-1].name, policy=self.name, reasons=(self.why,))


def _id(content: Mapping[str, Any]) -> str:
    return digest(as_json(content)).hex()[:_ID_CHARS]


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that are more than plain data."""
    scores = content["scores"]
    references = tuple(tuple(map(int, counts)) for counts in scores["references"])
    return {
        "steps": tuple(Step(**step) for step in content["steps"]),
        "scores": ScoreBins(edges=tuple(map(float, scores["edges"])), references=references),
    }


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(data, default=dict))
    return plain


def _leaves(data: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Each value by the names that lead to it."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= _leaves(value, f"{path}{name} / ") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs, a line each; counts of examples, which nearly always do, after all else."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    names.sort(key=lambda name: name.startswith("left_out") or name.split(" / ")[-1] in _COUNTS)
    return [f"{name}: {_told(before.get(name))} -> {_told(after.get(name))}" for name in names]


def _told(value: Any) -> str:
    return "nothing" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names)
