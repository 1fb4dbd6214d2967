"""Tokenizers whose files are on this machine: tiktoken's cache, or the `offline` extra. Never the network unasked."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

NEAREST = "o200k_base"
"""The encoding for models that tiktoken does not know: no other vocabulary is public and offline."""


class Encoder(Protocol):
    """What tiktoken's and bpe-openai's encodings share."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Give the tokens of a text in which special tokens mean nothing."""
        ...


@lru_cache(maxsize=16)
def encoder(name: str, *, allow_download: bool = False) -> Encoder | None:
    """Give an encoding by name, if it can be had without the network.

    Args:
        name: tiktoken's name of it, such as "o200k_base".
        allow_download: Let tiktoken fetch its file from OpenAI where it is not on this machine. It has no timeout.

    Returns:
        The encoding; None where no file of it is here.
    """
    if _in_tiktoken_cache(name) or allow_download:
        return _from_tiktoken(name)
    return _from_extra(name)


def encoding_name(model: str) -> str:
    """Give the encoding of a model, `NEAREST` where tiktoken does not know it.

    Example:
        >>> encoding_name("openai/gpt-4-0613"), encoding_name("claude-haiku-4-5")
        ('cl100k_base', 'o200k_base')
    """
    return openai_encoding(model) or NEAREST


@lru_cache(maxsize=1024)
def openai_encoding(model: str) -> str | None:
    """Give the encoding of a model of OpenAI; None for all others."""
    try:
        return str(import_module("tiktoken.model").encoding_name_for_model(model.rpartition("/")[2]))
    except KeyError:
        return None


_FILES = {
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}
"""Of each encoding, its file's name in tiktoken's cache and the SHA-256 of what must be in it."""

_FILES["o200k_harmony"] = _FILES["o200k_base"]


def _in_tiktoken_cache(name: str) -> bool:
    """Whether tiktoken would find its file: it deletes a damaged one and fetches it anew, so the content counts."""
    if name not in _FILES:
        return False
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder == "":
        return False
    file_name, expected = _FILES[name]
    file = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / file_name
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == expected
    except OSError:
        return False


def _from_tiktoken(name: str) -> Encoder | None:
    try:
        return cast(Encoder, import_module("tiktoken").get_encoding(name))
    except (OSError, ValueError):  # no network (requests' errors are OSErrors), or a name that it does not have
        return None


def _from_extra(name: str) -> Encoder | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it opens its data files in a way that 3.11 deprecates
            return cast(Encoder, import_module("bpe_openai").get_encoding(name))
    except (ImportError, AttributeError, LookupError, ValueError):
        return None
