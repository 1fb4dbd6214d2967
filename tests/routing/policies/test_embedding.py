"""Going by the text."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_agentcost.errors import MissingExtra, RoutingError, RoutingWarning
from langchain_agentcost.routing.calibrating import calibrate
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.nearest import NearestGain
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.embedding import EmbeddingPolicy
from langchain_agentcost.routing.policies.kept_embeddings import KeptEmbeddings
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policy import Learning
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.text_gain import TextGain
from langchain_agentcost.routing.tier import Tier
from tests.routing.policies.offered import MODEL, agent_messages, offers_of

TIERS = ("small", "frontier")

EASY = tuple(f"Add {number} apples to the basket." for number in range(40))
HARD = tuple(f"Prove that lemma number {number} follows from the axioms." for number in range(40))


class Topics(Embeddings):
    """Embeds a text by what it is about, and counts the texts."""

    model = "topics"

    def __init__(self) -> None:
        self.count = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        self.count += len(texts)
        return [[float("rove" in text), float("dd" in text), 0.1] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self.embed_documents([text])[0]


class Broken(Topics):
    """Works until it is broken."""

    broken = False

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, or fail with what was said."""
        if self.broken:
            raise ConnectionError(f"cannot embed {texts}")
        return super().embed_documents(texts)


def examples_of(node: str | None = None) -> list[Example]:
    """Easy texts that both tiers get right, and hard ones that the small one does not."""
    calls = [(text, 1.0) for text in EASY] + [(text, 0.0) for text in HARD]
    return [
        Example(request=RouteRequest.of(text, node=node), quality={"small": small, "frontier": 1.0})
        for text, small in calls
    ]


def chosen(policy: EmbeddingPolicy | StepPolicy, request: RouteRequest) -> str:
    """The tier that is taken."""
    return policy.choose(request, offers_of(*TIERS)).tier


def test_a_text_like_easy_ones_goes_to_the_small_tier() -> None:
    """What was learnt of texts holds for others like them."""
    policy = EmbeddingPolicy(Topics(), threshold=0.4).fit(examples_of(), TIERS)
    assert chosen(policy, RouteRequest.of("Add 77 apples to the basket.")) == "small"
    assert chosen(policy, RouteRequest.of("Prove that lemma number 77 follows from the axioms.")) == "frontier"


def test_without_embeddings_words_are_gone_by() -> None:
    """No model is needed for that."""
    policy = EmbeddingPolicy(threshold=0.4).fit(examples_of(), TIERS)
    assert chosen(policy, RouteRequest.of("Add 77 apples to the basket.")) == "small"
    assert chosen(policy, RouteRequest.of("Prove that lemma number 77 follows from the axioms.")) == "frontier"


def test_what_a_person_said_last_is_embedded_and_once() -> None:
    """The system prompt, the agent's own turns and the steps that follow cost no embedding."""
    embeddings = Topics()
    policy = EmbeddingPolicy(embeddings, threshold=0.4).fit(examples_of(), TIERS)
    before = embeddings.count
    history = [SystemMessage("Prove it."), HumanMessage("Prove it."), AIMessage("Done."), HumanMessage("Add 3 apples.")]
    for steps in range(4):
        messages = history + [AIMessage(f"Prove step {step}.") for step in range(steps)]
        policy.choose(RouteRequest.of(messages, node="agent"), offers_of(*TIERS))
    assert embeddings.count == before + 1


def test_fitting_again_embeds_nothing_again() -> None:
    """Calibration fits to most of the examples several times."""
    embeddings = Topics()
    policy = EmbeddingPolicy(embeddings)
    for start in range(5):
        policy.fit(examples_of()[start:], TIERS)
    assert embeddings.count == len(EASY) + len(HARD)


def test_a_node_is_a_label() -> None:
    """Of two nodes with the same texts, the one that small models fail is told from the other."""
    calls = [(node, text) for node in ("good", "bad") for text in EASY]
    examples = [
        Example(request=RouteRequest.of(text, node=node), quality={"small": float(node == "good"), "frontier": 1.0})
        for node, text in calls
    ]
    policy = EmbeddingPolicy(Topics(), threshold=0.4).fit(examples, TIERS)
    assert chosen(policy, RouteRequest.of("Add 9 apples.", node="good")) == "small"
    assert chosen(policy, RouteRequest.of("Add 9 apples.", node="bad")) == "frontier"


