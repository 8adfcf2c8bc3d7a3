"""What is said of the methods in documentation, help and prototxt comments is what they take.

The tables here are not those of the registry's fields but of what `ul2q.quantize` refuses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from caffe.proto.quantization_pb2 import QuantizerParameter

from ul2q import _core, cli, methods, quantize
from ul2q.nets.method_docs import methods_help, methods_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
METHODS_PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
PROTO = (ROOT / "cpp" / "caffe" / "proto" / "quantization.proto").read_text(encoding="utf-8")
WIDTH = f"{_core.MIN_BITS} to {_core.MAX_BITS}"

# Each value of an option as a prototxt has it, and as `ul2q.quantize` takes it.
VALUES: dict[tuple[str, str], dict[str, Any]] = {
    ("fit", "EXACT"): {"fit": "exact"},
    ("fit", "PAPER"): {"fit": "paper"},
    ("fit", "EMPIRICAL"): {"fit": "empirical"},
    ("granularity", "TENSOR"): {"granularity": "tensor"},
    ("granularity", "CHANNEL"): {"granularity": "channel"},
    ("shift", "MEAN"): {"shift": "mean"},
    ("shift", "ZERO"): {"shift": "zero"},
    ("rounding", "NEAREST"): {"rounding": "nearest"},
    ("rounding", "STOCHASTIC"): {"rounding": "stochastic", "seed": 1},
    ("signed", "true"): {"signed": True},
    ("signed", "false"): {"signed": False},
}
NOT_OF_METHODS = {("gradient", "IDENTITY"), ("gradient", "CLIPPED")}


def takes(method: str, **options: Any) -> bool:
    """Whether some width goes with the options."""
    for bits in (None, *range(_core.MIN_BITS, _core.MAX_BITS + 1)):
        try:
            quantize(np.ones(4, np.float32), bits, method, **options)
        except ValueError:
            continue
        return True
    return False


def that_take(**options: Any) -> list[str]:
    """The methods' names in a prototxt."""
    return [name.upper() for name in methods() if takes(name, **options)]


def takes_bits(method: str, bits: int | None) -> bool:
    try:
        quantize(np.ones(2), bits, method)
    except ValueError:
        return False
    return True


def widths(method: str) -> list[int]:
    """What it takes for `bits`."""
    return [n for n in range(_core.MIN_BITS, _core.MAX_BITS + 1) if takes_bits(method, n)]


