"""Literals: what an agent may need again to the letter, such as a path, an id or a number, and no summary may lose.

The rule looks at the form of a word only. There is no list of words and nothing is learned from any data, so a tool
that nobody has seen is treated as all others are. It rather takes a word too many ("and/or") than one too few: a
literal that is kept costs some tokens, one that is lost costs a wrong call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_LITERALS = 1_000
"""How many literals of a text are given where nothing else is said."""

MAX_LITERAL_CHARS = 300
"""A longer word is data, such as an image in base 64, and no model copies it."""


def literals(text: str, limit: int = MAX_LITERALS) -> tuple[str, ...]:
    r"""Give the literals of a text, each once, in the order in which they first stand in it.

    About 1 ms for 10,000 characters. In a text that is JSON, escapes such as `\n` part words; elsewhere a backslash is
    a part of its word, as in a path of Windows. Scripts that write no blanks part words too.

    Args:
        text: Any text.
        limit: How many to give at most.

    Example:
        >>> literals("Refund #W2378156 (12.50 euros) to mia@example.org, see src/refunds.py and --dry-run.")
        ('#W2378156', '12.50', 'mia@example.org', 'src/refunds.py', '--dry-run')
    """
    found: dict[str, None] = {}
    if limit <= 0:
        return ()
    for word in _words(text):
        if word not in found and _is_literal(word):
            found[word] = None
            if len(found) >= limit:
                break
    return tuple(found)


def is_literal(word: str) -> bool:
    """Tell whether a word is a literal, by its form.

    These are: a URL or mail address; a path; a number of 4 digits or with decimals; letters and digits in one word of 4
    characters, or with a capital; a name with an underscore, a dot or a capital inside; a flag; 3 to 5 capitals.

    Args:
        word: One word; punctuation around it does not count.

    Example:
        >>> [is_literal(word) for word in ("order_id", "getUser", "B7", "2024-05-01", "JFK", "Order", "e.g.", "15")]
        [True, True, True, True, True, False, False, False]
    """
    words = list(_words(word))
    return len(words) == 1 and _is_literal(words[0])


def _words(text: str) -> Iterator[str]:
    pattern = _JSON_WORD if text.lstrip()[:1] in _JSON_STARTS else _WORD
    for match in pattern.finditer(text):
        word = match[0]
        if word[0] == "\\" and pattern is _JSON_WORD:
            continue  # an escape, which is between words
        word = _TRAILING.sub("", word)
        if len(word) > 1 and len(word) <= MAX_LITERAL_CHARS:
            yield word


def _is_literal(word: str) -> bool:
    return _LITERAL.match(word) is not None


_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
    "\u3000-\u303f\uff00-\uffef"
)
"""Thai, Lao, Burmese, Khmer, kana, Han and Hangul, with their punctuation."""

_URL = r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s\"'<>`\\)\]}|]+"
_GROUPED = r"\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?\b"
_DRIVE = r"\b[A-Za-z]:\\[^\s\"'`<>(){}\[\],;|=!?*]+"
_CHARS = rf"[^\s\"'`<>(){{}}\[\],;|=!?&*^\u2018-\u201f\u00ab\u00bb\u2026\u2013\u2014\\{_SCRIPTS}]"
_WORD = re.compile(rf"{_URL}|{_GROUPED}|{_DRIVE}|(?:{_CHARS}|\\)+")
_JSON_WORD = re.compile(rf"{_URL}|{_GROUPED}|{_DRIVE}|\\(?:u[0-9a-fA-F]{{4}}|.)|{_CHARS}+", re.DOTALL)
_JSON_STARTS = ("{", "[", '"')
_TRAILING = re.compile(r"[.:+\-#@~%$\\]+$")

_LITERAL = re.compile(
    r"""
      [a-zA-Z][a-zA-Z0-9+.-]*://.                     # a URL
    | \S*\w@\w\S*\.\w                                 # a mail address
    | --?[A-Za-z][\w-]*$                              # a flag
    | (?=\S*\d) (?:                                   # with a digit:
          (?=(?:\D*\d){4})                            #   4 digits
        | \S*\d[.,]\d                                 #   decimals
        | (?=\S*[^\W\d_])(?:\S{4} | \S*[A-Z])         #   letters too: 4 characters, or a capital
      )
    | \S*\w_\w | _\S*\w                             # snake_case
    | \S*[a-z][A-Z]                                  # CamelCase
    | [~.]{0,2}[/\\](?=\S*\w)\S{2}                   # a path from the root, the home or here
    | (?=\S{6})\S*\w[/\\]\.?\w                       # a path inside
    | (?=\S{4})\S*(?:[^\W\d]{2}\.[^\W\d] | [^\W\d]\.[^\W\d]{2})  # a dotted name
    | \.[a-z]\w+$                                    # a hidden file, a file's ending
    | [@#]\w{2}                                      # a handle
    | [A-Z]{3,5}$                                    # a code
    """,
    re.VERBOSE,
)
