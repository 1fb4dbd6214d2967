"""A change of wording, tried before it is accepted."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda

from langchain_agentcost.context.output.controls import CONCISE, OutputControls
from langchain_agentcost.context.output.model import model_with_controls
from langchain_agentcost.context.output.trial import accept
from langchain_agentcost.meter import CostMeter, meter_costs
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.testing import FakeMeteredChatModel

FLOOR = QualityFloor("answers right", min=0.9)
ASKED = [f"Where is order {number}?" for number in range(30)]

COUNTS: Any = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}


def _says(prompt: list[BaseMessage]) -> str:
    """A model that says less where it is asked to, and then leaves out the number of every tenth order or so."""
    number = prompt[-1].text.split()[-1].rstrip("?")
    short = CONCISE in prompt[0].text
    if short and number.endswith("7"):
        return "In Lyon."
    return (
        f"Order {number}: Lyon." if short else f"Let me look that up for you. Order {number} is in Lyon. Anything else?"
    )


def _names_it(asked: str, said: Any) -> bool:
    return asked.split()[-1].rstrip("?") in said.text


def test_a_change_that_keeps_what_was_right_is_accepted() -> None:
    """Thirty kept answers prove a floor of 0.9, and the shorter answers are counted."""
    model = FakeMeteredChatModel(answers=_says)
    short = model_with_controls(model, OutputControls(CONCISE))
    trial = accept(ASKED, model, short, right=lambda asked, said: "Lyon" in said.text, floor=FLOOR)
    assert trial
    assert trial.output_saved_pct is not None
    assert 20 < trial.output_saved_pct < 80


def test_a_change_that_loses_some_is_not() -> None:
    """Three of thirty answers lose the number: shorter, and not accepted."""
    model = FakeMeteredChatModel(answers=_says)
    short = model_with_controls(model, OutputControls(CONCISE))
    trial = accept(ASKED, model, short, right=_names_it, floor=FLOOR)
    assert not trial
    assert (trial.verdict.kept, trial.verdict.lost) == (27, 3)
    assert trial.verdict.missing


def test_what_is_not_counted_is_not_known() -> None:
    """Answers that are no messages, or come without usage, have no length to compare."""
    same: Any = RunnableLambda(lambda asked: "In Lyon.")
    assert accept(ASKED, same, same, right=lambda asked, said: True, floor=FLOOR).output_saved_pct is None
    mute: Any = RunnableLambda(lambda asked: AIMessage("In Lyon."))
    assert accept(ASKED, mute, mute, right=lambda asked, said: True, floor=FLOOR).before is None
    half: Any = RunnableLambda(lambda asked: AIMessage("In Lyon.", usage_metadata=COUNTS if "1" in asked else None))
    assert accept(ASKED, half, half, right=lambda asked, said: True, floor=FLOOR).after is None
    assert accept([], same, same, right=lambda asked, said: True, floor=FLOOR).verdict.missing == 29


def test_the_calls_of_a_trial_are_booked_as_overhead() -> None:
    """They answer nobody, so that they are no agent's own work."""
    model = FakeMeteredChatModel()
    with meter_costs() as meter:
        accept(ASKED[:2], model, model, right=lambda asked, said: True, floor=FLOOR)
    assert isinstance(meter, CostMeter)
    [total] = meter.ledger.totals(["purpose"])
    assert (total.key, total.llm_calls) == (("evaluation",), 4)


def double(number: int) -> int:
    """Answer an example."""
    return 2 * number


def doubled(number: int, said: int) -> bool:
    """Whether an answer is right."""
    return said == 2 * number


def test_functions_are_tried_too_and_enough_kept_answers_prove_it() -> None:
    """59 right answers that are all kept prove 95 %, the floor that is asked by itself; with 58, one is missing."""
    before: RunnableLambda[int, int] = RunnableLambda(double)
    assert accept(range(59), before, lambda number: number + number, right=doubled)
    trial = accept(range(58), before, lambda number: number + number, right=doubled)
    assert (bool(trial), trial.verdict.missing) == (False, 1)


def test_won_answers_do_not_make_up_for_lost_ones() -> None:
    """A wording that is right elsewhere is refused for what it loses."""
    odd = accept(range(200), double, lambda number: -1 if number % 10 == 0 else 2 * number, right=doubled)
    assert (odd.verdict.lost, odd.verdict.refuted) == (20, True)
    nothing_before = accept(range(1, 200), lambda _number: None, double, right=doubled)
    assert (bool(nothing_before), nothing_before.verdict.won) == (False, 199)


def test_an_error_is_counted_apart_and_is_no_loss() -> None:
    """An example that ended in an error is no trial: not lost, not kept, and its tokens are on neither side."""

    def limited(prompt: str) -> AIMessage:
        if prompt == "7":
            raise TimeoutError("try later")
        return AIMessage("ok", usage_metadata=COUNTS)

    def steady(_prompt: str) -> AIMessage:
        return AIMessage("ok", usage_metadata=COUNTS)

    asked = [str(number) for number in range(60)]
    before = accept(asked, limited, steady, right=lambda asked, said: said.text == "ok")
    assert (before.errors_before, before.errors_after, before.verdict.kept, before.verdict.lost) == (1, 0, 59, 0)
    assert before
    assert before.before == before.after
    both = accept(asked, limited, limited, right=lambda asked, said: said.text == "ok")
    assert (bool(both), both.errors_before, both.errors_after) == (True, 1, 1)
    assert "Errors, counted apart: 1 before and 1 after; the first: TimeoutError: try later" in str(both)


def test_a_change_that_fails_more_often_is_not_accepted() -> None:
    """An error is no lost answer, but whoever asked had none: more of them than before are not accepted."""

    def broken(number: int) -> int:
        return 2 * number if number else 1 // 0

    trial = accept(range(100), double, broken, right=doubled)
    assert (trial.verdict.proven, trial.verdict.lost, trial.errors_after) == (True, 0, 1)
    assert not trial
