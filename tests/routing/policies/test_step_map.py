"""What names of steps say."""

from __future__ import annotations

import pytest

from langchain_agentcost.routing.policies.step_map import STEPS, level_above, level_named, levels_by_place
from langchain_agentcost.routing.tier import Level


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("extract", "small"),
        ("EntityExtractor", "small"),
        ("format_output", "small"),
        ("intent-classification", "small"),
        ("normalise", "small"),
        ("normalizer", "small"),
        ("parsing", "small"),
        ("labelling", "small"),
        ("triage", "small"),
        ("verify", "mid"),
        ("AnswerVerifier", "mid"),
        ("validation", "mid"),
        ("summarization", "mid"),
        ("critique", "mid"),
        ("planner", "frontier"),
        ("planning", "frontier"),
        ("debugger", "frontier"),
        ("synthesize_report", "frontier"),
        ("synthesis", "frontier"),
        ("analyze", "frontier"),
        ("analysis", "frontier"),
        ("recovery", "frontier"),
        ("HTTPDebug", "frontier"),
    ],
)
def test_a_name_says_its_level(name: str, level: Level) -> None:
    """Words are read in any case and inflection, British and American."""
    assert level_named(name) == level


@pytest.mark.parametrize("name", [None, "", "agent", "model", "call_model", "information", "planet", "context", "42"])
def test_a_name_without_such_a_word_says_nothing(name: str | None) -> None:
    """A word that merely begins or ends like one of the map is another word."""
    assert level_named(name) is None


def test_of_several_words_the_highest_level_holds() -> None:
    """A step that is answered too well costs money; one answered too badly costs the run."""
    assert level_named("verify_extraction") == "mid"
    assert level_named("format_plan") == "frontier"


def test_no_stem_stands_for_two_levels() -> None:
    """Every stem is in the map once."""
    stems = [stem for level in STEPS.values() for stem in level]
    assert len(stems) == len(set(stems))


def test_every_stem_is_found_by_a_word_of_its_own() -> None:
    """A stem with an ending is of its level: none is shadowed by another's."""
    for level, stems in STEPS.items():
        for stem in stems:
            assert level in {level_named(stem), level_named(f"{stem}e"), level_named(f"{stem}y")}


def test_a_level_above_the_highest_is_the_highest() -> None:
    """There is nothing above frontier."""
    assert [level_above(level) for level in STEPS] == ["mid", "frontier", "frontier"]


def test_places_say_how_strong_tiers_are() -> None:
    """The strongest is frontier, the weakest small, what is between mid; a name that is a level is that level."""
    assert levels_by_place(["only"]) == {"only": "frontier"}
    assert list(levels_by_place(["a", "b"]).values()) == ["small", "frontier"]
    assert list(levels_by_place(["a", "b", "c", "d"]).values()) == ["small", "mid", "mid", "frontier"]
    assert levels_by_place(["mid", "b"])["mid"] == "mid"
