"""What was recorded comes out again: input counts of any history, and the prompts of who claims to change nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.errors import ReplayMismatch
from langchain_agentcost.replay import Call, Episode, Fidelity, Session
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.run import run
from langchain_agentcost.replay.strategy import Scene
from langchain_agentcost.replay.verify import verify
from tests.replay.made import SONNET, counted, episode, played, says, scene, schemas

HELLO, ASK, MORE = HumanMessage("Hello."), HumanMessage("How do I mend a mill?"), HumanMessage("And the wheel?")


def call(prompt: list[BaseMessage], tokens: int, model: str | None = None) -> Call:
    """A call of its own history, which a provider counted."""
    return Call(prompt, len(prompt), AIMessage("Like this."), recorded=counted(tokens, model=model))


HISTORIES = {
    "only grows": [call([HELLO], 2000), call([HELLO, ASK], 2500)],
    "was cut": [call([HELLO, ASK], 2500), call([ASK, MORE], 1700)],
    "has a clock in front": [call([SystemMessage(f"It is {n}."), HELLO], 2000) for n in range(3)],
    "is a sub-agent's for a while": [call([HELLO], 2000), call([MORE], 300), call([HELLO, ASK], 2600)],
    "was counted as less": [call([HELLO], 2000), call([HELLO, ASK], 1500)],
    "was counted by two tokenizers": [
        call([HELLO], 2000, "claude-sonnet-4-5"),
        call([HELLO, ASK], 1600, "gpt-4.1"),
        call([HELLO, ASK, MORE], 2600, "claude-sonnet-4-5"),
    ],
}


@pytest.mark.parametrize("calls", HISTORIES.values(), ids=HISTORIES)
def test_every_recorded_input_comes_out_again(calls: list[Call]) -> None:
    """Whatever happened to the history, each call has the input tokens that its provider counted."""
    recorded = [one.recorded.usage.input_tokens for one in calls if one.recorded.usage is not None]
    outcome = played(Episode("run", tuple(calls), tools=schemas("mend"), model="claude-sonnet-4-5"))
    assert outcome.steps == recorded
    assert outcome.read_tokens < sum(recorded)


def test_what_a_strategy_leaves_of_a_prompt_is_scaled_with_it() -> None:
    """Half of the pieces of a prompt are half of what its provider counted."""
    long = HumanMessage("mill " * 500)
    again = HumanMessage("mill " * 500, id="another")
    run_ = Episode("run", (call([HELLO], 900), call([long, again], 4000)), model="claude-sonnet-4-5")
    of = scene(run_)
    assert of.sizes.scale(run_.calls[1]) * of.sizes.of(long).tokens == pytest.approx(2000)


@dataclass(frozen=True)
class Liar:
    """Claims to send what was recorded, and leaves all but the last message out."""

    name: ClassVar[str] = "liar"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Cutting(scene)


class _Cutting(Session):
    def before(self, call: Call, request: Request) -> Request:
        return request._replace(messages=request.messages[-1:])


@dataclass(frozen=True)
class Honest(Liar):
    """Does the same and says so."""

    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP


def test_whoever_claims_to_change_nothing_is_held_to_it() -> None:
    """A request that differs is refused by the arithmetic and by the graph, and the difference is named."""
    of = episode(says("Hi.", then="And?"), says("Ho."), model="claude-sonnet-4-5")
    with pytest.raises(ReplayMismatch, match=r"run 'run-1': .*'exact'"):
        run(scene(of), Liar())
    with pytest.raises(ReplayMismatch, match="'exact'"):
        verify([of], [Liar()], tariffs=SONNET)
    assert run(scene(of), Honest()).calls == 2


def test_equal_messages_that_are_other_objects_are_what_was_recorded() -> None:
    """It is the content that counts, not the object."""

    class Copying(Session):
        def before(self, call: Call, request: Request) -> Request:
            return request._replace(messages=tuple(message.model_copy() for message in request.messages))

    @dataclass(frozen=True)
    class Copier(Liar):
        def begin(self, scene: Scene) -> Session:
            return Copying(scene)

    of = episode(says("Hi.", then="And?"), says("Ho."), model="claude-sonnet-4-5")
    assert replace(run(scene(of), Copier()), costs=[]) == replace(played(of), costs=[])
