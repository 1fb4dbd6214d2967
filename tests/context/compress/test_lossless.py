"""Fewer tokens, and every word and number still there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.context.compress import terminal
from langchain_agentcost.context.compress.columnar import columnar, expanded
from langchain_agentcost.context.compress.diffs import trimmed
from langchain_agentcost.context.compress.html_text import html_text
from langchain_agentcost.context.compress.json_text import minified, unescaped
from langchain_agentcost.context.compress.lossless import Kind, kind_of, lossless
from langchain_agentcost.tokens import count_text, estimate_text

BERTHS = [{"berth": f"B{n:02}", "ship": {"name": f"Aurora {n}", "draught": n / 4}, "crew": []} for n in range(6)]
PATCH = """diff --git a/tide.py b/tide.py
index 83db48f..bf2a1c0 100644
--- a/tide.py
+++ b/tide.py
@@ -1,3 +1,3 @@
 import math
-HIGH = 3.10
+HIGH = 3.20
"""
PAGE = """<!DOCTYPE html>
<html><head><title>Harbour office</title><style>p { color: red }</style><script>track("A1")</script></head>
<body class="wide"><!-- drawn by hand -->
<h2>Moorings &amp; tides</h2>
<p>High water at <b>04:10</b>, see <a href="/tides?day=3" rel="next">the table</a> or <a href="#top">above</a>.</p>
<ul><li>Berth B01</li><li>Berth B02</li></ul>
<table><tr><th>Berth</th><th>Fee</th></tr><tr><td>B01</td><td>12.50</td></tr></table>
<img src="x.png" alt="Plan of the pier"><input name="berth" value="B02"><input type="hidden" value="t0k">
<pre>for  b in
    berths</pre>
</body></html>"""


def test_records_of_one_shape_become_a_table() -> None:
    """Each key is written once, also those of objects in the objects; what is in no table stays as it is."""
    made = lossless(json.dumps({"port": "Bremen", "berths": BERTHS}))
    assert made.steps == ("minify", "columnar")
    assert made.text.startswith(
        '{"port":"Bremen","berths":{"_cols":["berth",{"ship":["name","draught"]},"crew"],'
        '"_rows":[["B00",["Aurora 0",0.0],[]],'
    )
    assert made.ratio < 0.6
    assert made.tokens_after == count_text(made.text)
    assert made.same_information


@pytest.mark.parametrize(
    "value",
    [
        [[dict(BERTHS[0]), dict(BERTHS[1])], [], [dict(BERTHS[2])]],
        {f"B{n}": {"fee_in_euro": n, "free": True, "notes": None} for n in range(4)},
        [{"route": [{"stop_name": "a", "minutes": 1}] * n, "number": n} for n in range(5)],
        [{"a": BERTHS, "b": [[1], [2]]}] * 3,
        [{"é": "naïve", "text_of_note": 'a "quoted" \\ word'}] * 5,
        [{"same_long_key": {}}, {"same_long_key": {"a": 1}}, {"same_long_key": {}}] * 2,
    ],
)
def test_every_shape_of_table_comes_back(value: Any) -> None:
    """Lists of lists, objects of objects, lists in columns: the inverse brings back the same text."""
    for ascii_ in (True, False):
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)
        small = columnar(text)
        assert small is not None
        assert len(small) < len(text)
        assert expanded(small) == text


def test_numbers_in_a_table_stay_as_they_are_written() -> None:
    """1.10 is not 1.1, and a long number loses no digit."""
    text = '[{"price_eur":1.10,"n":1E5},{"price_eur":12345678901234567890.120,"n":-0.0},{"price_eur":7,"n":NaN}]'
    small = columnar(text)
    assert small == '{"_cols":["price_eur","n"],"_rows":[[1.10,1E5],[12345678901234567890.120,-0.0],[7,NaN]]}'
    assert expanded(small) == text


@pytest.mark.parametrize(
    "text",
    [
        '[{"key_one":1,"key_one":2},{"key_one":3,"key_one":4},{"key_one":5,"key_one":6}]',
        '[{"_cols":1,"other_key":2},{"_cols":3,"other_key":4},{"_rows":3,"other_key":4}]',
        '[{"some_key":"\\/"},{"some_key":"b"},{"some_key":"c"},{"some_key":"d"}]',
        '[{"some_key":"\ue000 1.5"},{"some_key":"b"},{"some_key":"c"},{"some_key":"d"}]',
        '[{"key_one":1},{"key_two":2},{"key_three":3},{"key_four":4}]',
        '[{"a":1},{"a":2}]',
        "[1,2,3]",
        "not json",
        "[" * 50_000 + "]" * 50_000,
    ],
)
def test_what_would_not_come_back_or_not_get_shorter_is_no_table(text: str) -> None:
    """Repeated keys, our own key names, odd escapes, mixed shapes, few records and no JSON stay."""
    assert columnar(text) is None


_leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
_keys = st.sampled_from(["name", "quantity_left", "ü", "_cols", "of"])
_json = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_keys, inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"first_name": inner, "age_in_years": inner}), max_size=5)
        | st.dictionaries(st.text(max_size=3), st.fixed_dictionaries({"first_name": inner}), max_size=4)
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=300)
@given(value=_json, indent=st.sampled_from([None, 2]), ascii_=st.booleans())
def test_any_json_keeps_its_value_and_never_grows(value: Any, indent: int | None, ascii_: bool) -> None:
    """Whatever the JSON, the lossless form has the same value and no more tokens."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    made = lossless(text)
    back = expanded(made.text) if "columnar" in made.steps else made.text
    assert json.loads(back) == value
    assert made.tokens_after <= made.tokens_before
    assert made.lost == ()


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"first_name": _json, "age": _leaf}), min_size=2, max_size=6))
def test_any_table_comes_back_character_by_character(value: Any) -> None:
    """The inverse gives the minified text itself, not only its value."""
    text = json.dumps(value, ensure_ascii=False)
    small = columnar(text)
    if small is not None:
        assert expanded(small) == (minified(text) or text)


