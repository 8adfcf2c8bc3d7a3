"""In what two trees of settings differ, told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 80  # characters of a value, which may be a whole net


def differences(old: object, new: object, name: str = "") -> Iterator[str]:
    """In which entries two trees of dicts differ, e.g. "solver.max_iter was 10, is 20"."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name} was {_show(old)}, is {_show(new)}"


def _show(value: object) -> str:
    if value is None:
        return "not given"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
