"""The loopback collector keeps what a real client sends, and refuses what LangSmith would."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import requests

from langchain_agentcost.testing.collector import PROJECT, LangSmithCollector


def _post(client: Any, **changes: Any) -> str:
    run_id = uuid4()
    dotted = f"20260101T000000000000Z{run_id}"
    client.create_run("a run", {"q": 1}, "chain", id=run_id, trace_id=run_id, dotted_order=dotted, **changes)
    return str(run_id)


@pytest.mark.parametrize("options", [{"zstd": True}, {}, {"multipart": False}], ids=["zstd", "plain", "json"])
def test_a_patch_is_merged_into_its_post(options: dict[str, Any]) -> None:
    """Later fields win, earlier ones stay, whatever the encoding."""
    with LangSmithCollector(**options) as collector:
        client = collector.client()
        run_id = _post(client, project_name="p")
        client.flush()
        dotted = f"20260101T000000000000Z{run_id}"
        client.update_run(run_id, outputs={"a": 2}, trace_id=run_id, dotted_order=dotted)
        client.flush()
        run = collector.wait(1)[run_id]
        assert (run["name"], run["inputs"], run["outputs"]) == ("a run", {"q": 1}, {"a": 2})
        assert [operation.kind for operation in collector.operations()] == ["post", "patch"]


def test_a_client_without_batches_is_understood_too() -> None:
    """`auto_batch_tracing=False` posts and patches run by run."""
    with LangSmithCollector() as collector:
        client = collector.client(auto_batch_tracing=False)
        run_id = _post(client)
        client.update_run(run_id, outputs={"a": 2})
        assert collector.wait(1)[run_id]["outputs"] == {"a": 2}
        assert {operation.encoding for operation in collector.operations()} == {"json"}


def test_waiting_for_runs_that_never_end_says_what_came() -> None:
    """The message holds what is needed to understand the failure."""
    with LangSmithCollector() as collector:
        client = collector.client()
        _post(client)
        client.flush()
        with pytest.raises(TimeoutError, match=r"0 of 1 runs ended .* 1 were posted"):
            collector.wait(1, timeout_s=0.05)


@pytest.mark.parametrize("refusal", [401, 403])
def test_another_key_is_refused(refusal: int) -> None:
    """As by the real service."""
    with LangSmithCollector(api_key="right", refusal=refusal) as collector:
        url = f"{collector.url}/sessions"
        assert requests.get(url, headers={"x-api-key": "wrong"}, timeout=5).status_code == refusal
        assert requests.get(url, headers={"x-api-key": "right"}, timeout=5).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/sessions"), ("POST", "/runs")])
def test_what_it_does_not_understand_is_an_error(method: str, path: str) -> None:
    """A test must not pass because the collector swallowed something."""
    with LangSmithCollector() as collector:
        answer = requests.request(method, f"{collector.url}{path}", data=b"not json", timeout=5)
        assert answer.status_code >= 400


def test_the_environment_points_at_it() -> None:
    """What a child process needs to trace to it."""
    with LangSmithCollector(api_key="k") as collector:
        environment = collector.environment()
        assert environment["LANGSMITH_ENDPOINT"] == collector.url
        assert (environment["LANGSMITH_API_KEY"], environment["LANGSMITH_PROJECT"]) == ("k", PROJECT)
        assert environment["LANGSMITH_TRACING"] == "true"


def test_closing_twice_is_harmless() -> None:
    """A fixture and a test may both close it."""
    collector = LangSmithCollector()
    collector.close()
    collector.close()
