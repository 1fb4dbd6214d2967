"""Whether the rules can read a text: they know English, and what they cannot read they must not call alike."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from langchain_agentcost.caching.matching.lexicon import lexicon

_WORD = re.compile(r"[^\W\d_]+")
_OTHER_SCRIPT = 0.1
"""More than this share of letters that are not Latin is another script, not a sign such as the pi of a formula."""
_ACCENTED = 2
"""So many common words with an accent are no loanwords: names begin with a capital, and one may be a "café"."""


@lru_cache(maxsize=2048)
def readable(text: str) -> bool:
    """Tell whether a text seems to be English; one without letters is.

    A few words of another language with no small word and no accent among them are not recognised.

    Example:
        >>> readable("Is there a café in São Paulo?"), readable("Wie hoch ist die Gebühr?"), readable("取消订单")
        (True, False, False)
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text))
    letters = "".join(words)
    if sum(not _latin(letter) for letter in letters) > _OTHER_SCRIPT * len(letters):
        return False
    if sum(word[0].islower() and not word.isascii() for word in words) >= _ACCENTED:
        return False
    return lexicon().foreign.isdisjoint(word.lower() for word in words)


@lru_cache(maxsize=4096)
def _latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")
