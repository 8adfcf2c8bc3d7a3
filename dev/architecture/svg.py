"""The house as a drawing: a band a language, a box a room, an arrow an import."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from dev.architecture.layout import Layout, lay_out, without_implied
from dev.architecture.rooms import CAFFE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dev.architecture.rooms import House

BOX = 212
LINE = 15  # of a caption
CHIP = 22
GAP = 24  # between boxes
AISLE = 44  # between rows, where the arrows run
BAND = 34  # the heading of a band
MARGIN = 24
CAPTION_CHARACTERS = 26
FONT = "font-family='DejaVu Sans, Verdana, Arial, sans-serif'"


@dataclass(frozen=True)
class Band:
    """Rooms with a background and a heading of their own."""

    heading: str
    prefix: str
    background: str
    border: str


BANDS = (
    Band("python/ul2q — Python", "python/", "#eef4fb", "#3b6ea5"),
    Band("cpp — C++", "cpp/", "#f3f1ea", "#8a6d3b"),
)


def draw(house: House) -> str:
    """The text of the SVG.

    Raises:
        ValueError: the imports run in a circle.
    """
    edges = without_implied(house.imports)
    groups = [[room for room in house.rooms if room.startswith(b.prefix)] for b in BANDS]
    layout = lay_out(groups, edges, dict.fromkeys(house.rooms, BOX), GAP)
    return "\n".join([*_Drawing(house, layout, groups).lines(), ""])


class _Drawing:
    """Heights and places of one drawing, and its elements in the order of painting."""

    def __init__(self, house: House, layout: Layout, groups: Sequence[Sequence[str]]) -> None:
        self._house = house
        self._layout = layout
        self._captions = {
            room: textwrap.wrap(house.captions[room], CAPTION_CHARACTERS) for room in house.rooms
        }
        left = min(layout.x[room] for room in house.rooms) - BOX / 2
        self._x = {name: round(x - left + 2 * MARGIN) for name, x in layout.x.items()}
        self._width = max(self._x[room] for room in house.rooms) + BOX // 2 + 2 * MARGIN
        self._top: dict[str, int] = {}  # of each box, and of each bend its row's
        self._bottom: dict[str, int] = {}
        self._bands: list[tuple[Band, int, int]] = []
        y = MARGIN
        for band, group in zip(BANDS, groups, strict=True):
            start, y = y, y + BAND
            for row in (r for r in layout.rows if any(room in group for room in r)):
                height = max(self._height(room) for room in row if room in group)
                for name in row:
                    self._top[name] = y
                    self._bottom[name] = y + (self._height(name) if name in group else height)
                y += height + AISLE
            y += MARGIN - AISLE
            self._bands.append((band, start, y))
            y += MARGIN
        self._page = y + MARGIN

    def _height(self, room: str) -> int:
        chips = CHIP + 6 if self._house.folders[room] else 0
        return 33 + LINE * len(self._captions[room]) + chips

    def lines(self) -> Iterator[str]:
        """The SVG, an element a line."""
        yield (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{self._width}' height='{self._page}' "
            f"viewBox='0 0 {self._width} {self._page}' {FONT} font-size='12' fill='#222'>"
        )
        yield "<title>The rooms of ul2q; an arrow goes from a room to one that it imports</title>"
        yield (
            "<defs><marker id='head' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' "
            "markerHeight='8' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='#555'/></marker>"
            "</defs>"
        )
        yield f"<rect width='{self._width}' height='{self._page}' fill='#fff'/>"
        for band, start, end in self._bands:
            yield (
                f"<rect x='{MARGIN}' y='{start}' width='{self._width - 2 * MARGIN}' "
                f"height='{end - start}' rx='10' fill='{band.background}'/>"
            )
            yield (
                f"<text x='{MARGIN + 14}' y='{start + 23}' font-size='16' font-weight='bold' "
                f"fill='{band.border}'>{escape(band.heading)}</text>"
            )
        yield from self._arrows()
        for room in self._house.rooms:
            yield from self._box(room)
        yield (
            f"<text x='{2 * MARGIN}' y='{self._page - MARGIN - 4}'>An arrow goes from a room to "
            "one that it imports or includes. Arrows that follow from others are left out.</text>"
        )
        yield "</svg>"

    def _arrows(self) -> Iterator[str]:
        """Curves that leave and reach boxes side by side, in the order of their other ends."""
        paths = sorted(self._layout.paths.values())
        leaving = self._ports([(path[0], path[1], path[-1]) for path in paths])
        reaching = self._ports([(path[-1], path[-2], path[0]) for path in paths])
        for path in paths:
            x = leaving[path[0], path[-1]]
            y = self._bottom[path[0]]
            steps = [f"M{x},{y}"]
            for name in path[1:]:
                end = reaching[path[-1], path[0]] if name == path[-1] else self._x[name]
                top = self._top[name] - (2 if name == path[-1] else 0)
                middle = (y + top) // 2
                steps.append(f"C{x},{middle} {end},{middle} {end},{top}")
                x, y = end, self._bottom[name]
                if name != path[-1]:
                    steps.append(f"L{x},{y}")
            yield (
                f"<path d='{' '.join(steps)}' fill='none' stroke='#555' stroke-width='1.4' "
                "marker-end='url(#head)'/>"
            )

    def _ports(self, ends: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str], int]:
        """Where on a box's edge the arrow (box, next on its way, other box) begins or ends."""
        ports = {}
        for box in {box for box, _, _ in ends}:
            fan = sorted((self._x[near], far) for b, near, far in ends if b == box)
            step = min(28, (BOX - 40) // len(fan))
            for i, (_, far) in enumerate(fan):
                ports[box, far] = self._x[box] + round(step * (i - (len(fan) - 1) / 2))
        return ports

    def _box(self, room: str) -> Iterator[str]:
        (band,) = (band for band in BANDS if room.startswith(band.prefix))
        x, y = self._x[room] - BOX // 2, self._top[room]
        fill = "#e6dfcb" if room == CAFFE else "#fff"  # not all of it is ours
        yield (
            f"<rect x='{x}' y='{y}' width='{BOX}' height='{self._height(room)}' rx='6' "
            f"fill='{fill}' stroke='{band.border}' stroke-width='1.4'/>"
        )
        middle, y = self._x[room], y + 20
        name = "/".join(room.split("/")[1:]).removeprefix("ul2q/")
        yield (
            f"<text x='{middle}' y='{y}' text-anchor='middle' font-size='14' "
            f"font-weight='bold'>{escape(name)}</text>"
        )
        for caption in self._captions[room]:
            y += LINE
            yield f"<text x='{middle}' y='{y}' text-anchor='middle'>{escape(caption)}</text>"
        folders = self._house.folders[room]
        if folders:
            yield (
                f"<text x='{middle}' y='{y + CHIP}' text-anchor='middle' font-size='10.5' "
                f"fill='{band.border}'>{escape('  '.join(f'{f}/' for f in folders))}</text>"
            )
