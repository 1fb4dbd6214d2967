"""The compressor: what loses nothing first, then what the question does not need, down to a share of the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_agentcost.context.compress.columnar import expanded
from langchain_agentcost.context.compress.compressed import Compressed
from langchain_agentcost.context.compress.extractive import Extract, Source, extract
from langchain_agentcost.context.compress.lossless import Count, Kind, kind_of, lossless
from langchain_agentcost.context.compress.words import without_fillers
from langchain_agentcost.context.ranking import Bm25, Ranker
from langchain_agentcost.tokens import count_text


class Question(TypedDict, total=False):
    """What is to be compressed, with what it shall answer.

    Attributes:
        text: A text; or else
        documents: Some documents.
        query: The question.
    """

    text: str
    documents: list[Document]
    query: str


Prompt = str | list[Document] | Question
"""What a `PromptCompressor` takes."""


@dataclass(frozen=True, slots=True)
class CompressedDocuments:
    """Documents with fewer tokens, and how they came about.

    Args:
        documents: Those of which something is left, in their order, with their metadata and ids.
        whole: What was done to them together; its text is theirs, one after the other.
    """

    documents: tuple[Document, ...]
    whole: Compressed


class PromptCompressor(Runnable[Prompt, str | list[Document]]):
    """Compresses a text or documents to a share of their tokens.

    The steps: `lossless`; if that is not enough, an `extract` of the sentences, lines or records that answer the query.
    With `words=True` function words go too, and sentences only where those are not enough.

    What is left has at most the target's tokens, and at least 98 % of them where parts of sentences can fill it; never
    more than the input. Every span of it stands in the input as the lossless steps wrote it, and JSON stays JSON.
    Nothing is left where not even a part of a sentence or record fits. The same input gives the same output.

    Args:
        ratio: The share of the tokens to keep, above 0 and at most 1.
        target_tokens: The most tokens to keep, instead of a share.
        ranker: Scores sentences against the query. `Bm25` takes about 2 ms for 1,000 tokens; `Hybrid` finds more, for
            some 300 ms with MiniLM.
        count: Counts tokens; or the name of the model whose tokens count.
        lossless: Whether to begin with the steps that lose nothing.
        words: Whether function words may go: it costs the text its grammar, never its literals.
        omission: Stands wherever something was left out, and counts; for example " …".

    Raises:
        ValueError: If the ratio or the target makes no sense.

    Example:
        >>> compressor = PromptCompressor(ratio=0.5, count=lambda text: len(text.split()))
        >>> text = "The pier was built in 1899. It is open daily from nine. Tickets cost two euro at the gate."
        >>> compressor.invoke({"text": text, "query": "When was the pier built?"})
        'The pier was built in 1899. It is open'
    """

    def __init__(
        self,
        ratio: float = 0.5,
        *,
        target_tokens: int | None = None,
        ranker: Ranker | None = None,
        count: Count | str = count_text,
        lossless: bool = True,
        words: bool = False,
        omission: str = "",
    ) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio is the share of tokens to keep, above 0 and at most 1, not {ratio}.")
        if target_tokens is not None and target_tokens < 0:
            raise ValueError(f"target_tokens must be 0 or more, not {target_tokens}.")
        self._ratio = ratio
        self._target_tokens = target_tokens
        self._ranker = ranker or Bm25()
        self._count: Count = partial(count_text, model=count) if isinstance(count, str) else count
        self._lossless = lossless
        self._words = words
        self._omission = omission

    def invoke(self, input: Prompt, config: RunnableConfig | None = None, **kwargs: Any) -> str | list[Document]:  # noqa: A002  # its name in LangChain
        """Compress a text or documents.

        Args:
            input: A text, documents, or a mapping with either ("text" or "documents") and a "query".
            config: Of the run.
            kwargs: Ignored.

        Returns:
            A text for a text, documents for documents.
        """
        return self._call_with_config(self._compressed, input, config)

    def compress(self, text: str, query: str = "") -> Compressed:
        """Compress a text, and tell what was done.

        Args:
            text: Any text.
            query: What it shall still answer.
        """
        texts, whole = self._made([Source(text)], query)
        return Compressed(texts[0], whole.tokens_before, whole.tokens_after, whole.steps, whole.lost, whole.dropped)

    def compress_documents(self, documents: Sequence[Document], query: str = "") -> CompressedDocuments:
        """Compress documents together: more is kept of those that are about the query.

        Args:
            documents: Any documents; a "title" in the metadata helps to rank.
            query: What they shall still answer.
        """
        sources = [Source(one.page_content, str(one.metadata.get("title") or "")) for one in documents]
        texts, whole = self._made(sources, query)
        pairs = zip(documents, texts, strict=True)
        left = tuple(one.model_copy(update={"page_content": text}) for one, text in pairs if text)
        return CompressedDocuments(left, whole)

    def _compressed(self, given: Prompt) -> str | list[Document]:
        if isinstance(given, str):
            return self.compress(given).text
        if isinstance(given, list):
            return list(self.compress_documents(given).documents)
        query = given.get("query") or ""
        if "documents" in given:
            return list(self.compress_documents(given["documents"], query).documents)
        return self.compress(given["text"], query).text

    def _made(self, sources: Sequence[Source], query: str) -> tuple[tuple[str, ...], Compressed]:
        """The texts, and what was done to all of them."""
        written = [self._written(source.text) for source in sources]
        before = sum([one.tokens_before for one in written])
        target = int(before * self._ratio) if self._target_tokens is None else self._target_tokens
        left = Extract(tuple(one.text for one in written), (), sum([one.tokens_after for one in written]))
        steps = list(dict.fromkeys(step for one in written for step in one.steps))
        lost = tuple(dict.fromkeys(loss for one in written for loss in one.lost))
        for step in (self._roomy, self._without_fillers, self._extract) if self._words else (self._extract,):
            if left.tokens > target:
                left, name = step(sources, left, query, target)
                steps += [name] if name and name not in steps else []
        made = Compressed("\n\n".join(filter(None, left.texts)), before, left.tokens, tuple(steps), lost, left.dropped)
        return left.texts, made

    def _written(self, text: str) -> Compressed:
        if self._lossless:
            return lossless(text, count=self._count)
        tokens = self._count(text)
        return Compressed(text, tokens, tokens)

    def _extract(self, sources: Sequence[Source], left: Extract, query: str, target: int) -> tuple[Extract, str]:
        """Extract; from JSON without tables where the columns of a table would not leave room for a row."""
        found = self._extracted(sources, left.texts, query, target)
        name = "extract"
        if found.tokens < _LEAST_MET * target and any(kind_of(text) is Kind.JSON for text in left.texts):
            texts = [_expanded(text, source.text) for text, source in zip(left.texts, sources, strict=True)]
            plain = self._extracted(sources, texts, query, target)
            if plain.tokens > found.tokens:
                found, name = plain, "extract without tables"
        return Extract(found.texts, left.dropped + found.dropped, found.tokens), name

    def _extracted(self, sources: Sequence[Source], texts: Sequence[str], query: str, target: int) -> Extract:
        rest = [Source(text, source.title) for text, source in zip(texts, sources, strict=True)]
        return extract(
            rest, query, target_tokens=target, ranker=self._ranker, count=self._count, omission=self._omission
        )

    def _roomy(self, sources: Sequence[Source], left: Extract, query: str, target: int) -> tuple[Extract, str]:
        """Extract as much as will fit once the function words have gone: after them, sentences are hard to tell."""
        bare, _ = self._without_fillers(sources, left, query, 0)
        room = int(target * left.tokens / max(1, bare.tokens))
        return self._extract(sources, left, query, room) if left.tokens > room else (left, "")

    def _without_fillers(
        self, sources: Sequence[Source], left: Extract, query: str, target: int
    ) -> tuple[Extract, str]:
        """Drop function words, in each text the same share of what is too much."""
        made = [self._shorter(text, query, target / left.tokens) for text in left.texts]
        dropped = tuple(word for _, words in made for word in words)
        texts = tuple(text for text, _ in made)
        return Extract(texts, left.dropped + dropped, sum(map(self._count, texts))), "words"

    def _shorter(self, text: str, query: str, share: float) -> tuple[str, tuple[str, ...]]:
        if kind_of(text) is not Kind.TEXT:
            return text, ()
        return without_fillers(text, query, target_tokens=int(self._count(text) * share), count=self._count)


_LEAST_MET = 0.98


def _expanded(text: str, source: str) -> str:
    """A JSON text without the tables that `columnar` wrote; any other text as it is."""
    return expanded(text) if _COLUMNS in text and _COLUMNS not in source else text


_COLUMNS = '"_cols"'
