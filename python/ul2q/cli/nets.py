"""`ul2q nets`: list and copy the nets that come with ul2q."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import print_table
from ul2q.nets.bundled import bundled_names

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands

ORDER = 5  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q nets`."""
    parser = commands.add_parser("nets", help="list and copy the nets that come with ul2q")
    parser.set_defaults(command=run)
    parser.description = (
        "The nets that come with ul2q. Every command takes a file of theirs by its name, as "
        "lenet/solver_2bit.prototxt, where there is no such file; --copy is for changing them."
    )
    parser.examples = ("ul2q nets", "ul2q nets --copy lenet", "ul2q nets --copy vgg7_64 -o mine")
    parser.add_argument("--copy", metavar="NET", type=_Net(), help="copy the prototxts of this net")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="the folder for the copies (default: prototxt/NET)",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q nets`."""
    from ul2q.nets.catalogue import bundled_nets, copy_net

    if arguments.copy:
        for path in copy_net(arguments.copy, arguments.output, force=arguments.force):
            print(f"written: {path}")
        return
    print_table(
        ("net", "data", "parameters", "solvers", "purpose"),
        [
            (net.name, net.data, f"{net.parameters:,}", ", ".join(net.solvers), net.purpose)
            for net in bundled_nets()
        ],
    )
    print(
        "a solver by its name: NET/solver_2bit.prototxt; its nets: NET/train_test_2bit.prototxt, …"
    )


class _Net:
    """The type of an argument that names a net of the package's."""

    def __call__(self, text: str) -> str:
        return text

    def names(self) -> list[str]:
        """The names that a shell offers."""
        return sorted({name.partition("/")[0] for name in bundled_names()})