def test_escaped_letters_are_written_as_such() -> None:
    """Also those of a pair; what cannot be printed, plain letters and escaped backslashes stay."""
    assert unescaped(json.dumps("東京 🚢 é")) == '"東京 🚢 é"'
    assert unescaped(r'"\u00e9\u0007\u0041\ud83d\\u00e9\n"') == r'"é\u0007\u0041\ud83d\\u00e9\n"'
    assert unescaped(r'"\\u00e9"') is None
    assert unescaped('"é"') is None
    assert lossless(json.dumps(["部品がありません"] * 3)).ratio < 0.6


def test_json_lines_are_minified_each() -> None:
    """They stay lines."""
    made = lossless('{"berth": "B01", "fee": 1.10}\n{"berth": "B02", "fee": 2.50}\n')
    assert made.text == '{"berth":"B01","fee":1.10}\n{"berth":"B02","fee":2.50}\n'


def test_a_terminal_shows_the_same_in_fewer_tokens() -> None:
    """Colours, blanks at line ends, empty lines and repeated lines go; a progress bar keeps its last state."""
    shown = "\x1b[1;31mfailed\x1b[0m   \n\n\n\n" + "retry in 5 s on port 8080\n" * 9 + "done\n"
    made = lossless(shown)
    assert made.text == "failed\n\nretry in 5 s on port 8080\n[line above 8 more times]\ndone\n"
    assert (made.steps, made.lost) == (("plain", "blanks", "fold"), ())
    bar = lossless("".join(f"loading {n} %\r" for n in range(0, 101, 10)) + "\nok\r\n")
    assert bar.text == "loading 100 %\nok\n"
    assert bar.lost == ("what a carriage return had overwritten",)
    assert not bar.same_information


def test_codes_of_a_terminal_are_dropped_whole() -> None:
    """Titles, cursor moves and character sets too; a lone escape at the end stays."""
    assert terminal.unmoved("a\x1b]0;title\x07b\x1b[2K\x1b(Bc\x1b[?25ld\x1bMe") == "abcde"
    assert terminal.plain("\x1b[?25l\x1b(B\x1b[1;31ma\x1b[0m") == "a"
    assert terminal.plain("a\x1b") is terminal.unmoved("a\x1b") is None


@pytest.mark.parametrize("code", ["\x1b[2K", "\x1b[1K", "\x1b[1A", "\x1b[2J", "\x1b[5C", "\x1b]0;pump 9\x07", "\x1b8"])
def test_codes_that_move_or_erase_are_told_of(code: str) -> None:
    """The text may not be what the terminal showed."""
    made = lossless(f"\x1b[32mpump 3 is dry{code} pump 4 is wet\x1b[0m")
    assert (made.text, made.steps) == ("pump 3 is dry pump 4 is wet", ("plain", "unmoved"))
    assert not made.same_information


def test_erasing_the_rest_of_a_line_is_nothing_where_there_is_none() -> None:
    """So grep and gcc colour; but after a return it has erased something."""
    found = "pier.py:\x1b[01;31m\x1b[Kberth\x1b[m\x1b[K = 7"
    assert lossless(found).text == "pier.py:berth = 7"
    assert lossless(found).same_information
    assert not lossless("\x1b[Kpump 3\rpump\x1b[K 4\nend").same_information