def test_a_step_in_trouble_is_another_label() -> None:
    """What was learnt of a node after a tool's error is told from what was learnt before it."""
    failed = agent_messages(3, status="error")
    calls = [(text, messages) for text in EASY for messages in ([], failed[1:])]
    examples = [
        Example(
            request=RouteRequest.of([HumanMessage(text), *messages], node="agent"),
            quality={"small": float(not messages), "frontier": 1.0},
        )
        for text, messages in calls
    ]
    policy = EmbeddingPolicy(Topics(), threshold=0.4).fit(examples, TIERS)
    assert chosen(policy, RouteRequest.of("Add 9 apples.", node="agent")) == "small"
    assert chosen(policy, RouteRequest.of([HumanMessage("Add 9 apples."), *failed[1:]], node="agent")) == "frontier"


def test_a_tier_that_was_not_always_tried_is_learnt_too() -> None:
    """Examples need not have an answer of every tier."""
    examples = [
        Example(request=one.request, quality={"small": one.quality["small"]} if number % 2 else one.quality)
        for number, one in enumerate(examples_of())
    ]
    policy = EmbeddingPolicy(Topics(), threshold=0.4).fit(examples, TIERS)
    assert chosen(policy, RouteRequest.of("Add 77 apples to the basket.")) == "small"


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (EmbeddingPolicy(Topics()), "nothing was learnt of texts"),
        (EmbeddingPolicy().fit(examples_of(), TIERS), "a person has said nothing yet"),
    ],
)
def test_where_it_knows_nothing_the_strongest_is_asked(policy: EmbeddingPolicy, why: str) -> None:
    """Before it has learnt, and without a text, the reason says so."""
    choice = policy.choose(RouteRequest.of([SystemMessage("Add.")]), offers_of(*TIERS))
    assert choice.tier == "frontier"
    assert choice.reasons == (f"{why}; the strongest tier is asked",)


def test_a_strongest_tier_that_was_never_tried_is_asked() -> None:
    """Nothing can be compared with it."""
    policy = EmbeddingPolicy().fit(examples_of(), TIERS)
    choice = policy.choose(RouteRequest.of(EASY[0]), offers_of("small", "frontier", "new"))
    assert (choice.tier, choice.reasons[0]) == ("new", "nothing was learnt of new; the strongest tier is asked")


