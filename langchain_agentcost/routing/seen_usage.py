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
        sent: Whether a provider was sent the prompt, so that its cache is warm now: not where LangChain's own answered.
    """

    run_inline = True

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.sent = False

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Hear nothing: a handler without this has LangChain write the whole prompt as a text for it."""

    def on_llm_new_token(self, *_: Any, **__: Any) -> None:
        """See that an answer has begun: a stream that is left has been paid for."""
        self.sent = True

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """See an answer."""
        message, usage = Usage.from_llm_result(response)
        self.sent = message is None or not is_cache_hit(message)
        self.usage = usage if self.sent else None
