"""Text from outside in files that people open with a spreadsheet."""

from __future__ import annotations

_FORMULA_STARTS = frozenset("=+-@＝＋－＠")  # noqa: RUF001  # they are meant
_BREAKS = ("\t", "\r", "\n")


def neutral(text: str) -> str:
    """Keep a spreadsheet from running a text as a formula (OWASP, CSV injection).

    Args:
        text: The content of a cell.

    Returns:
        The text; with an apostrophe in front where it starts with a tab or a line break, or where the first character
        that one can see starts a formula, in half or full width.

    Example:
        >>> neutral("=1+1"), neutral("  =1+1"), neutral("acme")
        ("'=1+1", "'  =1+1", 'acme')
    """
    seen = next((c for c in text if c.isprintable() and not c.isspace()), "")
    return f"'{text}" if seen in _FORMULA_STARTS or text.startswith(_BREAKS) else text
