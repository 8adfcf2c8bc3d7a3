"""In what two trees of settings differ, told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 80  # characters of a value, which may be a whole net


class Difference(NamedTuple):
    """An entry that is not the same in two trees.

    Attributes:
        name: of the entry, e.g. "solver.max_iter".
        old: its value in the first; None if there is none.
        new: its value in the second; None if there is none.
    """

    name: str
    old: object
    new: object

    def __str__(self) -> str:
        """E.g. "solver.max_iter was 10, is 20"."""
        return f"{self.name} was {shown(self.old)}, is {shown(self.new)}"


def differing(old: object, new: object, name: str = "") -> Iterator[Difference]:
    """The entries in which two trees of dicts differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from differing(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield Difference(name, old, new)


def differences(old: object, new: object, name: str = "") -> Iterator[str]:
    """In which entries two trees of dicts differ, e.g. "solver.max_iter was 10, is 20"."""
    return map(str, differing(old, new, name))


def shown(value: object) -> str:
    """A value as people are told it: long ones are cut short."""
    if value is None:
        return "not given"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
