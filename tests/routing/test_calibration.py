from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.calibrating import calibrate
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.fixed_sequence import fixed_sequence
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Choice, Offer, Offers, cheapest_within
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.router import Router
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel

TIERS = [Tier(name, FakeMeteredChatModel(model=f"{name}-1")) for name in ("small", "big")]
NAMES = ["small", "big"]
RIGHT_SMALL = {"format": 0.93, "chat": 0.7, "plan": 0.3}
"""How often the small tier is right, by node; the big one is in 90 % of all calls."""


def example(node: str, draw: Random, *, thread: str | None = None, **facts: Any) -> Example:
    """A call of a node, answered by both tiers."""
    quality = {"small": float(draw.random() < RIGHT_SMALL[node]), "big": float(draw.random() < 0.9)}
    return Example(request=RouteRequest.of("Text", node=node, thread=thread), quality=quality, **facts)


def traffic(count: int, *, seed: int = 1, **facts: Any) -> list[Example]:
    """Calls of three nodes, in turns."""
    draw = Random(seed)  # noqa: S311  # calls that can be had again
    return [example(list(RIGHT_SMALL)[place % 3], draw, **facts) for place in range(count)]


@dataclass(frozen=True, slots=True)
class Guess:
    """A scored policy that takes its expected losses from the request's metadata."""

    threshold: float = 0.0
    name: str = "guess"

    def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
        """Give what each tier is expected to lose."""
        return {**{tier: request.metadata.get(tier, 0.5) for tier in tiers}, tiers[-1]: 0.0}

    def with_threshold(self, threshold: float) -> Self:
        """Give another threshold."""
        return replace(self, threshold=threshold)

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose by the threshold."""
        losses = self.losses(request, [offer.name for offer in offers])
        return cheapest_within(self.name, losses, offers, threshold=self.threshold)


@dataclass(frozen=True, slots=True)
class Parrot(Guess):
    """A policy that knows each example that it has seen by heart, and nothing else: the worst of those that learn."""

    name: str = "parrot"
    known: Mapping[str, float] = field(default_factory=dict)

    def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
        """Give what each tier is expected to lose."""
        return {tiers[0]: self.known.get(request.text, 0.3), tiers[-1]: 0.0}

    def fit(self, examples: Sequence[Example], tiers: Sequence[str]) -> Self:
        """Learn by heart."""
        del tiers
        return replace(self, known={one.request.text: one.quality["big"] - one.quality["small"] for one in examples})

    def as_dict(self) -> dict[str, Any]:
        """Give what it knows."""
        return {"known": dict(self.known)}

    def with_learned(self, data: Mapping[str, Any]) -> Self:
        """Know it again."""
        return replace(self, known=data["known"])


@pytest.fixture(scope="module")
def proven() -> Calibration:
    """The calibration of a step policy on 900 calls."""
    return calibrate(StepPolicy(), traffic(900), TIERS)


def test_calibration_sends_the_kinds_of_call_that_are_good_enough_to_the_small_tier(proven: Calibration) -> None:
    """With 900 examples one of three nodes is proven: a third of the calls is cheap, and quality is kept."""
    assert proven.proven
    assert proven.missing == 0
    assert proven.strong_share == pytest.approx(2 / 3, abs=0.01)
    policy = proven.apply(StepPolicy(), TIERS)
    offers = [Offer(tier=tier) for tier in TIERS]
    chosen = {node: policy.choose(RouteRequest.of("Text", node=node), offers).tier for node in RIGHT_SMALL}
    assert chosen == {"format": "small", "chat": "big", "plan": "big"}


def test_floor_that_is_lower_allows_more(proven: Calibration) -> None:
    """At 80 % of the strongest tier's quality the chat may go to the small tier too."""
    assert calibrate(StepPolicy(), traffic(900), TIERS, floor=0.8).strong_share < proven.strong_share


def test_too_few_examples_stay_with_the_strongest_tier_and_say_how_many_are_missing() -> None:
    """30 examples prove nothing: the policy that comes of it sends everything to the strongest tier."""
    calibration = calibrate(StepPolicy(), traffic(30), TIERS)
    assert not calibration.proven
    assert calibration.missing is not None
    assert 10 <= calibration.missing <= 200
    assert f"{calibration.missing} more examples are needed" in calibration.why
    policy = calibration.apply(StepPolicy(threshold=1.0), TIERS)
    choice = policy.choose(RouteRequest.of("Text", node="format"), [Offer(tier=tier) for tier in TIERS])
    assert (choice.tier, choice.reasons) == ("big", (calibration.why,))


