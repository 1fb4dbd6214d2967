"""What verifiers share that ask no model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verdict


class Pure(ABC):
    """A check that only looks: in async code it is the same."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in decisions and reports."""

    @abstractmethod
    def check(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer."""

    async def acheck(self, request: RouteRequest, answer: Any, config: RunnableConfig) -> Verdict:
        """Check an answer in async code."""
        return self.check(request, answer, config)
