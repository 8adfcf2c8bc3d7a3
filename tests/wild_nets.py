"""Real nets and weights that others published, which are no part of the project.

`UL2Q_WILD_NETS` names their folder; by default it is `shared/wild` beside the clone. Tests that
need them skip where they are not.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("UL2Q_WILD_NETS") or Path(__file__).parents[2] / "shared" / "wild"
).resolve()


def wild(path: str) -> Path:
    """A file below the folder, e.g. "mtcnn/det2.prototxt"."""
    if not (FOLDER / path).is_file():
        pytest.skip(f"there is no {FOLDER / path} (UL2Q_WILD_NETS)")
    return FOLDER / path
