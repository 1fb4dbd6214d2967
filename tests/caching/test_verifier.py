"""The learned score, and how one is fitted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.caching.matching import fitting
from langchain_agentcost.caching.matching.features import SIGNS, features
from langchain_agentcost.caching.matching.fitting import LabelledPair, fit_verifier, threshold_of
from langchain_agentcost.caching.matching.verifier import Verifier, matches
from langchain_agentcost.errors import MissingExtra

TOOLS = ["hammer", "ladder", "drill", "wrench", "shovel", "bucket", "rake", "saw", "hose", "lamp", "rope", "axe"]


def lending_desk() -> list[LabelledPair]:
    """Pairs of a desk that lends tools: three wordings of a question, and the same question of another tool."""
    pairs = []
    for number, tool in enumerate(TOOLS):
        other = TOOLS[(number + 1) % len(TOOLS)]
        for extra in range(8):
            asked = f"Where can I borrow the {tool} of shed {extra}?"
            again = f"What is the place to borrow the {tool} of shed {extra}?"
            source = "even" if number % 2 else "odd"
            pairs.append(LabelledPair(asked, again, same=True, similarity=0.85 + extra / 100, source=source))
            trap = f"Where can I borrow the {other} of shed {extra}?"
            pairs.append(LabelledPair(asked, trap, same=False, similarity=0.8 + extra / 100, source=source))
    return pairs


def test_the_shipped_verifier_tells_where_it_is_from() -> None:
    """Whoever opens the file finds sets, licences, attribution, versions and figures."""
    provenance = Verifier.load().provenance
    assert "(c) 2026 Mabon ap Gwyn" in provenance["trained_on"]["fow"]
    assert "MIT" in provenance["trained_on"]["checklist"]
    assert set(provenance["never_trained_on"]) == {"mqp", "sick", "qqp"}
    assert {row["split"] for row in provenance["measured"]} == {"leave one source out", "in distribution"}


def test_what_is_shipped_keeps_its_promise() -> None:
    """The figures in the file are those it is shipped for: recall and traps, left out of the fit, over six sources."""
    rows = Verifier.load().provenance["measured"]
    macro = next(row for row in rows if row["source"] == "macro" and row["split"] == "leave one source out")
    assert macro["recall_pct"] >= 40
    assert macro["traps_served_pct"] <= 2.5


def test_loading_is_lazy() -> None:
    """Importing the verifier reads no file: neither the weights nor the word lists."""
    code = (
        "import pathlib; read = pathlib.Path.read_text; seen = [];"
        "pathlib.Path.read_text = lambda self, *a, **k: (seen.append(self.name), read(self, *a, **k))[1];"
        "from langchain_agentcost.caching.matching.verifier import Verifier;"
        "assert not {'verifier.json', 'lexicon.toml'} & set(seen), seen;"
        "Verifier.load().score('a', 'b', 0.5); assert {'verifier.json', 'lexicon.toml'} <= set(seen), seen"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_another_wording_scores_above_another_question() -> None:
    """At one cosine, a question in other words scores above the question with a word exchanged."""
    verifier = Verifier.load()
    asked = "How do I repot an orchid?"
    again = verifier.score(asked, "What is the way to repot my orchid?", 0.9)
    assert again > verifier.score(asked, "How do I repot a cactus?", 0.9)
    assert again > verifier.score(asked, "When do I repot an orchid?", 0.9)
    assert again > verifier.score(asked, "How do I repot an orchid with root rot?", 0.9)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.floats(allow_nan=True, allow_infinity=True))
def test_a_score_is_a_number_from_0_to_1(a: str, b: str, similarity: float) -> None:
    """Whatever the strings and the cosine are, even none, the score is a probability and the same both ways."""
    score = Verifier.load().score(a, b, similarity)
    assert 0 <= score <= 1
    assert math.isclose(score, Verifier.load().score(b, a, similarity), rel_tol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_cosine_never_scores_lower(first: float, second: float) -> None:
    """The encoder's opinion counts one way only."""
    scores = [Verifier.load().score("Where is the shed?", "Where is my shed?", s) for s in sorted((first, second))]
    assert scores[0] <= scores[1]


def test_a_verifier_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """What is saved scores alike when it is loaded, and the file is readable JSON."""
    verifier = fit_verifier(lending_desk(), name="desk", provenance={"trained_on": "a desk"})
    verifier.save(tmp_path / "desk.json")
    read = Verifier.load(tmp_path / "desk.json")
    assert read == verifier
    assert set(json.loads((tmp_path / "desk.json").read_text())["weights"]) == set(SIGNS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "name": "x", "threshold": 0, "intercept": 0, "weights": {}}',
        "null",
        '{"format": 1}',
    ],
)
def test_a_file_that_is_no_verifier_is_refused(tmp_path: Path, text: str) -> None:
    """A broken or foreign file is an error that names it, and not a verifier that serves anything."""
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json"):
        Verifier.load(tmp_path / "broken.json")


