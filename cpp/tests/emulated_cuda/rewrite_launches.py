"""Turn CUDA sources into C++ for the emulated device.

kernel<<<grid, block>>>(arguments) becomes

    ::emulated_cuda::Launch("kernel", grid, block)([](auto... a) { kernel(a...); }, arguments)

Usage: rewrite_launches.py SOURCE TARGET [SOURCE TARGET ...]
A target that stays as it is keeps its time stamp.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# A string stays, a comment becomes as many lines of nothing: a launch may have one before its <<<.
COMMENT = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
# A kernel of BVLC's macros is called name##_kernel there.
LAUNCH = re.compile(r"([A-Za-z_][\w:#]*(?:\s*<[^<>;{}()]*>)?)[\s\\]*<<<(.*?)>>>\s*\(", re.DOTALL)


def without_comments(text: str) -> str:
    """The text without comments, its line breaks where they were."""

    def blank(match: re.Match[str]) -> str:
        return match[1] or re.sub(r"(?!\\\n)[^\n]", " ", match[0])  # a macro's goes on

    return COMMENT.sub(blank, text)


def end_of_call(text: str, begin: int) -> int:
    """Where the parenthesis closes that was opened just before `begin`."""
    depth = 1
    for position in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise ValueError("a launch's arguments have no end")


def rewrite(text: str) -> str:
    """The text with all of its launches replaced."""
    text = without_comments(text)
    pieces = []
    position = 0
    for launch in LAUNCH.finditer(text):
        kernel, configuration = launch[1], launch[2]
        end = end_of_call(text, launch.end())
        arguments = text[launch.end() : end]
        comma = "," if arguments.strip() else ""
        name = kernel.replace("##", "-")
        pieces += [
            text[position : launch.start()],
            f'::emulated_cuda::Launch("{name}", {configuration})'
            f"([](auto... a) {{ {kernel}(a...); }}{comma} {arguments})",
        ]
        position = end + 1
    rewritten = "".join(pieces) + text[position:]
    if "<<<" in rewritten:
        raise ValueError("a launch that is not understood")
    return rewritten


def main(arguments: list[str]) -> None:
    """Rewrite each source into its target."""
    for source, target in zip(map(Path, arguments[::2]), map(Path, arguments[1::2]), strict=True):
        try:
            text = f'#line 1 "{source}"\n' + rewrite(source.read_text())
        except ValueError as error:
            sys.exit(f"{source}: {error}")
        if not target.is_file() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
