"""Compressors that others have trained, behind the extra `compress`: LLMLingua and ctxprune.

Neither keeps to our contract: LLMLingua counts by its own tokenizer and may join what remains of words. Here only this
is added: the result is counted, and a text that would grow is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from threading import Lock
from typing import Any

from langchain_agentcost.context.compress.compressed import Compressed
from langchain_agentcost.context.compress.lossless import Count
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.tokens import count_text

_LOST = ("words that a model holds dispensable",)


class LLMLinguaCompressor:
    r"""Compresses by `llmlingua.PromptCompressor` (microsoft/LLMLingua, 0.2.2), loaded at first use.

    Args:
        model: The name or folder of a model; or a `PromptCompressor` that is loaded already.
        ratio: The share of its own tokens that it is asked to keep.
        count: Counts tokens for the report.
        load: Further arguments of `PromptCompressor`, such as `{"device_map": "cpu"}`.
        options: Further arguments of `compress_prompt`, such as `{"force_tokens": ["\n"]}`.

    Raises:
        MissingExtra: At first use, if llmlingua is not installed.

    Example:
        >>> class Loaded:
        ...     def compress_prompt(self, context, **options):
        ...         return {"compressed_prompt": "pier built 1899"}
        >>> LLMLinguaCompressor(Loaded()).compress("The pier was built in 1899.", "When?").text
        'pier built 1899'
    """

    def __init__(
        self,
        model: Any = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank",
        *,
        ratio: float = 0.5,
        count: Count = count_text,
        load: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        given = {"use_llmlingua2": "llmlingua-2" in str(model), "device_map": "cpu", **(load or {})}
        self._engine = _Once(model, lambda name: _class_of("llmlingua", "PromptCompressor")(name, **given))
        self._ratio = ratio
        self._count = count
        self._options = {"concate_question": False, **(options or {})}

    def compress(self, text: str, query: str = "") -> Compressed:
        """Compress a text.

        Args:
            text: Any text.
            query: What it shall still answer.
        """
        if not text.strip():
            return _report(text, text, "llmlingua", self._count)  # it divides by the length
        made = self._engine().compress_prompt([text], question=query, rate=self._ratio, **self._options)
        return _report(text, str(made["compressed_prompt"]), "llmlingua", self._count)


class CtxpruneCompressor:
    """Compresses by `ctxprune.Compressor` (riceharvest/ctxprune, 0.2), loaded at first use. It reads no query.

    Args:
        model: The name of a model on the Hugging Face hub; or a `ctxprune.Compressor` that is loaded already.
        ratio: The share of tokens to keep, as `count` counts.
        count: Counts tokens: ctxprune searches for the cut that meets the share by it.
        protect: Keep all identifiers, numbers and paths.
        load: Further arguments of `ctxprune.Compressor`.

    Raises:
        MissingExtra: At first use, if ctxprune is not installed.

    Example:
        >>> class Loaded:
        ...     def compress(self, text, **options):
        ...         return {"text": "pier 1899"}
        >>> CtxpruneCompressor(Loaded()).compress("The pier was built in 1899.").text
        'pier 1899'
    """

    def __init__(
        self,
        model: Any = None,
        *,
        ratio: float = 0.5,
        count: Count = count_text,
        protect: bool = True,
        load: Mapping[str, Any] | None = None,
    ) -> None:
        given = dict(load or {})
        self._engine = _Once(
            model,
            lambda name: _class_of("ctxprune", "Compressor")(**({"model": name} if name else {}), **given),
        )
        self._ratio = ratio
        self._count = count
        self._protect = protect

    def compress(self, text: str, query: str = "") -> Compressed:
        """Compress a text.

        Args:
            text: Any text.
            query: Not read.
        """
        if not text.strip():
            return _report(text, text, "ctxprune", self._count)
        made = self._engine().compress(text, rate=self._ratio, force_protected=self._protect, measure=self._count)
        return _report(text, str(made["text"]), "ctxprune", self._count)


class _Once:
    """An engine that is made of its name when it is first asked for, by one thread."""

    def __init__(self, given: Any, make: Callable[[Any], Any]) -> None:
        self._lock = Lock()
        self._make = make
        self._given = given
        self._made = None if given is None or isinstance(given, str) else given

    def __call__(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make(self._given)
            return self._made


def _class_of(package: str, name: str) -> Any:
    try:
        return getattr(import_module(package), name)
    except ImportError as error:
        raise MissingExtra(package, extra="compress", what=f"Compressing by {package}") from error


def _report(text: str, made: str, step: str, count: Count) -> Compressed:
    before, after = count(text), count(made)
    if after >= before:
        return Compressed(text, before, before)
    return Compressed(made, before, after, steps=(step,), lost=_LOST)
