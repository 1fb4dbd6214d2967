"""What a model call used, whatever form its answer comes in."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_agentcost.usage import Usage, is_cache_hit


class SeenUsage(BaseCallbackHandler):
    """Keeps the usage of the call that it is passed to: streams and parsed answers carry none.

    Attributes:
        usage: It; None until it is known.
    """

    run_inline = True

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Hear nothing: a handler without this has LangChain write the whole prompt as a text for it."""

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """See an answer."""
        message, usage = Usage.from_llm_result(response)
        if message is None or not is_cache_hit(message):  # nothing was sent to a provider, or its cache warmed
            self.usage = usage
