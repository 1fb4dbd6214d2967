"""How many tokens a prompt has at most, without counting a history again that was counted before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import ceil
from operator import call, is_
from typing import Any, NamedTuple
from weakref import ref

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_agentcost.recent import Recent
from langchain_agentcost.tokens import TokenCounter, estimate_text
from langchain_agentcost.tokens.counter import FACTOR_BOUNDS
from langchain_agentcost.tokens.encodings import openai_encoding
from langchain_agentcost.tokens.estimate import message_tokens, schema_text
from langchain_agentcost.uncounted import Prompt
from langchain_agentcost.usage import Usage

TOKENIZER_MARGIN = 1.05
"""For what the model's own tokenizer counted: recorded prompts of OpenAI's models have 0.96 to 1.04 times that."""

LEARNED_MARGIN = 1.3
"""For an estimate that answers of the model have corrected."""

ESTIMATE_MARGIN = 1.5
"""For an estimate: recorded first prompts of Claude and DeepSeek have 1.02 to 1.18 times that, and 99.9 % of 8,083
recorded texts less than 1.5 times (the worst are pictures drawn with blanks)."""

FRAME_TOKENS = 128
"""For what stands around a prompt, and for short texts, which no rate fits. With it none of 9,017 recorded prompts of
DeepSeek is longer than was said; of those that went on, half were said to be at most 2 % longer than they were."""

TOOL_PROMPT_TOKENS = 550
"""What a provider puts before the descriptions of tools: Anthropic documents 264 to 530 tokens, by model. What OpenAI
puts there is within the margin."""

EXACT_UP_TO_CHARS = 4_000
"""A tokenizer takes some 0.3 us a character while the call waits: a longer text is estimated."""

MOST_CHARS_PER_TOKEN = 6
"""999 of 1,000 recorded texts have fewer characters for each token of their estimate. One that has more is drawn with
blanks, or has thousands of letters without a blank, which the estimate takes for a word."""

UNBROKEN_CHARS_PER_TOKEN = 2
"""What counts for such a text: random letters and sequences of bases have 1.9 to 2.1 characters a token."""

MAX_PROMPTS = 256
"""How many conversations are remembered at once."""

SCHEMAS = ("response_format", "functions", "output_config", "response_json_schema", "response_schema", "format")
"""What else of a request is put into the prompt: the form that an answer must have."""


class Reported(NamedTuple):
    """A provider's own count of the beginning of a conversation.

    Args:
        messages: How many messages it is of.
        tokens: Its count, with what was sent beside the messages.
        beside: What we count beside them.
        answer_tokens: How long its answer was.
    """

    messages: int
    tokens: int
    beside: int
    answer_tokens: int


class Conversation(NamedTuple):
    """What is remembered of a prompt: no text, and nothing that keeps a message.

    The system message is apart from it: agents that fill in the date, or mark it for a cache, make it anew for each
    call.

    Args:
        messages: Its messages, the leading system message aside; at least one.
        sums: How many tokens there are before the first message, before the second, …, and after the last.
        media: What it has beside text: "image", "audio", "video", "file".
        system: Its system message, and how many tokens that has; None and 0 where it has none.
        reported: What a provider counted; None until one does.
    """

    messages: tuple[ref[BaseMessage], ...]
    sums: tuple[int, ...]
    media: frozenset[str]
    system: tuple[ref[BaseMessage] | None, int] = (None, 0)
    reported: Reported | None = None

    def shared(self, messages: Sequence[BaseMessage]) -> int:
        """How many messages, from the first on, are the same objects."""
        mine = self.messages
        if len(messages) >= len(mine) and all(map(is_, map(call, mine), messages)):
            return len(mine)
        pairs = enumerate(zip(mine, messages, strict=False))
        return next((at for at, (kept, message) in pairs if kept() is not message), len(messages))

    def at_most(self, beside: int) -> int:
        """The most tokens that it has with what is sent beside it."""
        sums, reported = self.sums, self.reported
        if reported is None:
            return sums[-1] + beside + FRAME_TOKENS
        known = reported.messages
        rest = sums[-1] - sums[known]
        if len(sums) > known + 1 and isinstance(self.messages[known](), AIMessage):
            rest += max(0, reported.answer_tokens - (sums[known + 1] - sums[known]))
        return reported.tokens + rest + max(0, beside - reported.beside) + FRAME_TOKENS


class PromptCounts:
    """Counts prompts from above.

    Of a conversation that goes on only what is new is counted. Its beginning is recognised by its messages, which must
    be the same objects, and once a provider has counted that, its count is taken. A message that is changed in place
    counts as it was. Images, audio and files count as `tokens.estimate.BLOCK_TOKENS` says, whatever their size.

    Only weak references and numbers are kept, and none longer than the first message of a conversation lives.

    Args:
        counter: What counts, and knows how far off it is for a model.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._recent: Recent[tuple[str | None, int], Conversation] = Recent(MAX_PROMPTS)
        self._forms: Recent[int, tuple[object, int]] = Recent(MAX_PROMPTS)

    def at_most(
        self, prompt: Prompt, *, model: str | None, schema_tokens: int = 0, sent: Mapping[str, Any] | None = None
    ) -> tuple[int, frozenset[str]]:
        """Give the most tokens that a prompt may have.

        Args:
            prompt: The messages, or the text that an older model takes.
            model: The model that will read it.
            schema_tokens: What `estimate_schemas` says of the bound tools.
            sent: The call's invocation parameters, which may hold further schemas.

        Returns:
            Tokens, and what it has beside text: "image", "audio", "video", "file".
        """
        beside = _tools_at_most(schema_tokens, model)
        if sent and not sent.keys().isdisjoint(SCHEMAS):
            beside += sum([self._form(sent[name]) for name in SCHEMAS if name in sent])
        if isinstance(prompt, str):
            return self._counting(model)(prompt) + beside + FRAME_TOKENS, _TEXT_ONLY
        system, messages = _parted(prompt)
        if not messages:
            return self._system(None, system, model)[1] + beside + FRAME_TOKENS, _TEXT_ONLY
        key = (model, id(messages[0]))
        before = self._recent.get(key)
        now = self._grown(before, key, messages, system)
        if now is not before:
            self._recent.put(key, now)
        return now.at_most(beside + now.system[1]), now.media

    def answered(self, prompt: Prompt, usage: Usage, *, model: str | None, schema_tokens: int = 0) -> None:
        """Take a provider's own count of a prompt.

        A count that is far below ours is not of the whole prompt, as some servers leave out what they had in their
        cache; it is not taken.

        Args:
            prompt: What `at_most` was asked for.
            usage: What the provider counted.
            model: The model that `at_most` was asked for.
            schema_tokens: What `estimate_schemas` says of the bound tools.
        """
        if isinstance(prompt, str) or usage.estimated or usage.anomalies:
            return
        system, messages = _parted(prompt)
        count = len(messages)
        key = (model, id(messages[0]) if messages else 0)
        known = self._recent.get(key)
        if known is None or count > len(known.messages) or known.messages[count - 1]() is not messages[-1]:
            return
        beside = _tools_at_most(schema_tokens, model) + self._system(known, system, model)[1]
        if usage.input_tokens < FACTOR_BOUNDS[0] * (known.sums[count] + beside):
            return
        if known.reported is None or known.reported.messages <= count:
            reported = Reported(count, usage.input_tokens, beside, usage.output_tokens)
            self._recent.put(key, known._replace(reported=reported))

    def _grown(
        self,
        before: Conversation | None,
        key: tuple[str | None, int],
        messages: Sequence[BaseMessage],
        system: BaseMessage | None,
    ) -> Conversation:
        """The conversation of these messages, of which those that are new are counted."""
        model = key[0]
        shared = before.shared(messages) if before is not None else 0
        of_system = self._system(before, system, model)
        if before is not None and shared == len(messages) == len(before.messages) and of_system is before.system:
            return before
        text = self._counting(model)
        recent = self._recent
        if before is None or not shared:
            # Its id may be another message's once it is gone: so long is the conversation remembered.
            before = Conversation(
                (ref(messages[0], lambda _: recent.pop(key)),),
                (0, message_tokens(messages[0], text)),
                _media(messages[0]),
            )
            shared = 1
        new = messages[shared:]
        sums = accumulate([message_tokens(message, text) for message in new], initial=before.sums[shared])
        return Conversation(
            (*before.messages[:shared], *map(ref, new)),
            (*before.sums[:shared], *sums),
            before.media.union(*map(_media, new)),
            of_system,
            before.reported if before.reported and before.reported.messages <= shared else None,
        )

    def _system(
        self, known: Conversation | None, system: BaseMessage | None, model: str | None
    ) -> tuple[ref[BaseMessage] | None, int]:
        """The system message and its tokens: counted, unless it is the one that is known."""
        if system is None:
            return _NO_SYSTEM
        if known is not None and known.system[0] is not None and known.system[0]() is system:
            return known.system
        return ref(system), message_tokens(system, self._counting(model))

    def _form(self, form: object) -> int:
        """What the form of an answer takes: a schema as a mapping, or a class."""
        if form is None or isinstance(form, str):
            return 0
        known = self._forms.get(id(form))
        if known is None or known[0] is not form:
            known = (form, ceil(ESTIMATE_MARGIN * estimate_text(schema_text(form))))
            self._forms.put(id(form), known)
        return known[1]

    def _counting(self, model: str | None) -> Callable[[str], int]:
        """What gives the most tokens of a text for a model."""
        counter = self._counter
        factor = counter.factor(model) if model else 1.0
        # A factor below 1 comes from schemas more often than from texts.
        margin = ESTIMATE_MARGIN if factor == 1.0 else LEARNED_MARGIN * max(1.0, factor)
        exact = bool(model and openai_encoding(model) and counter.is_exact(model))

        def at_most(text: str) -> int:
            if not text:
                return 0
            if exact and len(text) <= EXACT_UP_TO_CHARS:
                return ceil(TOKENIZER_MARGIN * counter.count_text(text, model=model))
            tokens: float = estimate_text(text)
            if len(text) > MOST_CHARS_PER_TOKEN * tokens:
                tokens = len(text) / UNBROKEN_CHARS_PER_TOKEN
            return ceil(margin * tokens)

        return at_most