def test_links_of_a_terminal_keep_their_address() -> None:
    """As in a page; an address that is shown itself stands once, and one that is not ended loses nothing."""
    link, end = "\x1b]8;id=1;https://ci.example/7\x1b\\", "\x1b]8;;\x1b\\"
    made = lossless(f"see {link}\x1b[1mthe log\x1b[0m{end} now")
    assert (made.text, made.lost) == ("see [the log](https://ci.example/7) now", ())
    assert terminal.plain(f"at {link}https://ci.example/7{end}.") == "at https://ci.example/7."
    assert terminal.plain(f"at {link}{end}, {link}log") == "at https://ci.example/7, [log](https://ci.example/7)"


def test_a_return_overwrites_only_in_a_text_of_lines() -> None:
    """Where it ends the lines itself, all of them stay; before a line feed nothing is overwritten."""
    old = "berth,fee\rB01,12.50\rB02,9.90\rB03,1.10\r"
    assert (lossless(old).text, lossless(old).lost) == (old, ())
    made = lossless("berth\r\nfee\r\nship\r\n", count=len)
    assert (made.text, made.steps, made.lost) == ("berth\nfee\nship\n", ("line_feeds",), ())


def test_blanks_in_a_line_stay_and_are_read_once() -> None:
    """Only those at its end go; a pattern that starts at each of them would not end."""
    inside = "x" + " \t" * 300_000 + "y"
    assert terminal.without_trailing_blanks(inside) is None
    assert terminal.without_trailing_blanks(inside + " \t \nz") == inside + "\nz"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_lines_that_repeat_together_are_folded_and_come_back(size: int) -> None:
    """One line or several, with how often they come."""
    unit = "".join(f"pump {n} reports pressure 4.2\n" for n in range(size))
    text = "start\n" + unit * 6 + "stop\n"
    small = terminal.folded(text)
    assert small is not None
    assert small.count("pump") == size
    assert terminal.unfolded(small) == text


def test_a_line_that_comes_once_more_is_told_of_in_english() -> None:
    """One more time, and two more times."""
    line = "a line that is long enough to fold"
    assert terminal.folded(f"{line}\n{line}\nb") == f"{line}\n[line above 1 more time]\nb"
    assert terminal.unfolded(f"{line}\n[line above 1 more time]\nb") == f"{line}\n{line}\nb"


@given(
    st.lists(
        st.sampled_from(
            ["", "a line that is long enough to fold", "b", "[line above 2 more times]", "[line above 1 more time]"]
        )
    )
)
def test_folded_lines_always_come_back(lines: list[str]) -> None:
    """Whatever the lines, also where one looks like our own note."""
    text = "\n".join(lines)
    small = terminal.folded(text)
    assert small is None or (len(small) < len(text) and terminal.unfolded(small) == text)


def test_a_diff_loses_only_what_it_says_twice() -> None:
    """The lines of context stay, and so does git's line where the file was renamed."""
    made = lossless(PATCH)
    assert made.text == PATCH.partition("\n")[2]
    assert (made.steps, made.lost) == (("trim",), ())
    assert trimmed(PATCH.replace("b/tide.py", "b/tides.py", 1)) is None


def test_a_page_keeps_its_words_links_and_fields() -> None:
    """Markup, scripts, styles, comments and hidden fields go, and the result says so."""
    made = lossless(PAGE)
    assert made.text.split("\n") == [
        "Harbour office",
        "## Moorings & tides",
        "High water at 04:10, see [the table](/tides?day=3) or above.",
        "- Berth B01",
        "- Berth B02",
        "| Berth | Fee",
        "| B01 | 12.50",
        "Plan of the pier [berth=B02]",
        "for  b in",
        "    berths",
    ]
    assert made.steps == ("html",)
    assert made.lost
    assert not made.same_information