def test_weights_must_be_those_of_the_figures() -> None:
    """A verifier of other figures, or with a weight that is no number, cannot be made."""
    weights = dict.fromkeys(SIGNS, 1.0)
    with pytest.raises(ValueError, match="finite"):
        Verifier("x", threshold=0.5, intercept=math.nan, weights=weights)
    weights.pop("slots")
    with pytest.raises(ValueError, match="slots"):
        Verifier("x", threshold=0.5, intercept=0.0, weights=weights)


def test_a_match_needs_the_guard_and_the_score() -> None:
    """A rule outweighs any score, and the threshold can be set for the call."""
    verifier = Verifier.load()
    assert matches("Where is my hose?", "where is my hose", 1.0, verifier=verifier)
    assert not matches("Where is hose 3?", "Where is hose 4?", 1.0, verifier=verifier, threshold=0.0)
    assert not matches("Where is my hose?", "Where is my rake?", 0.8, verifier=verifier)


def test_a_fitted_verifier_tells_its_own_traps() -> None:
    """Fitted to a desk's questions it serves the wordings of one and not those of another, on tools it has not seen."""
    verifier = fit_verifier(lending_desk(), traps_served=0.1)
    served = matches("Where can I borrow the plane?", "What is the place to borrow the plane?", 0.9, verifier=verifier)
    trapped = matches("Where can I borrow the plane?", "Where can I borrow the chisel?", 0.85, verifier=verifier)
    assert (served, trapped) == (True, False)


def test_fitting_twice_gives_the_same() -> None:
    """No chance is involved: equal pairs give equal weights and threshold."""
    assert fit_verifier(lending_desk()) == fit_verifier(lending_desk())


def test_signs_are_kept_whatever_the_labels_say() -> None:
    """On labels turned round no weight turns its sign: more difference never speaks for the same answer."""
    turned = [LabelledPair(p.a, p.b, same=not p.same, similarity=p.similarity, source=p.source) for p in lending_desk()]
    weights = fit_verifier(turned).weights
    assert all(weights[name] * sign >= 0 for name, sign in SIGNS.items())


def test_too_few_traps_prove_nothing() -> None:
    """A dozen traps cannot show that under 2 % are served, so nothing but certainty is."""
    assert fit_verifier(lending_desk()[:24]).threshold == 1.0


def test_a_threshold_counts_the_doubt() -> None:
    """One trap served of a thousand leaves the bound under 2 %; of sixty it does not."""
    assert threshold_of({"a": [(0.9, False)] + [(0.1, False)] * 999}, traps_served=0.02) < 0.9
    assert threshold_of({"a": [(0.9, False)] + [(0.1, False)] * 59}, traps_served=0.02) == 1.0


def test_pairs_without_a_cosine_need_someone_to_ask() -> None:
    """A pair that comes without its cosine has it computed, and is refused where nobody can."""
    bare = [LabelledPair(p.a, p.b, same=p.same, source=p.source) for p in lending_desk()]
    with pytest.raises(ValueError, match="similarity"):
        fit_verifier(bare)
    assert fit_verifier(bare, similarity=lambda a, b: 0.5 + len({*a} & {*b}) / 50).weights["similarity"] > 0


def test_there_must_be_something_to_learn() -> None:
    """Pairs of one kind only teach nothing, and an impossible budget is refused."""
    with pytest.raises(ValueError, match="same"):
        fit_verifier([pair for pair in lending_desk() if pair.same])
    with pytest.raises(ValueError, match="traps_served"):
        fit_verifier(lending_desk(), traps_served=0)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numpy or scipy the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtra, match=r"\[semantic\]"):
        fitting.fit_verifier(lending_desk())


def test_figures_say_what_differs() -> None:
    """A word exchanged in place is a slot, a qualifier more is an extra, and another question word is told."""
    named = [
        dict(zip(SIGNS, features("Where is the red shed?", other, 0.9), strict=True))
        for other in ("Where is the red barn?", "Where is the red shed for boats?", "Why is the red shed?")
    ]
    assert [figures["slots"] for figures in named] == [1, 0, 0]
    assert [figures["extra"] for figures in named] == [0, 1, 0]
    assert [figures["qualifiers"] for figures in named] == [0, 1, 0]
    assert [figures["asks"] for figures in named] == [0, 0, 0.5]
