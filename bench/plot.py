"""Bars, as SVG."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

COLOURS = ("#1f5f99", "#e0902b", "#5b9e5b", "#b04a5a", "#7a68a6", "#8a8a8a")
WIDTH, LEFT, BAR = 860, 190, 13


class Bar(NamedTuple):
    """One bar, of a series, with the mark that it should reach."""

    series: str
    value: float
    goal: float | None = None


class Panel(NamedTuple):
    """A title, and groups of bars."""

    title: str
    groups: Sequence[tuple[str, Sequence[Bar]]]


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Write the panels, one below the other."""
    parts: list[str] = []
    top = 10
    for panel in panels:
        top = draw_panel(parts, panel, top) + 25
    style = "font-family: sans-serif; font-size: 12px; fill: #222"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        f'style="{style}">\n<rect width="{WIDTH}" height="{top}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n",
        encoding="utf-8",
    )


def draw_panel(parts: list[str], panel: Panel, top: int) -> int:
    """Add a panel that begins at `top`; return where it ends."""
    series = list(dict.fromkeys(bar.series for _, bars in panel.groups for bar in bars))
    longest = max([1.0, *(max(bar.value, bar.goal or 0) for _, bars in panel.groups for bar in bars)])
    scale = (WIDTH - LEFT - 60) / longest
    parts.append(text(10, top + 14, panel.title, "font-size: 15px; font-weight: bold"))
    for number, name in enumerate(series):
        x, y = 10 + number % 3 * 280, top + 24 + number // 3 * 17
        parts.append(rect(x, y, 10, 10, COLOURS[number]))
        parts.append(text(x + 15, y + 9, name))
    top += 35 + (len(series) + 2) // 3 * 17
    begin = top
    for name, bars in panel.groups:
        parts.append(text(LEFT - 8, top + len(bars) * BAR / 2 + 4, name, "text-anchor: end"))
        for bar in bars:
            parts.append(rect(LEFT, top, bar.value * scale, BAR - 2, COLOURS[series.index(bar.series)]))
            parts.append(text(LEFT + bar.value * scale + 4, top + 10, f"{bar.value:.2f}", "font-size: 11px"))
            if bar.goal is not None:
                parts.append(rect(LEFT + bar.goal * scale - 1, top - 1, 2, BAR, "#111"))
            top += BAR
        top += 8
    parts.append(rect(LEFT + scale, begin - 4, 1, top - begin, "#999"))
    return top


def rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    """Return a rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def text(x: float, y: float, words: str, style: str = "") -> str:
    """Return text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(words)}</text>'
