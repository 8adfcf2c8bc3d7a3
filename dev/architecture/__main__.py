"""Write docs/architecture.svg."""

from __future__ import annotations

import sys
from pathlib import Path

from dev.architecture.rooms import read_house
from dev.architecture.svg import draw

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    try:
        (ROOT / "docs" / "architecture.svg").write_text(draw(read_house(ROOT)), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"docs/architecture.svg is not drawn: {error}")
