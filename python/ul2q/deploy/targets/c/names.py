"""Names of C from names of layers."""

from __future__ import annotations

import re

# Of C and C++, and the names that the files themselves use.
_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline
int long register restrict return short signed sizeof static struct switch typedef union
unsigned void volatile while asm bool catch class delete false friend main memory namespace new
operator private protected public template this throw true try typename using virtual NULL
"""


class Names:
    """Identifiers that are each given once."""

    def __init__(self, taken: set[str]) -> None:
        """Begin with those that are taken."""
        self._taken = {name.lower() for name in taken | set(_KEYWORDS.split())}

    def make(self, text: str) -> str:
        """An identifier for a text, as near to it as can be.

        Names that differ in case alone are as one, so that they stay apart in macros, too.
        """
        name = identifier(text)
        number = 2
        wanted = name
        while name.lower() in self._taken:
            name = f"{wanted}_{number}"
            number += 1
        self._taken.add(name.lower())
        return name


def identifier(text: str) -> str:
    """A text with all that C does not allow in a name as underscores, and a letter first."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return name if name and name[0].isalpha() else f"net_{name}".rstrip("_")


def comment(text: str) -> str:
    """A text that ends no comment, begins none, and goes on over no line."""
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = re.sub(r"\s+", " ", plain.replace("\\", "/"))
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
