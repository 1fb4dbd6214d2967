"""What caches are taken to be: the peers of `cache_workloads.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_agentcost.caching import default_embeddings
from langchain_agentcost.testing import FakeMeteredChatModel


class Cosine:
    """What a semantic cache is taken to be: the nearest last message above a threshold answers, whoever asked it."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._embeddings = default_embeddings()
        self._known: list[tuple[list[float], AIMessage]] = []
        self._hits = 0

    def count(self) -> int:
        """Say how many hits there were."""
        return self._hits

    def around(self, model: FakeMeteredChatModel) -> Runnable[Any, AIMessage]:
        """Put it before a model."""

        def call(messages: list[BaseMessage], config: RunnableConfig) -> AIMessage:
            return self._answer(messages, lambda: model.invoke(messages, config))

        return RunnableLambda(call)

    def _answer(self, messages: list[BaseMessage], call: Callable[[], AIMessage]) -> AIMessage:
        vector = self._embeddings.embed_query(messages[-1].text)
        if self._known:
            cosines = np.asarray([known for known, _ in self._known]) @ np.asarray(vector)
            best = int(cosines.argmax())
            if cosines[best] >= self._threshold:
                self._hits += 1
                return self._known[best][1]
        message = call()
        self._known.append((vector, message))
        return message


class ByArguments:
    """What a tool cache is taken to be: the same arguments have the same result, for an hour."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._known: dict[tuple[str, str], tuple[float, ToolMessage]] = {}
        self._hits = 0

    def count(self) -> int:
        """Say how many hits there were."""
        return self._hits

    def wrap_tool_call(self, request: Any, execute: Callable[[Any], Any]) -> Any:
        """Serve a tool call, or make it."""
        call = request.tool_call
        if call["name"] != "look_up":
            return execute(request)
        key = (call["name"], repr(call["args"]))
        at, message = self._known.get(key, (0.0, None))
        if message is not None and time.monotonic() - at < self._ttl_s:
            self._hits += 1
            return message.model_copy(update={"tool_call_id": call["id"], "id": None})
        message = execute(request)
        self._known[key] = (time.monotonic(), message)
        return message