def test_as_many_examples_as_were_missing_prove_it() -> None:
    """Where the traffic goes on as it was, the number that is said to be missing is about right."""
    few = traffic(45, seed=4)
    missing = calibrate(StepPolicy(), few, TIERS, floor=0.9).missing
    assert missing is not None
    assert calibrate(StepPolicy(), traffic(3 * (45 + missing), seed=4), TIERS, floor=0.9).proven


def test_no_examples_are_no_error() -> None:
    """Nothing is proven by nothing, and how many it takes at the least is said."""
    calibration = calibrate(StepPolicy(), [], TIERS)
    assert (calibration.proven, calibration.examples, calibration.threshold) == (False, 0, None)
    assert calibration.missing is not None
    assert calibration.missing > 58
    assert calibration.learned is None


def test_tier_that_is_plainly_worse_is_missing_nothing() -> None:
    """Where the cheap tier is always wrong, no number of examples would prove it, and that is said."""
    lost = [Example(request=RouteRequest.of("Text"), quality={"small": 0, "big": 1})] * 200
    calibration = calibrate(StepPolicy(), lost, TIERS)
    assert calibration.missing is None
    assert "not good enough" in calibration.why


def test_what_an_example_taught_does_not_score_it() -> None:
    """A policy that knows its examples by heart proves nothing, while scored by what it was taught it would."""
    draw = Random(2)  # noqa: S311  # calls that can be had again
    calls = [
        Example(
            request=RouteRequest.of(f"Call {place}"),
            quality={"small": float(draw.random() < 0.5), "big": 1.0},
        )
        for place in range(600)
    ]
    assert not calibrate(Parrot(), calls, TIERS).proven
    cheated = Guess()
    taught = [replace(one, request=replace(one.request, metadata={"small": 1 - one.quality["small"]})) for one in calls]
    assert calibrate(cheated, taught, TIERS).proven


def test_policy_that_is_used_passes_each_threshold_too() -> None:
    """A kind of call of which the folds expect different losses is not let through on the strength of half of it."""
    for seed in range(10):
        calls = traffic(300, seed=seed)
        calibration = calibrate(StepPolicy(), calls, TIERS)
        policy = calibration.apply(StepPolicy(), TIERS)
        chosen = [policy.choose(one.request, [Offer(tier=tier) for tier in TIERS]).tier for one in calls]
        quality = sum(one.quality[tier] for one, tier in zip(calls, chosen, strict=True))
        assert quality >= 0.95 * sum(one.quality["big"] for one in calls)
        assert calibration.strong_share >= chosen.count("big") / len(calls)


def test_examples_that_come_in_turns_are_not_folded_in_turns() -> None:
    """With as many kinds of call in turns as there are folds, each fold still has some of every kind."""
    calls = [
        Example(
            request=RouteRequest.of("Text", node=f"n{place % 5}"), quality={"small": float(place % 5 == 0), "big": 1.0}
        )
        for place in range(500)
    ]
    assert calibrate(StepPolicy(), calls, TIERS, folds=5).strong_share == pytest.approx(0.8)


def test_policy_that_is_used_has_learnt_from_all_examples(proven: Calibration) -> None:
    """Cross-fitting is for the scores alone; what is kept is learnt from every example."""
    assert proven.learned == StepPolicy().fit(traffic(900), NAMES).as_dict()


def test_examples_of_one_conversation_count_once() -> None:
    """The same conversation over and over is one draw, and proves nothing."""
    same = calibrate(StepPolicy(), traffic(900, thread="one"), TIERS)
    assert (same.draws, same.examples, same.proven) == (1, 5, False)
    assert same.left_out == {"more than 5 of a conversation": 895}


