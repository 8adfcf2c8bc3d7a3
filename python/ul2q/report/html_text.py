"""Pieces of the page as HTML. What comes from files goes through `escape`."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_METADATA = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_SIZE = re.compile(r' (width|height)="[^"]*"')
_WIDTH = re.compile(r'\bwidth="([\d.]+)pt"')
_DECIMALS = re.compile(r"\d+\.\d{3,}")
_TAG = re.compile(r"<[^>]+>")
# What a page does not need: names of groups, to which nothing refers, rotation by nothing, and the
# font, which is the page's.
_NEEDLESS = re.compile(
    r'(?<=<g) id="[^"]*"| transform="rotate\(-?0 [^)]*\)"'
    r"| font-family: 'DejaVu Sans', sans-serif;"
)
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Container[int]) -> str:
    """A table that scrolls sideways where it is too wide, without the columns that are empty.

    Args:
        headings: plain texts.
        rows: cells of HTML.
        numbers: the indices of the columns that are set flush right.
    """
    shown = [i for i in range(len(headings)) if any(row[i] for row in rows)]

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = {i: ' class="n"' if i in numbers else "" for i in shown}
        return f"<tr>{''.join(f'<{tag}{kinds[i]}>{cells[i]}</{tag}>' for i in shown)}</tr>"

    body = "\n".join(line("td", row) for row in rows)
    head = line("th", list(map(escape, headings)))
    return (
        f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n'
        "</table></div>"
    )


def inline_svg(svg: str, key: str, *, label: str) -> str:
    """An SVG file as a part of a page.

    Args:
        svg: what matplotlib wrote.
        key: a word for its ids, which must not be another figure's.
        label: what it shows, for those who do not see it.
    """

    def tidy(tag: re.Match[str]) -> str:
        needed = _NEEDLESS.sub("", tag[0])
        rounded = _DECIMALS.sub(lambda number: f"{float(number[0]):.2f}", needed)
        return " ".join(_ID.sub(rf"\g<1>{key}-", rounded).split())

    body = _METADATA.sub("", svg[svg.index("<svg") :])
    points = float(_WIDTH.findall(body)[0])
    body = _TAG.sub(lambda tag: _SIZE.sub("", tag[0]), body, count=1)
    body = re.sub(r">\s*\n\s*<", ">\n<", _TAG.sub(tidy, body)).strip()
    # As large as on paper at least, where it is scrolled sideways if need be.
    style = f"min-width:{points:.0f}px;max-width:{1.5 * points:.0f}px"
    # The page's own ground shows through, with the shadows that say that there is more beside.
    body = body.replace('style="fill: #ffffff"', 'style="fill: none"')
    return body.replace(
        "<svg ", f'<svg role="img" aria-label="{escape(label)}" style="{style}" ', 1
    )
