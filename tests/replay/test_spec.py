from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import AgentCostError, ReplayError
from langchain_agentcost.replay.strategies import DEFAULT, STRATEGIES, strategies
from langchain_agentcost.replay.strategies.masking import MaskBatched
from langchain_agentcost.replay.strategies.nothing import Nothing
from langchain_agentcost.replay.strategies.prompt_cache import VolatileHead
from langchain_agentcost.replay.strategies.route import RouteReads, RouteShort
from langchain_agentcost.replay.strategies.summarize import Summarize
from langchain_agentcost.replay.strategies.truncate import Truncate
from langchain_agentcost.replay.strategy import Combined, Fidelity, Strategy, label
from tests.replay.made import strategy

_any = st.one_of(
    st.sampled_from([kind() for kind in STRATEGIES.values()]),
    st.builds(Truncate, tokens=st.integers(1, 10**6)),
    st.integers(0, 50).flatmap(lambda keep: st.builds(MaskBatched, keep=st.just(keep), until=st.integers(keep, 99))),
    st.builds(
        Summarize,
        above=st.integers(1, 10**6),
        keep=st.integers(1, 99),
        to=st.integers(1, 9999),
        margin=st.integers(0, 9999),
        break_even=st.booleans(),
    ),
    st.builds(RouteShort, to=st.sampled_from(["1/15", "0.2", "qwen2.5:7b", "gpt-4.1"]), share=st.floats(0, 1)),
    st.builds(VolatileHead, at=st.sampled_from(["top", "system"])),
)


@settings(deadline=None)
@given(parts=st.lists(_any, min_size=1, max_size=4))
def test_a_label_reads_back_as_the_same_strategy(parts: list[Strategy]) -> None:
    """What a strategy is called in a table names it on the command line, with all of its numbers."""
    made = parts[0] if len(parts) == 1 else Combined(tuple(parts))
    assert strategy(label(made)) == made


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_with_its_usual_numbers_is_called_by_its_name(name: str) -> None:
    """A label says only what is not as usual."""
    made = strategy(name)
    assert (made.name, label(made)) == (name, name)
    assert isinstance(made.fidelity, Fidelity)
    assert made == STRATEGIES[name]()


def test_what_is_replayed_by_default_is_known() -> None:
    """The default list names strategies, each once."""
    assert set(DEFAULT) <= set(STRATEGIES)
    assert len(set(DEFAULT)) == len(DEFAULT)


def test_several_are_read_with_blanks_and_each_once() -> None:
    """Commas separate, blanks are nothing, and a name that comes twice is one strategy."""
    assert [label(made) for made in strategies(" none , truncate:tokens=5,, none")] == ["none", "truncate:tokens=5"]
    assert strategies(["minify", "minify"]) == strategies("minify")


def test_a_value_may_have_a_colon() -> None:
    """Names of models and files have colons in them."""
    made = strategy("route_short:to=anthropic.claude-v1:0:share=0.5")
    assert made == RouteShort(to="anthropic.claude-v1:0", share=0.5)
    assert strategy("route_reads:to=qwen2.5:7b") == RouteReads(to="qwen2.5:7b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mask", "There is no strategy 'mask': choose from none, prompt_cache, "),
        ("", "There is no strategy ''"),
        ("none+", "There is no strategy ''"),
        ("truncate:500", "truncate: '500' is not NUMBER=VALUE of one of its numbers; it has tokens."),
        ("truncate:token=5", "truncate: 'token=5' is not NUMBER=VALUE of one of its numbers; it has tokens."),
        ("none:x=1", "none: 'x=1' is not NUMBER=VALUE of one of its numbers; it has no numbers to set."),
        ("truncate:tokens=many", "truncate: tokens is a number, not 'many'."),
        ("truncate:tokens=1.5", "truncate: tokens is a number, not '1.5'."),
        ("truncate:tokens=0", "truncate: tokens is at least 1, not 0."),
        ("mask_sliding:keep=-1", "mask_sliding: keep is at least 0, not -1."),
        ("mask_batched:keep=5:until=4", "mask_batched: keep=5 is from 0 to until=4."),
        ("mask_batched:keep=-1", "mask_batched: keep=-1 is from 0 to until=13."),
        ("reference:above=0", "reference: above is at least 1, not 0."),
        ("summarize:keep=0", "summarize: keep is at least 1, not 0."),
        ("summarize:to=0", "summarize: to is at least 1, not 0."),
        ("summarize:above=-5", "summarize: above is at least 1, not -5."),
        ("summarize:margin=-1", "summarize: margin is at least 0, not -1."),
        ("summarize:break_even=true", "summarize: break_even is yes or no, not 'true'."),
        ("prune_tools:after=0", "prune_tools: after is at least 1, not 0"),
        ("route_short:share=1.5", "route_short: share is from 0 to 1, not 1.5."),
        ("route_short:share=nan", "route_short: share is from 0 to 1, not nan."),
        ("tool_cache:state=task", "tool_cache: state is run or shared, not 'task'."),
        ("volatile_head:at=end", "volatile_head: at is top or system, not 'end'."),
        ("limits:preset=tight", "limits: There is no preset 'tight': choose one of typical, support, coding."),
        ("none+truncate:tokens=x", "truncate: tokens is a number, not 'x'."),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text: str, message: str) -> None:
    """An error names the strategy, the number and its bounds."""
    with pytest.raises(ReplayError) as raised:
        strategy(text)
    assert message in str(raised.value)


def test_nothing_named_is_an_error() -> None:
    """A list without names says what there is."""
    with pytest.raises(ReplayError, match="No strategy is named: choose from none, "):
        strategies(" , ")


def test_a_policy_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The file is read when the strategy is named, not at the first run."""
    with pytest.raises(AgentCostError, match=r"gone\.toml"):
        strategy(f"limits:file={tmp_path / 'gone.toml'}")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_strategy_or_an_error_of_ours(text: str) -> None:
    """Nothing that is typed raises anything else, and every strategy that comes out has a label."""
    with suppress(ReplayError):
        assert all(map(label, strategies(text)))


def test_a_composition_is_as_certain_as_its_least_certain_part() -> None:
    """Exact and open-loop together are open-loop, in whatever order."""
    for text in ("prompt_cache+mask_batched", "mask_batched+prompt_cache"):
        assert strategy(text).fidelity is Fidelity.OPEN_LOOP
    assert strategy("minify+route_reads+truncate").fidelity is Fidelity.PRICE_BOUND
    assert strategy("none+prompt_cache").fidelity is Fidelity.EXACT


def test_a_composition_reads_texts_where_a_part_does() -> None:
    """Runs without texts are left out where any part needs them."""
    assert strategy("none+truncate").needs_text
    assert not strategy("none+limits").needs_text


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_a_fact(name: str) -> None:
    """Strategies are frozen: one that is used for thousands of runs is the same for all of them."""
    made: Any = strategy(name)
    for one in fields(made):
        with pytest.raises(AttributeError):
            setattr(made, one.name, 1)
    assert hash(made) == hash(strategy(name))
    assert Nothing() == strategy("none")


def test_a_strategy_that_is_no_dataclass_has_its_name_for_a_label() -> None:
    """Any object that fits the protocol will do; a class in place of an object says what to do."""

    class Plain:
        name = "plain"

    assert label(cast("Strategy", Plain())) == "plain"
    with pytest.raises(ReplayError, match=r"Plain is a class: give an object of it, Plain\(…\)"):
        label(Plain)
