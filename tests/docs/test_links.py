"""Links between the project's pages lead somewhere, and docs/README.md lists all pages."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What builds, runs and environments leave in the tree.
LEFT_OUT = {"build", "data", "dist", "runs"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    and path.relative_to(ROOT).parts[0] not in LEFT_OUT
    and not path.is_relative_to(ROOT / "python/ul2q/prototxt")  # a copy that the build makes
)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _links(page: Path) -> list[str]:
    """Where a page's links and images lead to, within the tree."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def _headings(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in _links(page):
        path, _, heading = link.partition("#")
        target = (page.parent / unquote(path)) if path else page
        if not target.exists() or (heading and heading not in _headings(target)):
            broken.append(link)
    assert broken == []


def test_docs_readme_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _links(index)}
    pages = {page for page in PAGES if ROOT / "docs" in page.parents and page != index}
    assert {_name(page) for page in pages - linked} == set()


def test_the_readme_leads_to_the_front_door() -> None:
    assert {"CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md"} <= set(_links(ROOT / "README.md"))