def test_a_failing_embedding_breaks_no_call() -> None:
    """The strongest tier is asked, there is one warning, and neither it nor the reason quotes the text."""
    embeddings = Broken()
    policy = EmbeddingPolicy(embeddings).fit(examples_of(), TIERS)
    embeddings.broken = True
    with pytest.warns(RoutingWarning, match="could not be embedded") as given:
        first = policy.choose(RouteRequest.of("my secret"), offers_of(*TIERS))
    assert (first.tier, first.reasons) == (
        "frontier",
        ("ConnectionError while a text was embedded; the strongest tier is asked",),
    )
    assert "secret" not in str(given[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen(policy.with_threshold(0.9), RouteRequest.of("my secret")) == "frontier"
    embeddings.broken = False
    assert policy.losses(RouteRequest.of("Add an apple"), TIERS).keys() == {"small", "frontier"}


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what to install, in the fit and in a call alike."""
    policy = EmbeddingPolicy().fit(examples_of(), TIERS)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(MissingExtra, match="semantic"):
        EmbeddingPolicy().fit(examples_of(), TIERS)
    with pytest.raises(MissingExtra, match="semantic"):
        policy.choose(RouteRequest.of("A new text"), offers_of(*TIERS))


def test_the_calibration_names_the_model() -> None:
    """What was learnt is in a file of its own; a calibration fits only the model whose digest it has."""
    policy = EmbeddingPolicy(Topics()).fit(examples_of(), TIERS)
    written = json.loads(json.dumps(policy.as_dict()))
    assert policy.with_learned(written) is policy
    assert EmbeddingPolicy(Topics(), model=policy.model).with_learned(written).model is policy.model
    untaught = EmbeddingPolicy(Topics())
    fitted = untaught.fit(examples_of(), TIERS)
    assert untaught.with_learned(fitted.as_dict()) == fitted
    other = EmbeddingPolicy(Topics()).fit(examples_of()[5:], TIERS)
    for wrong in (other, EmbeddingPolicy(Topics())):
        with pytest.raises(RoutingError, match="another text model"):
            wrong.with_learned(written)


def test_it_stands_in_others() -> None:
    """A step policy asks it where a kind of step that it knows does not decide; a budget gives it thrift."""
    embeddings = Topics()
    step = StepPolicy(otherwise=EmbeddingPolicy(embeddings), threshold=0.4).fit(examples_of("qa"), TIERS)
    before = embeddings.count
    assert chosen(step, RouteRequest.of("Add 76 apples to the basket.", node="extract")) == "frontier"
    assert embeddings.count == before
    assert chosen(step, RouteRequest.of("Add 77 apples to the basket.", node="qa")) == "small"
    assert chosen(step, RouteRequest.of("Prove lemma 3 from the axioms.", node="qa")) == "frontier"
    assert embeddings.count == before + 2
    assert step.with_learned(json.loads(json.dumps(step.as_dict()))) == step
    broke = BudgetAware(EmbeddingPolicy(embeddings).fit(examples_of(), TIERS), most=1.0)
    hard = RouteRequest.of("Prove lemma 3 from the axioms.", used=1.0)
    assert broke.choose(hard, offers_of(*TIERS)).tier == "small"


def test_it_is_calibrated_and_kept_in_a_file(tmp_path: Path) -> None:
    """What is proven of it holds for the model that was learnt meanwhile, here and where that is read from its file."""
    tiers, policy = [Tier(name, MODEL) for name in TIERS], EmbeddingPolicy(Topics())
    calibration = calibrate(policy, examples_of() * 3, tiers, floor=0.9)
    assert calibration.proven
    applied = calibration.apply(policy, tiers)
    assert isinstance(applied, EmbeddingPolicy)
    assert isinstance(applied.model, TextGain)
    assert chosen(applied, RouteRequest.of("Add 77 apples to the basket.")) == "small"
    assert chosen(applied, RouteRequest.of("Prove that lemma number 77 follows from the axioms.")) == "frontier"
    applied.model.save(tmp_path / "texts.npz")
    read = TextGain.load(tmp_path / "texts.npz", embeddings=KeptEmbeddings(Topics()))
    assert calibration.apply(EmbeddingPolicy(model=read), tiers) == replace(applied, embeddings=None, model=read)


class Asked:
    """A model of which every tier is expected to be so good, and that counts how often it is asked."""

    def __init__(self, digest: str, small: float) -> None:
        self.digest = digest
        self.small = small
        self.count = 0

    def qualities(
        self, texts: Sequence[str], labels: Sequence[str | None] | None = None
    ) -> Mapping[str, Sequence[float]]:
        """Give them."""
        self.count += len(texts)
        return {"small": [self.small] * len(texts), "frontier": [1.0] * len(texts)}


def test_what_comes_again_is_looked_at_once() -> None:
    """The same question of the same kind of step is not asked about again; another model is asked anew."""
    model, other = Asked("one", small=1.0), Asked("other", small=0.0)
    policy = EmbeddingPolicy(model=model)
    for node in ("a", "b", "a", "b"):
        assert chosen(policy, RouteRequest.of("Hello", node=node)) == "small"
    assert model.count == 2
    assert chosen(policy.with_threshold(0.2), RouteRequest.of("Hello", node="a")) == "small"
    assert model.count == 2
    assert chosen(replace(policy, model=other), RouteRequest.of("Hello", node="a")) == "frontier"


def test_neighbours_are_an_alternative() -> None:
    """The same with the nearest texts in place of a regression."""
    policy = EmbeddingPolicy(Topics(), learner=NearestGain, threshold=0.4).fit(examples_of() * 4, TIERS)
    assert chosen(policy, RouteRequest.of("Add 77 apples to the basket.")) == "small"
    assert chosen(policy, RouteRequest.of("Prove that lemma number 77 follows from the axioms.")) == "frontier"


def test_another_learner_can_be_given() -> None:
    """Anything with the same interface learns in place of `TextGain`."""

    class Lengths:
        digest = "lengths"

        @classmethod
        def fit(cls, texts: Sequence[str], quality: Mapping[str, Sequence[float]], **_: object) -> Lengths:
            return cls()

        def qualities(
            self, texts: Sequence[str], labels: Sequence[str | None] | None = None
        ) -> Mapping[str, Sequence[float]]:
            return {"small": [1.0 if len(text) < 10 else 0.0 for text in texts], "frontier": [1.0] * len(texts)}

    policy = EmbeddingPolicy(Topics(), learner=Lengths).fit(examples_of(), TIERS)
    assert [chosen(policy, RouteRequest.of(text)) for text in ("short", "a longer text")] == ["small", "frontier"]
    assert isinstance(policy, Learning)
