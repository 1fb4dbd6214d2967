"""Pages of an invented town, as a crawler would fetch them: little text in much markup, and a question to each."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

SHOPS = ("Quayside Tools", "Lamp & Wick", "The Rope Loft", "Northern Seeds", "Clock Repairs Amsel", "Field Library")
GOODS = (
    "brass cleat",
    "storm lamp",
    "hemp line",
    "rye seed",
    "mantel clock",
    "pocket atlas",
    "oak mallet",
    "tin kettle",
)
STREETS = ("Mole Street", "Linden Row", "Chandler's Yard", "Upper Weir", "Station Field")

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/static/site.{n}f3a.css"><style>
.card{{display:flex;border:1px solid #ccc;border-radius:4px;padding:12px}} .card > .price{{font-weight:700;color:#124}}
@media (max-width: 640px){{.card{{display:block}} .nav li{{float:none}}}}
</style><script>window.dataLayer=window.dataLayer||[];dataLayer.push({{"page":"p{n}","consent":false}});</script></head>
<body class="page page--{kind} theme-light" data-page-id="{n}"><!-- rendered by node 3 -->
<header class="site-header"><nav class="nav" aria-label="Main"><ul><li class="nav__item"><a class="nav__link" href="/">
Home</a></li><li class="nav__item"><a class="nav__link" href="/shops">Shops</a></li><li class="nav__item nav__last">
<a class="nav__link" href="/contact" rel="nofollow">Contact</a></li></ul></nav></header><main id="content" role="main">
"""
_FOOT = """</main><footer class="site-footer"><div class="grid grid--3"><p class="small">Published by the town of
Ebbingen. <a href="/imprint" class="muted">Imprint</a></p></div></footer><script src="/app.{n}c.js" defer></script>
<script>(function(){{var s=document.createElement("script");s.async=1;s.src="/t.js?v={n}";document.head.append(s)}})();
</script></body></html>
"""


def pages() -> Iterator[dict[str, Any]]:
    """Give the pages: the schema of the other sets, with `answers` and `needed` ids."""
    for number, shop in enumerate(SHOPS):
        yield _catalogue(number, shop)
        yield _hours(number, shop)
        yield _notice(number, shop)


def _page(kind: str, number: int, title: str, body: str) -> str:
    said = {"n": 100 + 7 * number, "title": escape(title), "kind": kind}
    return _HEAD.format(**said) + body + _FOOT.format(**said)


def _catalogue(number: int, shop: str) -> dict[str, Any]:
    """Goods as cards: what one costs, and its number."""
    cards, asked = [], (3 * number + 1) % len(GOODS)
    for place, goods in enumerate(GOODS):
        price, stock = f"{4 + 3 * place + number}.{(17 * place + 5 * number) % 90 + 10}", (7 * place + number) % 30
        cards.append(
            f'<article class="card card--product" data-index="{place}"><div class="card__media"><img class="lazy"'
            f' src="/img/{place}.jpg" alt="A {goods}" width="240" height="180"></div><div class="card__body">'
            f'<h3 class="card__title"><a href="/goods/EB-{number}{place}42" class="link">{goods.title()}</a>'
            f'</h3><span class="price" aria-label="price">&euro;&nbsp;{price}</span><p class="card__stock">'
            f"<em>{stock}</em> in stock, article EB-{number}{place}42</p></div></article>"
        )
        if place == asked:
            answer = price
    body = f'<h1 class="title">{escape(shop)}</h1><div class="grid grid--4">{"".join(cards)}</div>'
    return {
        "id": f"catalogue-{number}",
        "question": f"What does the {GOODS[asked]} cost?",
        "text": _page("list", number, f"{shop}: all goods", body),
        "answers": [answer],
        "needed": [f"EB-{number}{asked}42"],
    }


def _hours(number: int, shop: str) -> dict[str, Any]:
    """A table of opening hours, and where the shop is."""
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
    asked = days[number % len(days)]
    rows, answer = [], ""
    for place, day in enumerate(days):
        opens = f"{8 + (place + number) % 3}:{15 * (place % 4):02} to {16 + (place * number) % 4}:45"
        answer = opens if day == asked else answer
        rows.append(
            f'<tr class="row row--{"odd" if place % 2 else "even"}"><th scope="row" class="cell cell--day">{day}</th>'
            f'<td class="cell" data-day="{place}">{opens}</td></tr>'
        )
    street, phone = STREETS[number % len(STREETS)], f"+49 4231 {5510 + 13 * number}"
    body = (
        f'<section class="panel"><h2 class="panel__title">Find {escape(shop)}</h2><address class="vcard">'
        f'<span class="street-address">{escape(street)} {11 + number}</span>, Ebbingen<br><a href="tel:{phone}">{phone}'
        f'</a></address></section><section class="panel"><h2>Opening hours</h2><table class="table table--hours">'
        f'<tbody>{"".join(rows)}</tbody></table></section><svg class="map" viewBox="0 0 9 9"><path d="M1 1L9 3Z"/>'
        "</svg>"
    )
    return {
        "id": f"hours-{number}",
        "question": f"When is {shop} open on {asked}?",
        "text": _page("place", number, f"{shop}: opening hours", body),
        "answers": [answer],
        "needed": [phone],
    }


def _notice(number: int, shop: str) -> dict[str, Any]:
    """An article in paragraphs, with one that says how to appeal."""
    street, fee, case = STREETS[(number + 2) % len(STREETS)], 35 + 5 * number, f"2031/{400 + 9 * number}-W"
    paragraphs = (
        f"From the {3 + number}th of May the paving of {street} is renewed, between the weir and the old tannery.",
        f"Deliveries to {shop} stay possible from seven to nine in the morning, by the yard behind the chapel.",
        "The town asks cyclists to use the towpath, where the speed of ten kilometres an hour holds as before.",
        f"Whoever parks there in spite of the signs pays {fee} euro, and bears the cost of the tow truck too.",
        f"An objection may be raised within two weeks, in writing, under the file number {case}.",
        "The works are paid from the fund for the lower town, which the council set up after the flood.",
        "Questions of neighbours are answered on site every Thursday; the site office is the blue container.",
    )
    text = "".join(f'<p class="body-text" id="p{at}">{escape(one)}</p>\n' for at, one in enumerate(paragraphs))
    share = '<div class="share"><button type="button" class="btn" onclick="share(1)"><i class="icon"></i></button>'
    body = f'<article class="article"><h1>Works in {escape(street)}</h1>{text}{share}</div></article>'
    return {
        "id": f"notice-{number}",
        "question": "How much does it cost to park there in spite of the signs?",
        "text": _page("article", number, f"Works in {street}", body),
        "answers": [f"{fee} euro"],
        "needed": [],
    }
