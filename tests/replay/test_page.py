"""The page of a replay: what is drawn, and that whatever a trace says is text to a browser, in a real Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay import Faults, Result, Tariffs, replay
from langchain_agentcost.replay.render_html import DRAWN
from langchain_agentcost.replay.render_plot import WIDTH
from langchain_agentcost.replay.strategies import STRATEGIES
from langchain_agentcost.replay.sums import PARTS
from tests.replay.made import SONNET, episode, says, uses

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_S = 120.0

HOSTILE = (
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "\"'><svg onload=document.title='pwned'>",
    "</title></style></svg><script>document.title='pwned'</script>",
    "javascript:document.title='pwned'",
    "<a href=\"javascript:document.title='pwned'\" autofocus onfocus=\"document.title='pwned'\">",
    "<iframe srcdoc=\"<script>parent.document.title='pwned'</script>\">",
    "&lt;script&gt;document.title='pwned'&lt;/script&gt;",
)

Shown = Callable[[str], str]


@pytest.fixture
def chromium(tmp_path: Path) -> Shown:
    """A browser: give it a page, get what became of it. Where it is built, the browser must be there."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), "")
    if not browser:
        missing = "no Chromium is installed: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)

    def show(page: str) -> str:
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        asked = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
        return subprocess.run(asked, capture_output=True, check=True, timeout=PATIENCE_S).stdout.decode()

    return show


class Seen(HTMLParser):
    """What a browser would see: the tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def result_of(
    *benchmarks: str, wanted: str = "minify,mask_sliding,volatile_head", family: str = "f", calls: int = 6
) -> Result:
    """A replay of two runs of each benchmark."""
    turns = [uses("get_order", "two lamps " * 200, id=f"ORDER-{at}") for at in range(calls - 1)]
    made = [
        episode(
            *turns, says("Done."), system="You help. " * 600, name=f"{name}-{at}", task=f"t{at}", benchmark=name,
            family=family, success=True,
        )
        for name in benchmarks
        for at in range(2)
    ]  # fmt: skip
    return replay(made, wanted, tariffs=SONNET)


def hostile() -> Result:
    """A replay whose benchmarks, families, strategies, models and faults are all made to be run by a browser."""
    result = result_of(*HOSTILE, family=HOSTILE[0])
    renamed = {name: f"{name}{HOSTILE[at % len(HOSTILE)]}" for at, name in enumerate(result.fidelity) if at}
    result.sums = {key._replace(strategy=renamed.get(key.strategy, key.strategy)): s for key, s in result.sums.items()}
    result.fidelity = {renamed.get(name, name): label for name, label in result.fidelity.items()}
    result.unpriced = dict.fromkeys(HOSTILE, 3)
    result.faults = Faults()
    for text in HOSTILE:
        result.faults.add(text, text)
    result.settings["prices"] = HOSTILE[3]
    return result


def test_a_browser_runs_nothing_of_a_trace(chromium: Shown) -> None:
    """Whatever a trace calls its parts, the page keeps its title, and has no element that a trace made."""
    shown = chromium(hostile().to_html())
    seen = Seen(shown)
    assert "<title>Replay of 16 runs" in shown
    assert not {tag for tag, _ in seen.tags} & {"script", "img", "a", "iframe", "object", "embed", "form", "link"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert seen.text.count("<script>document.title='pwned'</script>") >= 3


def test_the_browser_would_have_run_it(chromium: Shown) -> None:
    """The same texts in a page that does not escape them do change its title: the test above can fail."""
    for text in (HOSTILE[0], HOSTILE[2]):
        assert "<title>pwned</title>" in chromium(f"<!doctype html><title>calm</title><body>{text}</body>")


def test_a_page_that_forgot_to_escape_would_still_be_safe(chromium: Shown) -> None:
    """The page's own policy keeps a browser from running a script that stands in it unescaped."""
    page = result_of("b").to_html().replace("</body>", f"{HOSTILE[0]}{HOSTILE[1]}</body>")
    assert "<title>Replay of 2 runs" in chromium(page)


