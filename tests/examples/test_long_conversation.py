import json
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from examples.long_conversation import PRODUCTS, Conversation, Turn, Window, contexts, hold, main, script
from langchain_agentcost.context.summarization import SummarizationNode, Trigger
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.testing import FakeMeteredChatModel


def conversations(out: Path) -> dict[str, Conversation]:
    """What the example wrote."""
    ways = json.loads((out / "long_conversation.json").read_text())["ways"]
    return {
        way: Conversation(**{**held, "turns": [Turn(**turn) for turn in held["turns"]]}) for way, held in ways.items()
    }


def test_with_the_local_model_a_window_loses_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once the window moves, the server reads its rules alone from the cache; without one, all that was sent before."""
    main(["--turns", "6", "--out", str(tmp_path)])
    found = conversations(tmp_path)
    last = {way: held.turns[-1] for way, held in found.items()}
    assert last["summary"].read_tokens > 0.85 * last["summary"].input_tokens
    assert last["window"].read_tokens < 0.8 * last["window"].input_tokens
    assert {way: held.orders_known for way, held in found.items()} == {"summary": 1, "window": 2 / 3}
    assert (tmp_path / "long_conversation.png").stat().st_size > 0
    assert "summary   " in capsys.readouterr().out


def test_over_sixty_turns_the_prompt_stays_short_and_names_every_order() -> None:
    """The same app with a scripted model: summaries keep the prompt within bounds, and what it names."""

    def answers(prompt: list[BaseMessage]) -> AIMessage:
        return AIMessage(f"Gladly, for turn {len(prompt)}.")

    trigger = Trigger(tokens=1_000, margin_tokens=500, keep_blocks=6)
    summarize = SummarizationNode(Summarizer(max_tokens=300), trigger=trigger)
    kept = hold("all", FakeMeteredChatModel(answers=answers), turns=60, context=[])
    held = hold("summary", FakeMeteredChatModel(answers=answers), turns=60, context=[summarize])
    seen = hold("window", FakeMeteredChatModel(answers=answers), turns=60, context=[Window(8)])
    assert held.longest_tokens < 0.75 * kept.longest_tokens
    assert held.turns[-1].epoch >= 2
    assert (kept.orders_known, held.orders_known) == (1, 1)
    assert seen.orders_known < 0.2
    assert held.subgraph == {"misses": len(PRODUCTS), "hits": 60 - len(PRODUCTS)}
    assert sum(turn.calls for turn in held.turns) == 60 + len(PRODUCTS)


def test_the_model_can_write_the_summaries() -> None:
    """With `--writer model` each summary is a call of the model, behind the prompt that its cache has."""

    def answers(prompt: list[BaseMessage]) -> AIMessage:
        asked = prompt[-1].text
        return AIMessage("Decisions\n- The rolls are baked." if "not from the user" in asked else "Gladly. " * 8)

    model = FakeMeteredChatModel(answers=answers)
    held = hold("summary", model, turns=40, context=contexts(model, window=8, writer="model")["summary"]())
    assert held.turns[-1].epoch >= 1
    assert sum(turn.calls for turn in held.turns) == 40 + len(PRODUCTS) + held.turns[-1].epoch


def test_the_script_comes_back_to_each_order() -> None:
    """A customer's number is said in two turns, and all products are asked for."""
    turns = list(script(60))
    orders = [said["said"].partition("B-")[2][:3] for said in turns]
    assert orders[::2] == orders[1::2]
    assert {said["product"] for said in turns} == set(PRODUCTS)