def test_few_of_a_long_conversation_are_used_evenly_spaced() -> None:
    """Of 10 calls every second one teaches something, wherever they stand among those of others."""
    long = [
        Example(request=RouteRequest.of("Text", node=f"n{turn}", thread="long"), quality={"small": 1, "big": 1})
        for turn in range(10)
    ]
    short = traffic(30, thread="short")[:3]
    learned = calibrate(StepPolicy(), [*short, *long, *short[:2]], TIERS).learned
    assert learned is not None
    assert learned["examples"] == 10
    assert [turn for turn in range(10) if f"node=n{turn}" in learned["signatures"]] == [1, 3, 5, 7, 9]


def test_few_long_conversations_that_go_wrong_are_reckoned_with() -> None:
    """That one of 50 is long and bad is not seen in each draw of 70, and yet nothing is proven by those without it."""
    draw = Random(5)  # noqa: S311  # conversations that can be had again
    proven = 0
    for _ in range(40):
        calls = []
        for number in range(70):
            long = draw.random() < 0.02
            for _ in range(100 if long else 1):
                right = float(not long or draw.random() < 0.5)
                spoken = RouteRequest.of("Text", node="format", thread=str(number))
                calls.append(Example(request=spoken, quality={"small": right, "big": 1.0}))
        proven += calibrate(StepPolicy(), calls, TIERS).proven
    assert proven <= 2


def test_the_same_example_counts_once() -> None:
    """A file that is read twice proves no more than once; examples without an id are taken as they are."""
    alike = [
        Example(request=RouteRequest.of("Text", node="format"), quality={"small": 1, "big": 1}, id=str(number))
        for number in range(40)
    ]
    twice = calibrate(StepPolicy(), alike * 2, TIERS)
    assert (twice.examples, twice.proven, twice.left_out) == (40, False, {"the same example again": 40})
    assert calibrate(StepPolicy(), [replace(one, id="") for one in alike * 2], TIERS).proven


def test_examples_without_a_tier_are_counted_by_what_they_lack() -> None:
    """An example that not all tiers answered is left out, and the calibration says why."""
    lacking = Example(request=RouteRequest.of("Text"), quality={"small": 1})
    calibration = calibrate(StepPolicy(), [*traffic(90), lacking, lacking], TIERS)
    assert calibration.left_out == {"no quality of big": 2}
    assert "left out: 2, no quality of big" in str(calibration)


def test_three_tiers_are_calibrated_by_one_threshold() -> None:
    """The cheapest tier that is good enough answers each kind of call, and the floor is held over all of them."""
    tiers = [Tier(name, FakeMeteredChatModel()) for name in ("small", "mid", "big")]
    kinds = [({"small": 0.0, "mid": 0.0}, (1, 1, 1)), ({"small": 0.6, "mid": 0.1}, (0, 1, 1))]
    kinds.append(({"small": 0.9, "mid": 0.8}, (0, 0, 1)))
    calls = [
        Example(
            request=RouteRequest.of("Text", metadata=losses),
            quality=dict(zip(("small", "mid", "big"), right, strict=True)),
        )
        for losses, right in kinds * 100
    ]
    calibration = calibrate(Guess(), calls, tiers)
    assert calibration.strong_share == pytest.approx(1 / 3)
    policy = calibration.apply(Guess(), tiers)
    offers = [Offer(tier=tier) for tier in tiers]
    chosen = [policy.choose(one.request, offers).tier for one in calls[:3]]
    assert chosen == ["small", "mid", "big"]


def test_tier_that_warm_caches_may_choose_counts() -> None:
    """Of two tiers within the threshold the worse one has to keep the floor, whichever is cheaper by the price list."""
    tiers = [Tier(name, FakeMeteredChatModel()) for name in ("small", "mid", "big")]

    def calls(mid: float) -> list[Example]:
        right = {"small": 1.0, "mid": 1.0, "big": 1.0}
        return [
            Example(request=RouteRequest.of("Text"), quality={**right, "mid": float(place % 10 >= 10 * (1 - mid))})
            for place in range(400)
        ]

    assert calibrate(StepPolicy(), calls(1.0), tiers).strong_share == 0
    worse = calibrate(StepPolicy(), calls(0.8), tiers)
    assert worse.proven
    offers = [Offer(tier=tier, expected_nano=nano) for tier, nano in zip(tiers, (5, 1, 9), strict=True)]
    assert worse.apply(StepPolicy(), tiers).choose(RouteRequest.of("Text"), offers).tier == "small"


