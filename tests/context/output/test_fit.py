"""Caps that are fitted from a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.context.output.bound import WHOLE
from langchain_agentcost.context.output.fit import fit_max_tokens
from langchain_agentcost.context.output.fitted import Cap, Fitted
from langchain_agentcost.context.output.reserve import reserves
from langchain_agentcost.errors import QueryError
from langchain_agentcost.ledger import Entry, MemoryLedger
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.usage import Usage

HALF = QualityFloor("answers whole", min=0.5)
"""Five calls are enough for it."""

AT = datetime(2026, 11, 2, tzinfo=UTC)


def _answer(number: int, tokens: int, *, node: str = "plan", model: str = "m", **fields: object) -> Entry:
    entry = Entry(f"{node}-{model}-{number}", "llm", AT, Attribution(node=node, model=model))
    return replace(entry, **{"usage": Usage(100, tokens), **fields})  # type: ignore[arg-type]


def _ledger(*entries: Iterable[Entry]) -> MemoryLedger:
    ledger = MemoryLedger()
    for some in entries:
        for entry in some:
            ledger.append(entry)
    return ledger


def _answers(*tokens: int, node: str = "plan", model: str = "m") -> list[Entry]:
    return [_answer(number, length, node=node, model=model) for number, length in enumerate(tokens)]


def test_each_node_and_model_has_a_cap_of_its_own() -> None:
    """A long-winded node does not loosen the cap of a terse one, nor one model that of another."""
    ledger = _ledger(
        _answers(*range(10, 20)),
        _answers(*range(1000, 1010), node="write"),
        _answers(*range(100, 112), model="other"),
    )
    fitted = fit_max_tokens(ledger, floor=HALF, headroom=1)
    assert [(cap.place, cap.model, cap.calls) for cap in fitted.caps] == [
        ("plan", "other", 12),
        ("plan", "m", 10),
        ("write", "m", 10),
    ]
    assert fitted.max_tokens("plan", "m") == 18
    assert fitted.max_tokens("write", "m") == 1008
    assert fitted.max_tokens("plan") == fitted.max_tokens("plan", "other")
    assert fitted.max_tokens("elsewhere") is None


def test_the_headroom_is_on_top() -> None:
    """The cap is the bound times the headroom, rounded up."""
    [cap] = fit_max_tokens(_ledger(_answers(*range(101, 111))), floor=HALF, headroom=1.5).caps
    assert (cap.bound_tokens, cap.max_tokens) == (109, 164)


def test_too_few_calls_give_no_cap_and_say_how_many_are_missing() -> None:
    """Nothing is capped on a few calls."""
    fitted = fit_max_tokens(_ledger(_answers(10, 12)))
    [cap] = fitted.caps
    assert (cap.max_tokens, cap.missing_calls) == (None, 297)
    assert "297 more calls" in cap.reason
    assert fitted.max_tokens("plan", "m") is None
    assert fit_max_tokens(_ledger(_answers(*range(9))), floor=HALF, min_calls=20).caps[0].missing_calls == 12


def test_only_whole_answers_that_a_provider_counted_are_looked_at() -> None:
    """Estimates, failures, streams that were left, cache hits and calls without usage say nothing of the length."""
    odd = [
        _answer(100, 9000, usage=Usage(1, 9000, estimated=True)),
        _answer(101, 9000, status="error", error_type="TimeoutError"),
        _answer(102, 9000, status="aborted"),
        _answer(103, 9000, kind="cache_hit"),
        _answer(104, 0, usage=None),
        _answer(105, 0),
    ]
    [cap] = fit_max_tokens(_ledger(_answers(*range(20, 30)), odd), floor=HALF).caps
    assert (cap.calls, cap.cut, cap.longest_tokens) == (10, 0, 29)


def test_reasoning_is_part_of_the_answer() -> None:
    """Caps cover reasoning, so that the fit does too."""
    entries = [_answer(number, 500, usage=Usage(100, 500 + number, reasoning_tokens=450)) for number in range(10)]
    [cap] = fit_max_tokens(_ledger(entries), floor=HALF, headroom=1).caps
    assert cap.bound_tokens == 508


def test_answers_as_long_as_the_cap_in_force_do_not_tighten_it() -> None:
    """Refitting under a cap never makes it lower because of what it cut."""
    before = fit_max_tokens(_ledger(_answers(*range(100, 110))), floor=HALF, headroom=1)
    cap = before.max_tokens("plan", "m")
    assert cap == 108
    cut = _ledger(_answers(*range(100, 105), *[cap] * 5))
    [after] = fit_max_tokens(cut, floor=HALF, headroom=1, applied=before).caps
    assert (after.cut, after.max_tokens) == (5, None)
    assert "were cut" in after.reason


def test_several_answers_of_the_same_great_length_look_cut() -> None:
    """A cap that nobody told of shows by answers of exactly its length; short answers are alike by themselves."""
    [piled] = fit_max_tokens(_ledger(_answers(*[90] * 5, *[4096] * 5)), floor=HALF).caps
    assert (piled.cut, piled.max_tokens) == (5, None)
    [short] = fit_max_tokens(_ledger(_answers(*[2] * 5, *[3] * 5)), floor=HALF).caps
    assert (short.cut, short.bound_tokens, short.max_tokens) == (0, 3, 16)


def test_an_answer_whose_client_raised_was_cut() -> None:
    """OpenAI's client raises where an answer to be parsed was cut."""
    raised = [_answer(50 + n, 70, status="error", error_type="LengthFinishReasonError") for n in range(8)]
    [cap] = fit_max_tokens(_ledger(_answers(*range(20, 30)), raised), floor=HALF).caps
    assert (cap.calls, cap.cut, cap.max_tokens) == (18, 8, None)


