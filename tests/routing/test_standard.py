"""LangChain's standard tests for chat models, where they apply to what is no chat model itself."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion

from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.testing import FakeMeteredChatModel

_NO_FIELDS = "a router has tiers and no sampling arguments of its own: those are its models'"


class TestRouterAsChatModel(ChatModelUnitTests):
    """What LangChain asks of a chat model's class, of a router of two fake models."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """What is made."""
        return RouterRunnable  # type: ignore[return-value]

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Of what."""
        return {"tiers": [FakeMeteredChatModel(), FakeMeteredChatModel()]}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        """None: a router has no sampling of its own, its tiers have."""
        return {}

    @pytest.fixture
    def model(self, request: Any) -> BaseChatModel:
        """The router."""
        return self.chat_model_class(**self.chat_model_params)

    @pytest.mark.xfail(reason=_NO_FIELDS)
    def test_init_streaming(self) -> None:
        """A router takes no `streaming`."""
        super().test_init_streaming()

    @pytest.mark.xfail(reason=_NO_FIELDS)
    def test_standard_params(self, model: BaseChatModel) -> None:
        """A router takes no `max_tokens`."""
        super().test_standard_params(model)

    @pytest.mark.xfail(reason="what is bound to a router is a router, and no RunnableBinding")
    def test_bind_tool_pydantic(self, model: BaseChatModel, my_adder_tool: BaseTool) -> None:
        """Tools are bound to whichever tier is asked."""
        super().test_bind_tool_pydantic(model, my_adder_tool)

    @pytest.mark.xfail(reason="a Runnable has no serialised form unless it says so, and a router's tiers are objects")
    def test_serdes(self, model: BaseChatModel, snapshot: SnapshotAssertion) -> None:
        """A router is not written down."""
        super().test_serdes(model, snapshot)