@given(st.lists(st.tuples(st.floats(-1, 0.9), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60))
def test_two_tiers_are_tested_as_a_threshold_of_one_loss(data: list[tuple[float, float, float]]) -> None:
    """With one weaker tier nothing is the worst of several: the steps are those of `fixed_sequence`."""
    losses, cheap, strong = (list(column) for column in zip(*data, strict=True))
    calls = [
        Example(request=RouteRequest.of("Text", metadata={"small": loss}), quality={"small": low, "big": high})
        for loss, low, high in data
    ]
    expected = fixed_sequence(losses, cheap, strong, floor=0.95, confidence=0.95)
    assert calibrate(Guess(), calls, TIERS).steps == expected


def test_cost_share_is_what_the_calls_cost_at_that_threshold() -> None:
    """With costs in the examples the calibration says what is paid of what the strongest tier would cost."""
    calibration = calibrate(StepPolicy(), traffic(900, nano={"small": 10, "big": 100}), TIERS)
    assert calibration.cost_share == pytest.approx(calibration.strong_share + 0.1 * (1 - calibration.strong_share))


def test_unknown_costs_are_none(proven: Calibration) -> None:
    """Without costs there is no share of them."""
    assert proven.cost_share is None


def test_policy_that_stands_around_is_kept(proven: Calibration) -> None:
    """The scored policy is calibrated wherever it stands, and what stands around it stays."""
    around = Sticky(inner=StepPolicy())
    assert calibrate(around, traffic(900), TIERS).steps == proven.steps
    applied = proven.apply(around, TIERS)
    assert isinstance(applied, Sticky)
    assert isinstance(applied.inner, StepPolicy)
    assert applied.inner.threshold == proven.threshold


def test_policy_without_expected_losses_cannot_be_calibrated() -> None:
    """A policy that always says the same has nothing to calibrate."""
    with pytest.raises(RoutingError, match="policy with expected losses"):
        calibrate(FixedPolicy("small"), traffic(10), TIERS)


def test_file_says_the_same_again(proven: Calibration, tmp_path: Path) -> None:
    """What was saved is read back equal, with the same id."""
    proven.save(tmp_path / "calibration.json")
    again = Calibration.load(tmp_path / "calibration.json")
    assert again == proven
    assert again.id == proven.id
    assert again.apply(StepPolicy(), TIERS) == proven.apply(StepPolicy(), TIERS)


def test_file_is_for_people(proven: Calibration, tmp_path: Path) -> None:
    """It is indented JSON that names what was asked for, what was tested and what was learnt."""
    proven.save(tmp_path / "calibration.json")
    text = (tmp_path / "calibration.json").read_text()
    data = json.loads(text)
    assert text.count("\n") > 50
    assert (data["floor"], data["confidence"], data["tiers"]) == (0.95, 0.95, {"small": "small-1", "big": "big-1"})
    assert data["steps"][0]["strong_share"] == 1.0
    assert "node=format" in data["learned"]["signatures"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"floor": 0.5}, "changed after it was written"),
        ({"id": "0"}, "changed after it was written"),
        ({"version": 99}, "newer version"),
        ({"version": "1"}, "is no calibration"),
        ({"format": "something else"}, "is no calibration"),
    ],
)
def test_file_that_is_not_what_was_written_is_refused(
    proven: Calibration, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """A damaged, edited, foreign or newer file is a RoutingError that says which, and names the file."""
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**proven.as_dict(), **change}))
    with pytest.raises(RoutingError, match=f"calibration.json .*{said}"):
        Calibration.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_file_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever else is in the file, it is a RoutingError."""
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    with pytest.raises(RoutingError, match="is no calibration"):
        Calibration.load(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """No file is a RoutingError too."""
    with pytest.raises(RoutingError, match="No such file"):
        Calibration.load(tmp_path / "none.json")


def test_other_policy_or_tiers_are_refused(proven: Calibration) -> None:
    """A calibration holds for its policy, its tiers in their order, and their models."""
    with pytest.raises(RoutingError, match="is of policy 'step', not 'guess'"):
        proven.apply(Guess(), TIERS)
    with pytest.raises(RoutingError, match="is of policy 'step', not 'fixed:small'"):
        proven.apply(FixedPolicy("small"), TIERS)
    with pytest.raises(RoutingError, match="is of tiers small, big, not big, small"):
        proven.apply(StepPolicy(), TIERS[::-1])
    with pytest.raises(RoutingError, match="is of 'big-1' as tier 'big', not of 'big-2'"):
        proven.apply(StepPolicy(), [TIERS[0], Tier("big", FakeMeteredChatModel(model="big-2"))])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (StepPolicy(steps={"write_contract": "small"}), "steps / write_contract: nothing -> small"),
        (StepPolicy(sure=3), "sure: 30 -> 3"),
        (StepPolicy(levels={"small": "frontier"}), "levels / small: small -> frontier"),
        (StepPolicy(otherwise=Guess()), "otherwise / policy: nothing -> guess"),
    ],
)
def test_settings_that_are_other_ones_are_refused(proven: Calibration, other: StepPolicy, said: str) -> None:
    """What the losses go by besides examples is part of the proof: a policy that was told something else is refused."""
    with pytest.raises(RoutingError, match=f"with other settings.*{said}"):
        proven.apply(other, TIERS)


def test_tiers_of_other_levels_are_refused(proven: Calibration) -> None:
    """A tier that says that it is stronger than it was is another one."""
    with pytest.raises(RoutingError, match="levels / small: small -> frontier"):
        proven.apply(StepPolicy(), [replace(TIERS[0], level="frontier"), TIERS[1]])


def test_another_built_in_map_is_refused(proven: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the package whose map says something else needs a calibration of its own."""
    monkeypatch.setattr("langchain_agentcost.routing.policies.step._MAP", "another")
    with pytest.raises(RoutingError, match=r"map: [0-9a-f]{12} -> another"):
        proven.apply(StepPolicy(), TIERS)


