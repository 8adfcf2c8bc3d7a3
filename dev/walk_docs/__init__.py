"""Does README.md and the pages of docs/ as a reader does: in order, each block as it is printed.

`python -m dev.walk_docs`, which `make check-docs` calls, works in a fresh clone and in an
environment that has nothing but what is installed. `page` reads the pages, `reader` does their
blocks, `belongings` makes what a reader brings along.
"""
