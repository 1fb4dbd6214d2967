"""The style of a replay's plots: colours that can be told apart on white and on black."""

from __future__ import annotations

from collections.abc import Sequence

_LIGHT = ("#2563eb", "#c2410c", "#0f766e", "#9333ea", "#b45309", "#be185d", "#4d7c0f", "#0369a1", "#7c2d12", "#57534e")
_DARK = ("#60a5fa", "#fb923c", "#2dd4bf", "#c084fc", "#fbbf24", "#f472b6", "#a3e635", "#38bdf8", "#d6a57c", "#a8a29e")

_TONES = {"good": ("#15803d", "#4ade80"), "bad": ("#b91c1c", "#f87171"), "warned": ("#b45309", "#f59e0b")}


def _colours(palette: Sequence[str], side: int) -> str:
    """Set the colour of each class for one of the two backgrounds."""
    chosen = [f".replay .c{at}{{--c:{colour}}}" for at, colour in enumerate(palette)]
    return "".join([*chosen, *(f".replay .{name}{{--c:{pair[side]}}}" for name, pair in _TONES.items())])


PLOT_STYLE = f"""
{_colours(_LIGHT, 0)}.replay .recorded{{--c:currentColor}}
@media(prefers-color-scheme:dark){{{_colours(_DARK, 1)}}}
.replay h2{{font-size:20px;margin:0 0 4px}}
.replay h3{{margin:28px 0 4px}}
.replay td.about{{text-align:left;white-space:normal;padding:22px 8px 4px}}
.replay p{{margin:0 0 10px;max-width:80em;opacity:.85}}
.replay .figures{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr));gap:20px 28px}}
.replay figure{{margin:0;max-width:640px;overflow-x:auto}}
.replay figcaption{{font-weight:600;overflow-wrap:anywhere}}
.replay small{{display:block;opacity:.7;overflow-wrap:anywhere}}
.replay svg{{display:block;width:100%;min-width:520px;height:auto;font-variant-numeric:tabular-nums}}
.replay svg text{{fill:currentColor;font:12px system-ui,sans-serif}}
.replay svg .tick{{font-size:11px;opacity:.65}}
.replay svg .grid{{stroke:currentColor;opacity:.13;fill:none}}
.replay svg .zero{{stroke:currentColor;opacity:.75;fill:none}}
.replay svg .between{{stroke:currentColor;opacity:.4;stroke-dasharray:2 3;fill:none}}
.replay svg .ring{{fill:none;stroke:currentColor;stroke-width:1.5;opacity:.75}}
.replay svg .whisker{{stroke:var(--c);stroke-width:2;fill:none}}
.replay svg .curve{{stroke:var(--c);stroke-width:1.8;fill:none;stroke-linejoin:round}}
.replay svg .curve.recorded{{stroke-width:3;opacity:.8}}
.replay svg .leader{{stroke:var(--c);fill:none;opacity:.6}}
.replay svg .dashed{{stroke-dasharray:6 3}}
.replay svg .band{{fill:var(--c);opacity:.72}}
.replay svg circle.good,.replay svg circle.bad,.replay svg circle.warned{{fill:var(--c)}}
.replay svg polygon.good,.replay svg polygon.bad,.replay svg polygon.warned,.replay svg .filled{{fill:var(--c)}}
.replay svg text.good,.replay svg text.bad,.replay svg text.warned,.replay svg text.ink{{fill:var(--c)}}
.replay b.good,.replay b.bad,.replay b.warned{{color:var(--c)}}
.replay tr.warned td,.replay tr.bad td{{color:var(--c)}}
.replay th,.replay td{{padding:3px 8px}}
.replay th.l,.replay td.l{{min-width:0;white-space:nowrap}}
.replay td.l:first-child{{min-width:9em;white-space:normal}}
.replay td.l:last-child{{min-width:10em;white-space:normal}}
.replay tr.recorded td{{opacity:.6}}
.replay .legend{{display:block;margin-top:4px}}
.replay .legend span{{margin-right:16px;white-space:nowrap}}
.replay .legend i{{display:inline-block;width:11px;height:11px;margin-right:5px;background:var(--c);opacity:.72}}
""".strip()