def test_settings_are_read_and_compared(proven: Calibration) -> None:
    """They are in the file and in the difference of two files; levels are those that a router gives its tiers."""
    settings = proven.as_dict()["settings"]
    assert settings["levels"] == {"small": "small", "big": "frontier"}
    other = calibrate(StepPolicy(steps={"chat": "small"}), traffic(900), TIERS)
    assert "settings / steps / chat: nothing -> small" in proven.diff(other)
    named = [Tier("mid", FakeMeteredChatModel()), Tier("opus", FakeMeteredChatModel())]
    router = Router(named, policy=StepPolicy())
    alike = [Example(request=RouteRequest.of("Text", node="verify"), quality={"mid": 1, "opus": 1})] * 90
    assert calibrate(StepPolicy(), alike, named) == calibrate(StepPolicy(), alike, router.tiers)


def test_kinds_of_call_without_an_example_are_not_proven(proven: Calibration) -> None:
    """A step whose name says that it is easy goes to the strongest tier where no example was of it."""
    policy = proven.apply(StepPolicy(), TIERS)
    choice = policy.choose(RouteRequest.of("Text", node="extract"), [Offer(tier=tier) for tier in TIERS])
    assert (choice.tier, choice.score) == ("big", 1.0)


def test_kind_of_call_that_only_one_conversation_has_is_no_threshold() -> None:
    """What the other folds know nothing of is not let through by the largest threshold."""
    rare = [Example(request=RouteRequest.of("Text", node="rare"), quality={"small": 1, "big": 1})]
    calibration = calibrate(StepPolicy(), [*traffic(300), *rare], TIERS, floor=0.2)
    assert calibration.threshold is not None
    assert calibration.threshold < 1
    assert calibration.scores.references[0][-1] == 1


def test_calls_that_a_policy_knows_nothing_of_stay_with_the_strongest_tier() -> None:
    """A policy that says nothing of some calls is calibrated on the others, and its scores are those that it gives."""

    @dataclass(frozen=True, slots=True)
    class Silent(Guess):
        def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
            return {tiers[-1]: 0.0, **({tiers[0]: 0.1} if request.text else {})}

    calls = [
        Example(request=RouteRequest.of(text), quality={"small": float(text != ""), "big": 1})
        for text in ("", "Text") * 100
    ]
    calibration = calibrate(Silent(), calls, TIERS)
    assert (calibration.threshold, calibration.strong_share) == (0.1, 0.5)
    assert sum(calibration.scores.references[0]) == 100