_NO_SYSTEM: tuple[None, int] = (None, 0)


def _parted(prompt: Sequence[BaseMessage]) -> tuple[BaseMessage | None, Sequence[BaseMessage]]:
    """The leading system message, and the rest."""
    return (prompt[0], prompt[1:]) if prompt and isinstance(prompt[0], SystemMessage) else (None, prompt)


def _tools_at_most(schema_tokens: int, model: str | None) -> int:
    if not schema_tokens:
        return 0
    if model and openai_encoding(model):
        return ceil(TOKENIZER_MARGIN * schema_tokens)  # the notation that it rewrites them into is shorter than JSON
    return ceil(ESTIMATE_MARGIN * schema_tokens) + TOOL_PROMPT_TOKENS


_TEXT_ONLY: frozenset[str] = frozenset()

_MEDIA = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "media": "file",
}
"""What content blocks are, by their type; one that says what is in it is that."""


def _media(message: BaseMessage) -> frozenset[str]:
    """What a message has beside text."""
    content = message.content
    if type(content) is str:
        return _TEXT_ONLY
    blocks = [block for block in content if isinstance(block, Mapping) and block.get("type") in _MEDIA]
    stated = [str(block.get("mime_type")).partition("/")[0] for block in blocks]
    return frozenset(_MEDIA.get(kind, _MEDIA[block["type"]]) for kind, block in zip(stated, blocks, strict=True))
