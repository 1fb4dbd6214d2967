from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langsmith import Client
from langsmith.schemas import Example as Given
from langsmith.utils import LangSmithNotFoundError

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routing.calibrating import calibrate
from langchain_agentcost.routing.examples_from import examples_by_evaluating, examples_from_langsmith, request_of
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel, LangSmithCollector, langsmith_api

DATASET = str(uuid4())
ROWS = [str(uuid4()) for _ in range(4)]
PRICES = PriceBook(
    {"models": [{"model": "small-1", "input": 1, "output": 1}, {"model": "big-1", "input": 10, "output": 10}]}
)


def datasets(store: langsmith_api.Store, request: langsmith_api.Request) -> langsmith_api.Answer:
    """The one dataset, by its name."""
    del store
    found = [
        {"id": DATASET, "name": "desk", "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z"}
    ]
    return 200, [one for one in found if request.query.get("name") == [one["name"]]]


def examples(store: langsmith_api.Store, request: langsmith_api.Request) -> langsmith_api.Answer:
    """Its examples."""
    del store
    start = int(request.query.get("offset", ["0"])[0])
    rows = [
        {
            "id": row,
            "dataset_id": DATASET,
            "inputs": {"question": f"Question {number}"},
            "outputs": {"answer": str(number)},
            "metadata": {"langgraph_node": "chat", "thread_id": f"t{number // 2}"},
            "created_at": "2026-01-01T00:00:00Z",
            "modified_at": None,
        }
        for number, row in enumerate(ROWS)
    ]
    return 200, rows[start:] if request.query["dataset"] == [DATASET] else []


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmithCollector]:
    """A LangSmith on loopback that has a dataset too."""
    routes = (("GET", "/datasets", datasets), ("GET", "/examples", examples))
    monkeypatch.setattr(langsmith_api, "_ROUTES", (*langsmith_api._ROUTES, *routes))
    with LangSmithCollector() as running:
        yield running


def ran(client: Client, experiment: str, scores: dict[str, float | None], key: str = "correct") -> None:
    """Store an experiment: a run with a score for each of the dataset's rows."""
    for row, score in scores.items():
        run = uuid4()
        client.create_run(
            "target",
            {"question": "?"},
            "chain",
            id=run,
            project_name=experiment,
            reference_example_id=UUID(row),
            start_time=datetime.now(UTC),
            end_time=datetime.now(UTC),
            extra={"metadata": {"usage_metadata": {"total_cost": 0.25}}},
        )
        client.flush()
        client.create_feedback(run, key, score=score, session_id=client.read_project(project_name=experiment).id)


def test_experiments_of_two_tiers_become_examples(collector: LangSmithCollector) -> None:
    """Each row of the dataset is an example with the score and the cost of each tier's run."""
    client = collector.client()
    ran(client, "exp-small", {ROWS[0]: 1, ROWS[1]: 0, ROWS[2]: 0.5})
    ran(client, "exp-big", {ROWS[0]: 1, ROWS[1]: 1, ROWS[2]: None})
    collector.wait(6)
    found = examples_from_langsmith(client, "desk", {"small": "exp-small", "big": "exp-big"}, feedback_key="correct")
    assert [dict(one.quality) for one in found] == [{"small": 1, "big": 1}, {"small": 0, "big": 1}, {"small": 0.5}]
    assert found[0].nano == {"small": 250_000_000, "big": 250_000_000}
    assert [one.request.text for one in found] == ["Question 0", "Question 1", "Question 2"]
    assert [one.request.thread for one in found] == ["t0", "t0", "t1"]
    assert found[0].request.node == "chat"
    assert [one.id for one in found] == ROWS[:3]


def test_other_feedback_is_not_taken_for_quality(collector: LangSmithCollector) -> None:
    """Only the feedback that was named counts."""
    client = collector.client()
    ran(client, "exp-small", {ROWS[0]: 1}, key="tone")
    collector.wait(1)
    assert examples_from_langsmith(client, "desk", {"small": "exp-small"}, feedback_key="correct") == []


