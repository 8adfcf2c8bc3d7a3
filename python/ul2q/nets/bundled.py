"""The nets that come with ul2q."""

from __future__ import annotations

from pathlib import Path


def prototxt_path(name: str = "") -> Path:
    """Path of a prototxt of the package, e.g. `prototxt_path("lenet/solver_2bit.prototxt")`.

    Args:
        name: path below the package's prototxt folder; "" for the folder itself.

    Raises:
        FileNotFoundError: there is none of that name; the message lists those there are.
    """
    folder = Path(__file__).parents[1] / "prototxt"
    path = folder / name
    if not path.exists():
        known = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.prototxt"))
        raise FileNotFoundError(f"no prototxt {name!r} in ul2q; there are {', '.join(known)}")
    return path
