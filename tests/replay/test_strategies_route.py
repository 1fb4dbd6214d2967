from __future__ import annotations

import pytest

from langchain_agentcost.errors import ReplayError
from tests.replay.made import Asked, Turn, counted, episode, played, says, sent, strategy, uses

RUN = episode(
    uses("get_order", recorded=counted(2000, 20)),
    uses("cancel_order", recorded=counted(3000, 10)),
    Turn(asked=(Asked("get_order", {}, "a"), Asked("get_order", {}, "b")), recorded=counted(4000, 40)),
    uses("search", recorded=counted(5000, 30)),
    says("Done.", recorded=counted(6000, 50)),
)


def test_single_reads_go_to_the_cheaper_model() -> None:
    """Writes, answers to people and several tools at once stay with the model that was recorded."""
    assert [request.model for request in sent(RUN, "route_reads")] == ["1/15", None, None, "1/15", None]
    assert played(RUN, "route_reads").tally["routed_calls"] == 2


@pytest.mark.parametrize(("share", "routed"), [("0", []), ("0.4", [0, 1]), ("0.6", [0, 1, 3]), ("1", [0, 1, 2, 3, 4])])
def test_the_shortest_answers_go_to_the_cheaper_model(share: str, routed: list[int]) -> None:
    """A share of the run's calls, those with the shortest recorded answers."""
    models = [request.model for request in sent(RUN, f"route_short:share={share}")]
    assert [place for place, model in enumerate(models) if model] == routed


def test_each_model_has_its_own_cache() -> None:
    """The cheap model writes what the dear one has long read, and reads only what it was sent itself."""
    outcome = played(RUN, "route_reads")
    sonnet = 3000 * 3750 + (3000 * 300 + 1000 * 3750) + (4000 * 300 + 2000 * 3750) + (10 + 40 + 50) * 15_000
    cheap = 2000 * 3750 + (2000 * 300 + 3000 * 3750) + (20 + 30) * 15_000
    assert outcome.on_nano == pytest.approx(sonnet + cheap / 15, abs=3)


def test_everything_at_a_fifteenth_costs_a_fifteenth() -> None:
    """Where every call goes to one model, its cache is as good as the recorded one's."""
    all_, recorded = played(RUN, "route_short:share=1"), played(RUN)
    assert all_.on_nano == pytest.approx(recorded.on_nano / 15, abs=len(RUN.calls))
    assert all_.off_nano == pytest.approx(recorded.off_nano / 15, abs=len(RUN.calls))


def test_alternating_may_cost_more_than_it_saves() -> None:
    """With caching, a model at two thirds of the price that is used now and then loses: it writes the prompt anew."""
    turns = [uses("get_order" if n % 8 == 7 else "cancel_order", recorded=counted(20_000 + 200 * n)) for n in range(16)]
    run = episode(*turns)
    routed, recorded = played(run, "route_reads:to=2/3"), played(run)
    assert routed.off_nano < recorded.off_nano
    assert routed.on_nano > recorded.on_nano


def test_another_model_by_its_name() -> None:
    """A model's own price counts, and its own cache."""
    outcome = played(RUN, "route_short:share=1:to=llama-3.3-70b")
    assert outcome.on_nano == outcome.off_nano == 20_000 * 1000 + 150 * 2000


def test_a_model_without_a_price_fails_before_the_first_call() -> None:
    """Even a run that would never be routed says so: hours into a replay would be too late."""
    with pytest.raises(ReplayError, match="No price is known for 'no-such-model'"):
        played(episode(says("Hi.")), "route_reads:to=no-such-model")


def test_the_policy_stays_strong_where_nothing_says_what_a_step_needs() -> None:
    """A recorded agent's one node has no telling name: by its usual threshold the router sends nothing elsewhere."""
    outcome, recorded = played(RUN, "route"), played(RUN)
    assert outcome.on_nano == recorded.on_nano
    assert "routed_calls" not in outcome.tally


def test_a_threshold_that_allows_the_loss_sends_every_step_to_the_cheaper_model() -> None:
    """A small model is expected to lose a quarter at most: who accepts that pays a fifteenth, and never switches."""
    outcome = played(RUN, "route:threshold=0.25")
    assert outcome.on_nano == pytest.approx(played(RUN).on_nano / 15, abs=len(RUN.calls))
    assert outcome.tally["routed_calls"] == len(RUN.calls)
    assert outcome.tally["switches"] == 0


def test_the_longer_the_users_words_the_more_is_expected_to_be_lost() -> None:
    """The same threshold routes a short question and not a long one."""
    short, long = (episode(says("Done."), user="Why? " * count) for count in (1, 2000))
    models = [sent(run, "route:threshold=0.2")[0].model for run in (short, long)]
    assert models == ["1/15", None]


def test_sticky_leaves_a_warm_cache_only_where_that_pays() -> None:
    """At two thirds of the price a model that is used now and then loses money, and so nothing goes there."""
    turns = [uses("get_order" if n % 8 == 7 else "cancel_order", recorded=counted(20_000 + 200 * n)) for n in range(16)]
    run = episode(*turns)
    outcome, recorded = played(run, "route_reads:to=2/3:calls=4"), played(run)
    assert outcome.on_nano == recorded.on_nano
    assert outcome.tally["switches"] == 0


def test_sticky_goes_where_that_pays_and_comes_back_where_it_must() -> None:
    """At a hundredth of the price one read pays for the new cache; a write goes back to the strong model."""
    run = episode(*[uses("get_order" if n % 2 else "cancel_order", recorded=counted(4_000 + 50 * n)) for n in range(6)])
    models = [request.model for request in sent(run, "route_reads:to=1/100:calls=4")]
    assert models == [None, "1/100", None, "1/100", None, "1/100"]
    assert played(run, "route_reads:to=1/100:calls=4").tally["switches"] == 5


def test_a_short_answer_is_as_cheap_with_sticky_where_everything_is_routed() -> None:
    """With all calls in one place there is nothing to stick to."""
    plain, sticky = (played(RUN, f"route_short:share=1:calls={calls}") for calls in (0, 4))
    assert plain.on_nano == sticky.on_nano


@pytest.mark.parametrize(
    "bad", ["route:threshold=-0.1", "route:calls=-1", "route_reads:calls=-1", "route_short:calls=-1"]
)
def test_numbers_that_cannot_be_are_refused(bad: str) -> None:
    """Before anything is replayed."""
    with pytest.raises(ReplayError, match="is at least 0"):
        strategy(bad)