def test_a_model_is_known_by_the_name_that_was_asked_for() -> None:
    """The provider's dated name is not what a call can be looked up by before it is made."""
    entries = [_answer(n, 20 + n, model="m-2026-11-01", name="m") for n in range(10)]
    assert fit_max_tokens(_ledger(entries), floor=HALF).max_tokens("plan", "m") is not None


def test_only_calls_since_an_instant_count() -> None:
    """Answers to an earlier prompt are another matter."""
    old = [_answer(n, 5000 + n, at=AT - timedelta(days=3)) for n in range(50)]
    ledger = _ledger(old, _answers(*range(100, 110), node="plan", model="m2"))
    assert [cap.model for cap in fit_max_tokens(ledger, floor=HALF, since=AT).caps] == ["m2"]


def test_what_cannot_be_is_refused() -> None:
    """A headroom below 1, a floor that nothing proves, a column that is none, an instant without a zone."""
    ledger = MemoryLedger()
    with pytest.raises(ValueError, match="headroom"):
        fit_max_tokens(ledger, headroom=0.5)
    with pytest.raises(ValueError, match="below 1"):
        fit_max_tokens(ledger, floor=QualityFloor("answers whole", min=1))
    with pytest.raises(QueryError):
        fit_max_tokens(ledger, by="colour")
    with pytest.raises(QueryError):
        fit_max_tokens(ledger, since=datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_fitted_caps_are_json_and_come_back() -> None:
    """What was reviewed in a file is what is applied."""
    fitted = fit_max_tokens(_ledger(_answers(*range(100, 110)), _answers(1, node="other")), floor=HALF)
    assert Fitted.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted
    with pytest.raises(ValueError, match="no fitted caps"):
        Fitted.from_dict({"caps": [{"node": "plan"}]})


def test_a_place_with_a_model_that_has_no_cap_has_none_for_all() -> None:
    """Which model is asked is not known, so the cap must fit each of them."""
    caps = (Cap("plan", "a", 400, 0, 50, 40, 80), Cap("plan", "b", 3, 0, 50, missing_calls=296))
    fitted = Fitted("node", WHOLE, 2.0, caps)
    assert (fitted.max_tokens("plan", "a"), fitted.max_tokens("plan")) == (80, None)


def test_a_reserve_shrinks_to_the_cap_and_never_grows() -> None:
    """A budget reserves the cap, in tokens and dollars; without a price the dollars are not known."""
    book = PriceBook({"models": [{"model": "m", "input": 1, "output": 10}]})
    caps = (
        Cap("plan", "m", 400, 0, 50, 40, 80),
        Cap("free", "m", 2, 0, 5),
        Cap("plan", "no-such-model", 400, 0, 50, 40, 99_999),
    )
    capped, free, unknown = reserves(Fitted("node", WHOLE, 2.0, caps), prices=book, longest_tokens=1_000)
    assert (capped.before_usd, capped.after_usd) == (Decimal("0.01"), Decimal("0.0008"))
    assert free.after_tokens == free.before_tokens == unknown.after_tokens == 1_000
    assert unknown.before_usd is unknown.after_usd is None
