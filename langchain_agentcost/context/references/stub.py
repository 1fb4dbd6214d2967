"""What stands in a prompt in place of a long text: its head, an outline, its literals, its end, and where the rest is.

Every lossy rule that was measured loses about half of the ids that an agent's next calls need (tool outputs of recorded
runs at half their length), so a stub keeps the literals apart from the text around them, as many as its share allows.
"""

from __future__ import annotations

import json

from langchain_agentcost.context.literals import literals
from langchain_agentcost.context.references.outline import outline, parsed
from langchain_agentcost.tokens import count_text

HEAD_CHARS = 600
"""Some 150 tokens. In recorded coding runs the first and last 1,200 characters of a result had 0.53 of the literals
that later calls needed of it; the first 600, the last 160 and 1,600 of literals had 0.93, and 800 of literals 0.76."""

LITERAL_CHARS = 1_200
TAIL_CHARS = 160


def stub(
    text: str,
    *,
    note: str = "",
    head_chars: int = HEAD_CHARS,
    literal_chars: int = LITERAL_CHARS,
    tail_chars: int = TAIL_CHARS,
    tokens: int | None = None,
) -> str:
    r"""Give what may stand in the place of a long text. The same text gives the same stub.

    Args:
        text: Any text.
        note: The last line, such as how to read the rest.
        head_chars: How much of its beginning stays; it is cut at a line or a word where that loses little.
        literal_chars: How long the list of literals may be that the rest of the stub does not show.
        tail_chars: How much of its end stays.
        tokens: How many tokens the text has, where that is known; None counts them.

    Returns:
        The stub, or the text itself where the stub would not be shorter, in characters and in tokens.

    Example:
        >>> log = "\n".join(f"2024-05-01 worker {n} took job_{n:03}" for n in range(500))
        >>> print(stub(log, note="[read_ref ab12cd34]", head_chars=60, literal_chars=40, tail_chars=30, tokens=7_000))
        2024-05-01 worker 0 took job_000
        [… cut: 500 lines, 7,000 tokens in all]
        Also in it: job_001, job_002, job_003, job_004 and 494 more names and numbers
        It ends: …-05-01 worker 499 took job_499
        [read_ref ab12cd34]
    """
    if len(text) <= head_chars + tail_chars:
        return text
    tokens = count_text(text) if tokens is None else tokens
    brief = _brief(text)
    head, tail = _head(brief, head_chars), _tail(brief, tail_chars)
    told = f"[… cut: {outline(text)}, {tokens:,} tokens in all]"
    shown = [head, told, f"It ends: …{tail}" if tail else "", note]
    also = _also(text, "\n".join(shown), literal_chars)
    made = "\n".join(part for part in (head, told, also, *shown[2:]) if part)
    return made if len(made) < len(text) and count_text(made) < tokens else text


def _brief(text: str) -> str:
    """JSON without its blanks, so that a head shows more of it; any other text as it is."""
    value = parsed(text)
    return text if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _head(text: str, chars: int) -> str:
    """The beginning of a text, up to a line's end or a blank where one is in its last half."""
    cut = text[:chars]
    for end in ("\n", " ", ","):
        at = cut.rfind(end, chars // 2)
        if at > 0:
            return cut[:at].rstrip()
    return cut


def _tail(text: str, chars: int) -> str:
    """The end of a text, as one line."""
    if chars <= 0:
        return ""
    return " ".join(text[-chars:].split())


def _also(text: str, shown: str, chars: int) -> str:
    """The line of the literals that are not shown yet."""
    if chars <= 0:
        return ""
    found = [word for word in literals(text) if word not in shown]
    kept, left = [], chars
    for word in found:
        left -= len(word) + 2
        if left < 0:
            break
        kept.append(word)
    more = len(found) - len(kept)
    if not kept:
        return ""
    return f"Also in it: {', '.join(kept)}" + (f" and {more:,} more names and numbers" if more else "")