def test_holds_what_is_at_most_as_strict(proven: Calibration) -> None:
    """A calibration at 95 % proves lower floors and confidences, and no higher ones."""
    assert proven.holds(QualityFloor("quality", min=0.95))
    assert proven.holds(QualityFloor("quality", min=0.9, confidence=0.9))
    assert not proven.holds(QualityFloor("quality", min=0.96))
    assert not proven.holds(QualityFloor("quality", min=0.95, confidence=0.99))
    assert not calibrate(StepPolicy(), [], TIERS).holds(QualityFloor("quality", min=0.5))


def test_diff_says_what_changes(proven: Calibration) -> None:
    """The difference names both, each figure that changes, and what was learnt, and not what stays."""
    other = calibrate(StepPolicy(), traffic(900), TIERS, floor=0.8)
    said = proven.diff(other).splitlines()
    assert said[0] == f"{proven.id} -> {other.id}"
    assert "floor: 0.95 -> 0.8" in said
    assert any(line.startswith("strong_share: 0.6667 -> ") for line in said)
    assert not any(line.startswith(("confidence", "learned")) for line in said)


def test_diff_has_losses_before_counts(proven: Calibration) -> None:
    """With more examples every count changes; what they say of each kind of call stands before that."""
    later = proven.diff(calibrate(StepPolicy(), traffic(930, seed=2), TIERS)).splitlines()
    counts = [line.split(":")[0].endswith(("examples", "draws", " n")) for line in later[1:-1]]
    assert counts == sorted(counts)
    assert any(counts)
    assert sum("/ small / loss: " in line for line in later) > 3
    assert later[-1].startswith("and ")


def test_nothing_is_proven_where_nothing_is_routed() -> None:
    """Where folds let some calls through and the policy that is used none, that is said, with how many are missing."""
    calls = [
        Example(
            request=RouteRequest.of("Text", node=f"agent{place % 40}"),
            quality={"small": float(place % 7 > 0), "big": 1.0},
        )
        for place in range(2000)
    ]
    calibration = calibrate(StepPolicy(), calls, TIERS)
    assert calibration.steps[1].passed
    assert calibration.steps[1].strong_share == 1.0
    assert (calibration.proven, calibration.threshold, calibration.strong_share) == (False, None, 1.0)
    assert calibration.missing
    assert "nothing is routed" in str(calibration)
    assert "100%" not in str(calibration)


def test_figures_of_a_step_are_of_one_test(proven: Calibration) -> None:
    """The share, the quality and the bound of a step are those of the same choices."""
    policy = StepPolicy().fit(traffic(900), NAMES)
    for step in proven.steps[1:]:
        assert step.threshold is not None
        chosen = [policy.losses(one.request, NAMES)["small"] <= step.threshold for one in traffic(900)]
        quality = [one.quality["small" if small else "big"] for one, small in zip(traffic(900), chosen, strict=True)]
        same = step.strong_share == pytest.approx(1 - sum(chosen) / 900)
        assert not same or step.quality == pytest.approx(sum(quality) / 900)
        assert same or not step.passed or step.strong_share > 1 - sum(chosen) / 900


def test_text_says_what_matters(proven: Calibration) -> None:
    """In a few lines: the tiers, what is proven, how many calls go where, and on what."""
    said = str(proven)
    assert "small = small-1, big = big-1" in said
    assert "at least 95% of big's quality is proven at 95% confidence" in said
    assert "67% of calls go to big" in said
    assert "900 examples" in said


def test_floor_is_missed_in_few_of_many_calibrations() -> None:
    """Of 40 calibrations on 120 calls each, at most 5 % allow a set of nodes whose true quality is too low."""
    missed = 0
    offers = [Offer(tier=tier) for tier in TIERS]
    for seed in range(40):
        policy = calibrate(StepPolicy(), traffic(120, seed=seed), TIERS).apply(StepPolicy(), TIERS)
        chosen = {node: policy.choose(RouteRequest.of("Text", node=node), offers).tier for node in RIGHT_SMALL}
        quality = sum(RIGHT_SMALL[node] if tier == "small" else 0.9 for node, tier in chosen.items()) / 3
        missed += quality < 0.95 * 0.9
    assert missed <= 2