def code_bits(method: str) -> set[int]:
    """Bits of its codes, at all widths."""
    return {quantize(np.ones(2), n, method).bits for n in widths(method)}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading row."""
    (table,) = re.findall(rf"^{re.escape(heading)}\n((?:\|.*\n)+)", page, re.MULTILINE)
    lines = table.splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# The tables of the documentation


def test_the_docs_have_the_table_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["methods"]) == 0
    table = capsys.readouterr().out
    assert table == methods_markdown() + "\n"
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == list(methods())
    assert table in METHODS_PAGE


@pytest.mark.parametrize("line", methods_markdown().splitlines()[2:])
def test_a_row_of_that_table_says_what_quantize_takes(line: str) -> None:
    name, upper, bits, levels, options, summary = (c.strip() for c in line.strip("|").split("|"))
    method = name.strip("`")
    assert upper == f"`{method.upper()}`"
    low, high = widths(method)[0], widths(method)[-1]
    assert widths(method) == list(range(low, high + 1))
    expected = f"{low} to {high}" if low < high else f"{low}, may be left out"
    if low < high and len(code_bits(method)) == 1:
        expected += f", its codes have {min(code_bits(method))}"
    assert bits == expected
    assert takes_bits(method, None) == ("may be left out" in bits)
    told = {
        "fit PAPER": VALUES["fit", "PAPER"],
        "shift MEAN (default)": VALUES["shift", "MEAN"],
        "rounding STOCHASTIC": VALUES["rounding", "STOCHASTIC"],
        "signed: false": VALUES["signed", "false"],
    }
    assert options.split(", ") == [t for t, o in told.items() if takes(method, **o)] or [""]
    w = np.arange(4.0)
    assert (quantize(w, high, method).shift == w.mean()) == ("MEAN (default)" in options)
    assert levels
    assert summary


def test_the_table_of_options_says_which_methods_take_a_value() -> None:
    option = ""
    found = {}
    for name, value, of, _ in rows(METHODS_PAGE, "| option | value | methods | |"):
        option = name.strip("`") or option
        found[option, value] = of
    assert found.keys() == VALUES.keys() | NOT_OF_METHODS
    for key, of in found.items():
        taking = that_take(**VALUES.get(key, {}))
        expected = "all" if len(taking) == len(methods()) else ", ".join(taking)
        assert of == expected, key


def test_the_values_in_the_docs_are_those_of_the_proto() -> None:
    enums = {
        field.name: set(field.enum_type.values_by_name)
        for field in QuantizerParameter.DESCRIPTOR.fields
        if field.enum_type and field.name != "method"
    }
    documented: dict[str, set[str]] = {name: set() for name in enums}
    for option, value in VALUES.keys() | NOT_OF_METHODS:
        if option != "signed":
            documented[option].add(value)
    assert documented == enums
    readme = {
        row[0].strip("`"): row[1]
        for row in rows(
            (ROOT / "README.md").read_text(encoding="utf-8"), "| field | values | meaning |"
        )
    }
    for name, values in enums.items():
        assert set(re.findall(r"`(\w+)`", readme[name])) == values, name
    assert readme["bits"] == WIDTH
    for name, field in QuantizerParameter.DESCRIPTOR.fields_by_name.items():
        if field.enum_type and field.has_default_value:
            default = field.enum_type.values_by_number[field.default_value].name
            assert f"`{default}` (default)" in readme[name]


def test_the_page_of_the_layers_has_each_field_of_an_activation() -> None:
    page = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    fields = QuantizerParameter.DESCRIPTOR.fields_by_name
    documented: dict[str, str] = {}
    for names, default, _ in rows(page, "| field | default | meaning |"):
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip("`"))
    assert documented.keys() == set(fields) - {"granularity"}  # of weights only
    for name, default in documented.items():
        field = fields[name]
        if field.has_default_value and default != "the method's":
            enum = field.enum_type
            value = enum.values_by_number[field.default_value].name if enum else field.default_value
            text = f"{value:.7g}" if isinstance(value, float) else str(value)
            assert default in (text, text.lower()), name


def test_each_method_has_its_formula() -> None:
    (section,) = re.findall(r"^## Formulas\n(.*?)^## ", METHODS_PAGE, re.MULTILINE | re.DOTALL)
    formulas = re.findall(r"^\*\*(\w+)\*\*", section, re.MULTILINE)
    assert sorted(formulas) == [name.upper() for name in methods()]


# The help and the proto


def test_the_help_says_of_each_method_what_it_takes() -> None:
    text = methods_help()
    told = dict(re.findall(r"(?:: |, )(\w+) \((bits .*?)\)(?=,|\.)", text))
    assert list(told) == list(methods())
    table = methods_markdown().splitlines()[2:]
    for line, options in zip(table, told.values(), strict=True):
        _, _, bits, _, others, _ = (cell.strip() for cell in line.strip("|").split("|"))
        assert options.split("; ") == [f"bits {bits}", *filter(None, others.lower().split(", "))]


def test_the_proto_has_the_methods_of_the_registry() -> None:
    assert {name.lower() for name in QuantizerParameter.Method.keys()} == set(methods())  # noqa: SIM118


def comment_of(name: str) -> str:
    """The comment above a field or a value in quantization.proto."""
    line = rf"^ *(?:optional \w+ )?{name} = \d+"
    ((comment,),) = [
        match.groups() for match in re.finditer(rf"((?:^ *//.*\n)+){line}", PROTO, re.MULTILINE)
    ]
    return str(comment)


def listed(comment: str, words: str) -> list[str]:
    """The methods behind these words."""
    (names,) = re.findall(rf"// {words}: ([\w, ]+)\.", comment)
    return sorted(names.split(", "))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("PAPER", ("fit", "PAPER")),
        ("MEAN", ("shift", "MEAN")),
        ("STOCHASTIC", ("rounding", "STOCHASTIC")),
        ("signed", ("signed", "false")),
    ],
)
def test_a_comment_of_the_proto_lists_the_methods(name: str, option: tuple[str, str]) -> None:
    assert listed(comment_of(name), "Methods") == that_take(**VALUES[option])


def test_the_proto_says_what_bits_are() -> None:
    comment = comment_of("bits")
    assert f"Bits a code, {WIDTH}." in comment
    assert listed(comment, "May be left out") == upper(m for m in methods() if takes_bits(m, None))
    of_the_scale = [m for m in methods() if len(widths(m)) > 1 and len(code_bits(m)) == 1]
    assert listed(comment, "Not of a code but of the scale") == upper(of_the_scale)


def upper(names: Iterable[str]) -> list[str]:
    return [name.upper() for name in names]
