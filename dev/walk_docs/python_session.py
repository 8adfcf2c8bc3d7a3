"""The Python session of a page: does the blocks that stdin names, one JSON object a line.

It runs in the reader's environment, which does not have this project's `dev`. Blocks of a page have
one namespace. A warning is an error, and so is another output than a `>>>` session shows.
"""

from __future__ import annotations

import doctest
import json
import sys
import traceback

names: dict[str, object] = {"__name__": "__main__"}


def do(language: str, text: str, place: str) -> None:
    """Do a block; raise an exception if it fails."""
    if language == "python":
        exec(compile(text, place, "exec"), names)  # noqa: S102 - a block of our own pages
    elif language == "pycon":
        session = doctest.DocTestParser().get_doctest(text, names, place, None, 0)
        session.globs = names
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
            session, out=report.append, clear_globs=False
        )
        if report:
            raise AssertionError("".join(report))
    else:
        import caffe  # noqa: PLC0415 - only where a page has a net

        caffe.Net.from_proto(text, caffe.TEST).forward()


for line in sys.stdin:
    block = json.loads(line)
    try:
        do(block["language"], block["text"], block["place"])
        status = 0
    except Exception:
        traceback.print_exc(file=sys.stdout)
        status = 1
    print(f"\n{block['end']} {status}", flush=True)
