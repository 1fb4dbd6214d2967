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

    Headings, list items, table cells and line breaks stay visible; text in `pre` keeps its blanks and empty lines.
    What is raised, lowered or struck out is marked: 10^8, CO_2, ~~$100~~. Elements that are not HTML's stay apart.
    Pictures stay as their description, fields as their name and value. Scripts, styles, comments and all other
    attributes are gone.

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
    page.feed(_finished(text))
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
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
        *("ins", "kbd", "mark", "nobr", "q", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup"),
        *("time", "tt", "u", "var", "wbr"),
    )
)
"""Elements that stand in a word or a number without parting it; all that are in no list here do part it."""

_RAISED = {"sup": "^", "sub": "_"}
_STRUCK = frozenset(("s", "del", "strike"))
_STARTS = re.compile(
    r"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|a|article|body|button|div|footer|form|h[1-6]|head|header|html|li|main|meta"
    r"|nav|ol|p|pre|section|span|table|tbody|td|tr|ul)\b[^>]*>",
    re.IGNORECASE | re.DOTALL,
)
_PRE, _SPACE, _TAB, _LINE = "\x01\x02\x03\x04"
"""Stand for the start of a `pre`, and the blanks and line ends in it, until all else is joined."""

_UNSEEN = frozenset(("script", "style"))
_LEADS = {"li": "- ", "pre": _PRE, **{f"h{level}": "#" * level + " " for level in range(1, 7)}}
_NO_ADDRESS = ("#", "javascript:")


class _Page(HTMLParser):
    """Reads a page into pieces of text."""

    def __init__(self, *, links: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._links = links
        self._pieces: list[str] = []
        self._link = (0, "")
        self._raised: list[int] = []
        self._unseen = 0
        self._verbatim = 0

    def text(self) -> str:
        """What was read, without empty lines but those in `pre`."""
        lines = (_SPACES.sub(" ", line).strip(" ") for line in "".join(self._pieces).split("\n"))
        kept = (line for line in lines if line.strip(_PRE + _LINE) and line not in _BARE)
        return "\n".join(line.strip(_PRE + _LINE).translate(_KEPT) for line in kept)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self._close_link()  # links are never in links
            self._link = (len(self._pieces), (given.get("href") or "").strip())
        elif tag in _RAISED:
            self._raised.append(len(self._pieces))
        self._pieces += filter(None, (self._before(tag, given),))
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
        if tag == "a":
            self._close_link()
        elif tag in _RAISED and self._raised:
            self._close_raised(tag, self._raised.pop())
        self._pieces += filter(None, (self._behind(tag),))

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        data = data.translate(_NO_MARKS)
        self._pieces.append(data.translate(_KEEP) if self._verbatim else _BLANKS.sub(" ", data))

    def _before(self, tag: str, given: dict[str, str | None]) -> str:
        """What stands for the start of an element."""
        if tag in _BLOCKS:
            return _LINE if tag == "br" and self._verbatim else "\n" + _LEADS.get(tag, "")
        if tag in ("td", "th"):
            return " | "
        if tag in ("img", "input", "button", "area"):
            return _described(tag, given)
        return _RAISED.get(tag) or self._behind(tag)

    def _behind(self, tag: str) -> str:
        """What stands for its end."""
        if tag in _BLOCKS:
            return "" if tag == "br" else "\n"
        if tag in _STRUCK:
            return "~~"
        return "" if tag in _INLINE or self._verbatim else " "

    def _close_raised(self, tag: str, start: int) -> None:
        """Bracket what is more than a word; leave it where its start is gone, as elements were not closed in order."""
        said = "".join(self._pieces[start + 1 : start + _MOST_PIECES]).strip(" ")
        if self._pieces[start : start + 1] != [_RAISED[tag]] or _ONE.fullmatch(said):
            return
        self._pieces[start] = f"{_RAISED[tag]}(" if said else ""
        self._pieces += ")" if said else ""

    def _close_link(self) -> None:
        start, address = self._link
        self._link = (0, "")
        if not self._links or not address or address.lower().startswith(_NO_ADDRESS):
            return
        said = " ".join("".join(self._pieces[start:]).split())
        self._pieces[start:] = [f"[{said}]({address})" if said and said != address else address]


_BLANKS = re.compile(r"\s+")
_SPACES = re.compile(" {2,}")
_KEEP = str.maketrans({" ": _SPACE, "\t": _TAB, "\n": _LINE, "\r": None})
_KEPT = str.maketrans({_SPACE: " ", _TAB: "\t", _LINE: "\n", _PRE: None})
_NO_MARKS = dict.fromkeys(map(ord, (_PRE, _SPACE, _TAB, _LINE)))
_BARE = frozenset((*map(str.strip, _LEADS.values()), "|"))
_ONE = re.compile(r"[-+\u2212]?\w+|\[{1,2}[^\[\]]*\]{1,2}(?:\([^()]*\))?")
"""What needs no brackets when it is raised: a word, a number, a note's link."""

_MOST_PIECES = 9
"""So many are read to tell: more are never one word."""

_SECTION = re.compile(r"<!\[+")


def _finished(text: str) -> str:
    """HTML that the parser reads in linear time: it would search to the end for the end of each unfinished tag.

    So unfinished tags and comments are text; and of marked sections, at which it may raise, declarations are made.
    """
    text = _SECTION.sub("<!", text)
    tags = text.rfind(">") + 1
    text = text[:tags] + text[tags:].replace("<", "&lt;")
    comment = text.find("<!--", max(0, text.rfind("-->")))
    return text if comment < 0 else text[:comment] + text[comment:].replace("<!--", "&lt;!--")


def _described(tag: str, given: dict[str, str | None]) -> str:
    """A picture by its description, a field by its name and what is in it."""
    if tag in ("img", "area"):
        return f" {alt} " if (alt := given.get("alt")) else ""
    name = given.get("name") or given.get("aria-label") or given.get("placeholder") or ""
    said = "=".join(filter(None, (name, given.get("value") or "")))
    return f" [{said}] " if said and given.get("type") != "hidden" else " "