def test_links_can_be_left_out_and_broken_pages_are_read() -> None:
    """Without links only their text stays; tags that are never closed harm nothing."""
    assert html_text('<p>See <a href="/x">this</a></p>', links=False) == "See this"
    assert html_text('<div><a href="/x">this<p>and <b>that') == "this\nand that"
    assert html_text('<p><a href="/x"></a></p>') == "/x"
    assert html_text("<p>3 < 4</p><script>never closed") == "3 < 4"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            "<p>10<sup>8</sup> m/s, CO<sub>2</sub>, x<sup>n+1</sup><sup></sup>, 1<sup>st</sup></p>",
            "10^8 m/s, CO_2, x^(n+1), 1^st",
        ),
        ("<p>tea<sup><a href='/n1'>[1]</a></sup> 10<sup>8</p>", "tea^[[1]](/n1) 10^8"),
        ("<p><s>$100</s>$80 <del>3</del><ins>4</ins></p>", "~~$100~~$80 ~~3~~4"),
        ("<li><qty>3</qty><price>4</price></li>", "- 3 4"),
        ("<p>un<b>moor</b>ed <span>3</span><span>4</span></p>", "unmoored 34"),
        ("<pre>\n# a\n\n\n  b\r\n<br><br/>\tc\n</pre><p>x</p><pre>-</pre>", "# a\n\n\n  b\n\n\n\tc\nx\n-"),
        ("<p>berth <a href=/b>one<sup></a>two words</sup> three</p>", "berth [one^](/b)two words three"),
    ],
)
def test_a_page_says_what_its_elements_mean(page: str, said: str) -> None:
    """Powers, what is struck out, data side by side and code with empty lines are not run together."""
    assert html_text(page) == said


_TAGS = (
    "<div>",
    "</div>",
    "<a href=x>",
    "</a>",
    "<sup>",
    "</sup>",
    "<pre>",
    "</pre>",
    "<!--",
    "-->",
    "<![",
    "<!",
    "<?",
)


@given(st.lists(st.sampled_from([*_TAGS, "<", ">", "&", "</", "'", "=", " ", "\n", "tea", "7", "\x01", "[2]", "]]>"])))
def test_no_page_is_too_broken(parts: list[str]) -> None:
    """Whatever is not closed or not known, no part of it raises."""
    page = "<div></div>" + "".join(parts)
    made = html_text(page)
    assert made is None or len(made) < len(page)


@pytest.mark.parametrize("part", ["<!--", "<!-- >", "<a ", "</div", "<![CDATA[ >", "<a href=x>t", "<sup>x"])
def test_a_large_broken_page_is_read_once(part: str) -> None:
    """What is never closed is not searched for to the end again and again."""
    assert lossless("<div></div>" + part * 40_000, count=estimate_text).tokens_after > 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1}', Kind.JSON),
        ('{"a": 1', Kind.TEXT),
        ('{"a": 1}\n\n[2]', Kind.JSON_LINES),
        ('{"a": 1}\nthen this', Kind.TEXT),
        (PATCH, Kind.DIFF),
        (PAGE, Kind.HTML),
        ("<invoice><total>7</total></invoice>", Kind.TEXT),
        ("<3", Kind.TEXT),
        ("", Kind.TEXT),
    ],
)
def test_a_text_is_known_by_what_it_is(text: str, kind: Kind) -> None:
    """Only valid JSON is JSON, and only pages are HTML."""
    assert kind_of(text) == kind


@pytest.mark.parametrize("text", ["", " ", "Berth B01 is free.", '{"a": 1', "[1, 2", '{"a":1}', "x\ud800y", "<p></p>"])
def test_what_cannot_be_shortened_is_left_alone(text: str) -> None:
    """Broken JSON too: the very same text comes back, and no step is told of."""
    made = lossless(text, count=estimate_text)
    assert (made.text, made.steps) == (text, ())


@settings(deadline=None)
@given(st.text(alphabet='ab1 .\n\r\t<>/{}[]",:\x1b-+@m', max_size=120))
def test_no_text_grows_or_loses_a_word(text: str) -> None:
    """Of a text that is no HTML and has no control codes, every word and number is still there, as often as folded."""
    made = lossless(text)
    assert made.tokens_after <= made.tokens_before
    assert made.tokens_after == count_text(made.text)
    assert lossless(text) == made
    if kind_of(text) is Kind.TEXT and not set("\x1b\r") & set(text):
        assert re.findall(r"\w+", terminal.unfolded(made.text)) == re.findall(r"\w+", text)


def test_a_step_counts_only_if_it_saves_tokens() -> None:
    """Where the counter sees no saving, the text stays as it was."""
    assert lossless(json.dumps(BERTHS), count=lambda _: 5).steps == ()


def test_a_megabyte_is_no_matter() -> None:
    """JSON, HTML and a log of that size are shortened too."""
    rows = json.dumps([{"berth": n, "note": "free until noon"} for n in range(30_000)])
    assert lossless(rows).ratio < 0.8
    assert lossless("<table>" + "<tr><td class='c'>7</td></tr>" * 40_000 + "</table>").ratio < 0.5
    assert lossless("pump 3 is dry\n" * 80_000).tokens_after < 30
