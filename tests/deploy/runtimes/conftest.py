"""These tests take long: only a run that names their folder has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FOLDER = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave them out of a run of all tests."""
    asked = [
        (config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args
    ]
    is_asked = any(path == FOLDER or FOLDER in path.parents for path in asked)
    return None if is_asked or collection_path == FOLDER else True
