"""The counter: a tokenizer where one is on this machine, else the estimate, and a factor learned for each model."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from functools import partial
from statistics import median
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_agentcost.tokens.encodings import Encoder, encoder, encoding_name, openai_encoding
from langchain_agentcost.tokens.estimate import estimate_text, message_tokens, schema_text

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

EXACT_UP_TO_CHARS = 100_000
"""A longer text is counted from pieces of it: a tokenizer takes some 0.3 us a character."""

OPENAI_SCHEMA_SHARE = 0.7
"""OpenAI shows a model its tools in a shorter notation than JSON: 0.65 to 0.75 of the tokens in recorded runs."""

FACTOR_BOUNDS = (0.25, 4.0)
"""A provider's count further off than this is about something that was not counted, and teaches nothing more."""

_ANSWERS_KEPT = 31
_ANSWERS_NEEDED = 3
_MODELS_KEPT = 256
_MEMO_SIZE = 16_384


class TokenCounter:
    """Counts texts, messages and tool descriptions for a model, without the network.

    Safe to share between threads. Texts are remembered by hash and length, never kept.

    Args:
        allow_download: Let tiktoken fetch its files where they are not on this machine. It has no timeout.

    Example:
        >>> counter = TokenCounter()
        >>> for _ in range(3):
        ...     counter.observe("my-model", estimated=100, actual=120)
        >>> counter.factor("my-model")
        1.2
    """

    def __init__(self, *, allow_download: bool = False) -> None:
        self._encoder = partial(encoder, allow_download=allow_download)
        self._ratios: OrderedDict[str, deque[float]] = OrderedDict()
        self._factors: dict[str, float] = {}
        self._memo: dict[tuple[int, int, int], int] = {}
        self._lock = Lock()

    def count_text(self, text: str, *, model: str | None = None) -> int:
        """Count a text.

        Args:
            text: Any text; special tokens in it are text.
            model: The model that will read it; None takes the nearest encoding and no factor.

        Returns:
            Tokens.
        """
        return self._corrected(self._text(text, self._encoder_of(model)), model)

    def count_message(self, message: BaseMessage, *, model: str | None = None) -> int:
        """Count a message with its tool calls; images, audio and files by `estimate.BLOCK_TOKENS`."""
        return self._corrected(self._message(message, self._encoder_of(model)), model)

    def count_messages(
        self, messages: Iterable[BaseMessage], *, model: str | None = None, tools: Sequence[Any] = ()
    ) -> int:
        """Count what a call sends: its messages and the descriptions of its tools.

        Args:
            messages: The prompt.
            model: The model that will read it.
            tools: The bound tools, as mappings or LangChain tools.

        Returns:
            Tokens.
        """
        using = self._encoder_of(model)
        total = sum([self._message(message, using) for message in messages])
        return self._corrected(total + self._schemas(tools, using, model), model)

    def count_schemas(self, tools: Sequence[Any], *, model: str | None = None) -> int:
        """Count the descriptions of tools: as compact JSON, and for OpenAI's models the share of it that is billed."""
        return self._corrected(self._schemas(tools, self._encoder_of(model), model), model)

    def observe(self, model: str, *, estimated: int, actual: int) -> None:
        """Learn from a provider's answer how far off this counter is for a model.

        The factor is the median over the last 31 answers, from the third one on, so a single odd answer moves nothing.

        Args:
            model: The model that answered.
            estimated: What this counter said, in tokens.
            actual: What the provider said, in tokens. Where either is not above 0, nothing is learned.
        """
        if estimated <= 0 or actual <= 0:
            return
        low, high = FACTOR_BOUNDS
        with self._lock:
            ratio = actual / estimated * self._factors.get(model, 1.0)
            ratios = self._ratios.setdefault(model, deque(maxlen=_ANSWERS_KEPT))
            self._ratios.move_to_end(model)
            ratios.append(min(max(ratio, low), high))
            if len(ratios) >= _ANSWERS_NEEDED:
                self._factors[model] = median(ratios)
            if len(self._ratios) > _MODELS_KEPT:
                forgotten, _ = self._ratios.popitem(last=False)
                self._factors.pop(forgotten, None)

    def factor(self, model: str) -> float:
        """Give what a count for a model is multiplied by; 1.0 until three answers were seen."""
        return self._factors.get(model, 1.0)

    def is_exact(self, model: str) -> bool:
        """Tell whether a tokenizer is used for a model, and not the estimate by character class."""
        return self._encoder_of(model) is not None

    def _encoder_of(self, model: str | None) -> Encoder | None:
        return self._encoder(encoding_name(model or ""))

    def _corrected(self, tokens: int, model: str | None) -> int:
        return round(tokens * self._factors.get(model, 1.0)) if model else tokens

    def _message(self, message: BaseMessage, using: Encoder | None) -> int:
        return message_tokens(message, partial(self._text, using=using))

    def _schemas(self, tools: Sequence[Any], using: Encoder | None, model: str | None) -> int:
        tokens = sum([self._text(schema_text(tool), using) for tool in tools])
        return round(tokens * OPENAI_SCHEMA_SHARE) if model and openai_encoding(model) else tokens

    def _text(self, text: str, using: Encoder | None) -> int:
        if using is None:
            return estimate_text(text)
        key = (id(using), hash(text), len(text))  # encoders live as long as the process
        known = self._memo.get(key)
        if known is None:
            known = _tokens(text, using)
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[key] = known
        return known


def _tokens(text: str, using: Encoder) -> int:
    """Tokens of a text; of a very long one, by pieces spread evenly over it."""
    if len(text) <= EXACT_UP_TO_CHARS:
        return len(using.encode_ordinary(text))
    pieces = 20
    size, step = EXACT_UP_TO_CHARS // pieces, len(text) // pieces
    counted = sum(len(using.encode_ordinary(text[i * step : i * step + size])) for i in range(pieces))
    return round(counted * len(text) / EXACT_UP_TO_CHARS)


_PLAIN = TokenCounter()
"""Counts for who has no counter of their own; it never learns, so all that it remembers are counts."""


def count_text(text: str, *, model: str | None = None) -> int:
    """Count a text without a learned factor.

    Example:
        >>> count_text("", model="gpt-5-mini")
        0
    """
    return _PLAIN.count_text(text, model=model)


def count_messages(messages: Iterable[BaseMessage], *, model: str | None = None, tools: Sequence[Any] = ()) -> int:
    """Count what a call sends, without a learned factor.

    Example:
        >>> count_messages([], model="gpt-5-mini")
        0
    """
    return _PLAIN.count_messages(messages, model=model, tools=tools)
