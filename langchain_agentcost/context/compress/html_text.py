"""The text of an HTML page: its words, links and fields, without markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser


def is_html(text: str) -> bool:
    """Tell whether a text is an HTML page or a part of one.

    Example:
        >>> is_html("<div><p>Hi</p></div>"), is_html("<invoice><total>7</total></invoice>"), is_html("a < b")
        (True, False, False)
    """
    return bool(_STARTS.match(text)) and "</" in text


def html_text(text: str, *, links: bool = True) -> str | None:
    r"""Give what a page says.

    Headings, list items, table cells and line breaks stay visible; text in `pre` keeps its blanks. Pictures stay as
    their description, fields as their name and value. Scripts, styles, comments and all other attributes are gone.

    Args:
        text: HTML, whole or broken.
        links: Write a link as `[text](address)`; else only its text.

    Returns:
        The shorter text; None where it would not be shorter.

    Example:
        >>> html_text('<h1 class="t">Tea</h1><p>From <a href="/assam">Assam</a>.</p><script>x()</script>')
        '# Tea\nFrom [Assam](/assam).'
    """
    page = _Page(links=links)
    page.feed(text)
    page.close()
    made = page.text()
    return made if len(made) < len(text) else None


_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html"),
        *("li", "main", "nav", "ol", "option", "p", "pre", "section", "select", "table", "tbody", "textarea", "tfoot"),
        *("thead", "title", "tr", "ul"),
    )
)
_STARTS = re.compile(
    r"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|a|article|body|button|div|footer|form|h[1-6]|head|header|html|li|main|meta"
    r"|nav|ol|p|pre|section|span|table|tbody|td|tr|ul)\b[^>]*>",
    re.IGNORECASE | re.DOTALL,
)
_UNSEEN = frozenset(("script", "style"))
_LEADS = {"li": "- ", **{f"h{level}": "#" * level + " " for level in range(1, 7)}}
_NO_ADDRESS = ("#", "javascript:")


class _Page(HTMLParser):
    """Reads a page into pieces of text."""

    def __init__(self, *, links: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._links = links
        self._pieces: list[str] = []
        self._open: list[tuple[int, str]] = []
        self._unseen = 0
        self._verbatim = 0

    def text(self) -> str:
        """What was read, without empty lines."""
        lines = (_SPACES.sub(" ", line).strip(" ") for line in "".join(self._pieces).split("\n"))
        return "\n".join(_KEPT_BLANK.sub(_given, line) for line in lines if line and line not in _BARE)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _BLOCKS:
            self._pieces.append("\n" + _LEADS.get(tag, ""))
        elif tag in ("td", "th"):
            self._pieces.append(" | ")
        elif tag == "a":
            self._open.append((len(self._pieces), (given.get("href") or "").strip()))
        elif tag in ("img", "input", "button", "area"):
            self._pieces.append(_described(tag, given))
        self._unseen += tag in _UNSEEN
        self._verbatim += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)
        if tag == "a" and self._open:
            self._close_link(*self._open.pop())
        elif tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        self._pieces.append(data.translate(_KEEP_BLANKS) if self._verbatim else _BLANKS.sub(" ", data))

    def _close_link(self, start: int, address: str) -> None:
        if not self._links or not address or address.lower().startswith(_NO_ADDRESS):
            return
        said = " ".join("".join(self._pieces[start:]).split())
        self._pieces[start:] = [f"[{said}]({address})" if said and said != address else address]


_BLANKS = re.compile(r"\s+")
_SPACES = re.compile(" {2,}")
_KEEP_BLANKS = {ord(" "): "\x00", ord("\t"): "\x01"}
_KEPT_BLANK = re.compile("[\x00\x01]")
_BARE = frozenset((*map(str.strip, _LEADS.values()), "|"))


def _given(found: re.Match[str]) -> str:
    return " " if found[0] == "\x00" else "\t"


def _described(tag: str, given: dict[str, str | None]) -> str:
    """A picture by its description, a field by its name and what is in it."""
    if tag in ("img", "area"):
        return f" {alt} " if (alt := given.get("alt")) else ""
    name = given.get("name") or given.get("aria-label") or given.get("placeholder") or ""
    said = "=".join(filter(None, (name, given.get("value") or "")))
    return f" [{said}] " if said and given.get("type") != "hidden" else " "