def test_experiment_that_is_not_there_is_langsmiths_own_error(collector: LangSmithCollector) -> None:
    """A wrong name is told by the client, as everywhere."""
    with pytest.raises(LangSmithNotFoundError):
        examples_from_langsmith(collector.client(), "desk", {"small": "none"}, feedback_key="correct")


def tiers() -> list[Tier]:
    """A small tier that knows one answer, and a big one that repeats the question's number."""
    return [
        Tier("small", FakeMeteredChatModel(model="small-1", answers=["0"])),
        Tier("big", FakeMeteredChatModel(model="big-1", answers=lambda messages: messages[-1].text[-1])),
    ]


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    """Whether the answer is the one that was expected."""
    return bool(outputs["output"] == reference_outputs["answer"])


DATA = [
    {"inputs": {"question": f"Question {number}"}, "outputs": {"answer": str(number)}, "metadata": {"schema": "N"}}
    for number in range(3)
]


def test_tiers_are_tried_on_data_of_ones_own() -> None:
    """Each tier answers each row once; the evaluator's score is its quality, and its tokens are priced."""
    found = examples_by_evaluating(tiers(), DATA, right, prices=PRICES)
    assert [dict(one.quality) for one in found] == [
        {"small": 1, "big": 1},
        {"small": 0, "big": 1},
        {"small": 0, "big": 1},
    ]
    assert [one.request.schema for one in found] == ["N"] * 3
    assert all(10 * one.nano["small"] == one.nano["big"] > 0 for one in found)
    assert calibrate(StepPolicy(), found, tiers()).examples == 3


def test_langsmith_examples_are_taken_as_they_are() -> None:
    """Rows may be LangSmith's own objects, with messages as inputs."""
    row = Given(id=uuid4(), inputs={"messages": [{"role": "user", "content": "Question 7"}]}, outputs={"answer": "7"})
    [found] = examples_by_evaluating(tiers(), [row], right, prices=PRICES)
    assert found.quality == {"small": 0, "big": 1}


def test_tier_that_fails_has_no_quality() -> None:
    """An error proves nothing of a tier's answers: it is not there, and the other rows are tried."""
    failing = Tier("small", FakeMeteredChatModel(model="small-1", answers=["0"], failures={1: ValueError("down")}))
    found = examples_by_evaluating([failing, tiers()[1]], DATA, right, prices=PRICES, max_concurrency=1)
    assert [sorted(one.quality) for one in found] == [["big"], ["big", "small"], ["big", "small"]]


def test_nothing_is_sent_anywhere() -> None:
    """With tracing on in the environment, and a judge that is a model itself, no connection is even tried."""
    code = """
import socket
asked = []
def refused(self, address):
    asked.append(address)
    raise OSError("no network")
socket.socket.connect = refused
socket.getaddrinfo = lambda *args, **kwargs: refused(None, args)
from langchain_agentcost.routing.examples_from import examples_by_evaluating
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel
judge = FakeMeteredChatModel(answers=["yes"])
def right(inputs, outputs):
    return judge.invoke(outputs["output"]).text == "yes"
found = examples_by_evaluating([Tier("small", FakeMeteredChatModel())], [{"inputs": {"question": "?"}}] * 3, right)
assert [one.quality for one in found] == [{"small": 1.0}] * 3, found
import time
time.sleep(1.0)
assert not asked, asked
"""
    environment = {**os.environ, "LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "key"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_messages_and_single_texts_are_requests() -> None:
    """What most datasets have is understood: messages, or one text under any name; with what kind of step it is."""
    spoken = request_of({"messages": [("user", "Hi"), ("ai", "Hello"), ("user", "Total?")]}, {"tools": ["search"]})
    assert [type(message) for message in spoken.messages] == [HumanMessage, AIMessage, HumanMessage]
    assert spoken.tools == ("search",)
    assert spoken.prompt_tokens > request_of({"question": "Total?"}, {}).prompt_tokens > 0


def test_inputs_that_are_no_request_are_an_error_that_says_what_to_do() -> None:
    """Two texts could be anything: a function of one's own has to say."""
    with pytest.raises(RoutingError, match="No request in inputs a, b; pass `request_of`"):
        request_of({"a": "x", "b": "y"}, {})