def test_a_page_needs_nothing_else() -> None:
    """No script, no link, nothing to fetch; it may only style itself, and follows a dark theme."""
    page = hostile().to_html()
    seen = Seen(page)
    assert not {name for _, attributes in seen.tags for name in attributes} & {"src", "href", "srcset", "action"}
    assert "script" not in {tag for tag, _ in seen.tags}
    [policy] = [a["content"] for tag, a in seen.tags if tag == "meta" and "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    style = page[page.index("<style>.agentcost") : page.index("</style>", page.index("<style>.agentcost"))]
    assert "@media(prefers-color-scheme:dark)" in style
    assert "url(" not in style
    assert "@import" not in style


def test_each_benchmark_has_its_plots() -> None:
    """Savings, costs and prompts for each benchmark, savings alone for a family; then a table for each."""
    page = result_of("north", "south").to_html()
    plots = re.findall(r'aria-label="([^"]*)"', page)
    assert plots == [
        "Savings on north (family f)",
        "Savings on south (family f)",
        "Savings on all of family f",
        "Cost of a run of north (family f)",
        "Cost of a run of south (family f)",
        "Prompts of north (family f)",
        "Prompts of south (family f)",
    ]
    assert page.count('class="about"') == 3
    assert all(f"</i>{part}</span>" in page for part in PARTS)


def test_a_loss_beyond_the_scale_has_an_arrow_with_its_number() -> None:
    """A volatile head costs several times the bill: the others stay readable, and the loss has its number."""
    result = result_of("b", wanted="volatile_head,mask_sliding")
    lost = next(row.usd_saved_pct_cache_on for row in result.rows() if row.strategy == "volatile_head")
    assert lost is not None
    assert lost < -100
    page = result.to_html()
    assert re.search(rf'<polygon [^>]*class="bad"/><text [^>]*class="bad"[^>]*>{lost:,.0f}%</text>', page)
    assert "▲ $" in page


def test_nothing_is_drawn_outside_of_a_plot() -> None:
    """Every point and text lies inside of its plot, however extreme the figures and many the strategies."""
    wanted = ",".join([*STRATEGIES, "mask_sliding:keep=1+minify", "truncate:tokens=1", "summarize:above=100:keep=1"])
    for svg in re.findall(r"<svg.*?</svg>", result_of("b", wanted=wanted).to_html(), re.DOTALL):
        height = float(re.findall(r'height="(\d+)"', svg)[0])
        places = re.findall(r'x="([-\d.]+)" y="([-\d.]+)"', svg)
        for points in re.findall(r'points="([^"]+)"', svg):
            places += [tuple(point.split(",")) for point in points.split()]
        assert places
        assert all(-1 <= float(x) <= WIDTH + 1 and -1 <= float(y) <= height + 1 for x, y in places)


def test_labels_beside_curves_do_not_overlap() -> None:
    """With every strategy in one plot, the names of the curves stand below each other."""
    wanted = ",".join([*STRATEGIES, "truncate:tokens=1", "mask_sliding:keep=1", "reference:above=50"])
    page = result_of("b", wanted=wanted, calls=20).to_html()
    plot = next(svg for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if "Cost of a run" in svg)
    ys = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="name ink', plot))
    assert len(ys) > 5
    assert all(below - above >= 11 for above, below in pairwise(ys))


@pytest.mark.parametrize("calls", [1, 2])
def test_short_runs_can_be_drawn(calls: int) -> None:
    """Runs of a single call have all plots."""
    assert result_of("b", calls=calls).to_html().count("<svg") == 3


def test_a_model_that_costs_nothing_can_be_shown() -> None:
    """With a price of 0 there is no percentage and no curve, and the page says "-"."""
    free = PriceBook({"models": [{"model": "free", "input": 0, "output": 0}]})
    page = replay([episode(says("Hi."))], "minify", tariffs=Tariffs(free, model="free")).to_html()
    assert "<td>-</td>" in page
    assert "Cost of a run" not in page


def test_an_empty_result_is_a_page_too() -> None:
    """Where nothing could be replayed the page says so, and has no empty plots."""
    page = replay([], "minify", tariffs=SONNET).to_html()
    assert "no run could be replayed" in page
    assert "<svg" not in page


def test_only_the_dearest_benchmarks_are_drawn() -> None:
    """Of very many benchmarks the tables have all and the plots the dearest, so that a page can be opened."""
    page = result_of(*(f"b{at:03}" for at in range(DRAWN + 6)), wanted="minify").to_html()
    assert page.count("Cost of a run") == DRAWN
    assert f"Of {DRAWN + 7}, those with the highest bills are drawn." in page
    assert page.count('class="about"') == DRAWN + 6 + 1


def test_warnings_come_first() -> None:
    """A reader sees that a result is incomplete before any figure of it."""
    result = result_of("b")
    result.complete = False
    page = result.to_html()
    assert page.index("the replay was stopped") < page.index("<svg")


def test_a_notebook_gets_the_same_without_the_page() -> None:
    """Jupyter shows the plots and tables, with a style that reaches nothing else of the notebook."""
    result = result_of("b")
    piece = result._repr_html_()
    assert piece in result.to_html()
    assert piece.startswith('<div class="agentcost replay">')
    style = piece[piece.index("<style>") + 7 : piece.index("</style>")]
    rules = [rule.strip() for rule in re.findall(r"([^{}]+)\{", style)]
    assert len(rules) > 40
    assert all(rule.startswith((".agentcost", ".replay", "@media")) for rule in rules)
