"""Reads what a sweep is to run from its YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caffe.proto import caffe_pb2

from ul2q.nets.bundled import find_prototxt, prototxt_path
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.quantization import NetQuantization, OptionsError
from ul2q.quantizers import methods as method_names
from ul2q.runs.record import FLOAT
from ul2q.sweep.spec_file import Section, near, read_sections, read_text
from ul2q.training.solver_settings import apply_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ul2q.util.paths import StrPath

_Value = TypeVar("_Value", str, int)

_SET_BY_SWEEP = ("net", "random_seed", "snapshot_prefix")
_SET_BY_METHODS = ("method", "weight_bits")
_OPTIONS = tuple(one.name for one in fields(NetQuantization) if one.name not in _SET_BY_METHODS)
_INTEGERS = ("bias_bits", "first_bits", "last_bits", "activation_bits")


@dataclass(frozen=True)
class Training:
    """How runs are trained, as far as one level of the file says.

    Attributes:
        solver: the file of a SolverParameter; None if it is not said.
        settings: changes of its fields, as `ul2q train --set` takes them, by the fields' names.
        from_float: whether the float run's weights are the start; None if it is not said.
        options: arguments of NetQuantization, by their names.
        patience: that of `ul2q train --patience`; None if it is not said.
    """

    solver: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    from_float: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    patience: int | None = None

    def then(self, other: Training) -> Training:
        """What this says, but for what `other` says."""
        options = {**self.options, **other.options}
        if "layers" in self.options and "layers" in other.options:
            options["layers"] = {**self.options["layers"], **other.options["layers"]}
        return Training(
            other.solver or self.solver,
            {**self.settings, **other.settings},
            self.from_float if other.from_float is None else other.from_float,
            options,
            self.patience if other.patience is None else other.patience,
        )


@dataclass(frozen=True)
class NetSpec:
    """A net of the sweep.

    Attributes:
        name: what it is called in the runs' names.
        net: the float net's prototxt for training and testing.
        data: the folder with train_lmdb and test_lmdb; None if they are where the prototxt says.
        float: how float runs are trained; its solver is known.
        quantized: how quantised runs are trained; its solver is known.
    """

    name: str
    net: Path
    data: Path | None
    float: Training
    quantized: Training


@dataclass(frozen=True)
class MethodSpec:
    """A method at one width.

    Attributes:
        name: its name in `ul2q.methods()`.
        bits: how many bits a code has.
        weight_bits: the argument of NetQuantization, None for a method of one width.
    """

    name: str
    bits: int
    weight_bits: int | None


@dataclass(frozen=True)
class VariantSpec:
    """A set of options; that without any has the name "".

    Attributes:
        name: what stands behind the runs' names.
        training: what differs from a run without a variant.
        section: where it stands in the file, for errors.
        nets: the nets that have it; () for all.
        methods: the methods that have it; () for all.
        bits: the widths that have it; () for all.
    """

    name: str
    training: Training
    section: Section
    nets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    bits: tuple[int, ...] = ()

    def covers(self, net: NetSpec, method: MethodSpec) -> bool:
        """Whether there is a run of these with this variant."""
        return (
            (not self.nets or net.name in self.nets)
            and (not self.methods or method.name in self.methods)
            and (not self.bits or method.bits in self.bits)
        )


@dataclass(frozen=True)
class SweepSpec:
    """A sweep: seeds × nets × (float, methods at their bits × variants).

    Attributes:
        text: the text of the file.
        nets: the nets in the order of the file, like all that follows.
        seeds: seeds of Caffe's random generator.
        float: whether float runs are asked for; those that others begin from are made anyway.
        methods: each method at each of its widths.
        variants: the variants, the one without options first.
    """

    text: str
    nets: tuple[NetSpec, ...]
    seeds: tuple[int, ...]
    float: bool
    methods: tuple[MethodSpec, ...]
    variants: tuple[VariantSpec, ...]


def read_spec(path: StrPath) -> SweepSpec:
    """Read a sweep's YAML file; docs/sweep.md says what stands in it.

    Raises:
        FileNotFoundError: there is no such file.
        SpecError: it is faulty; the message begins with file:line.
    """
    path = Path(path)
    return parse_spec(read_text(path), str(path))


def parse_spec(text: str, file: str) -> SweepSpec:
    """Read a sweep's YAML text; `file` is named in errors, which are those of `read_spec`."""
    root = read_sections(text, file)
    root.allow("nets", "methods", "seeds", "set", "patience", FLOAT, "quantized", "variants")
    for key in ("nets", "methods"):
        if not root.section(key):
            raise root.error(key, f"a sweep needs {key}")
    float_section, quantized_section = root.section(FLOAT), root.section("quantized")
    float_section.allow("set", "patience")
    quantized_section.allow("set", "patience", "from", *_OPTIONS)
    common = _training(root)
    float_ = common.then(_training(float_section))
    quantized = common.then(_training(quantized_section))
    nets = tuple(
        _net(name, section, float_, quantized)
        for name, section in root.named_sections("nets").items()
    )
    methods = _methods(root.section("methods"))
    variants = tuple(
        _variant(name, section, nets, methods)
        for name, section in root.named_sections("variants").items()
    )
    return SweepSpec(
        text=text,
        nets=nets,
        seeds=_seeds(root),
        float=FLOAT in root.section("methods"),
        methods=methods,
        variants=(VariantSpec("", Training(), root.section("methods")), *variants),
    )


def _seeds(root: Section) -> tuple[int, ...]:
    seeds = root.integers("seeds") or (1,)
    if min(seeds) < 0:
        raise root.error("seeds", f"must be at least 0, one is {min(seeds)}")
    return seeds


def _net(name: str, section: Section, float_: Training, quantized: Training) -> NetSpec:
    section.allow("net", "solver", "data", "set", "patience", FLOAT, "quantized")
    float_section, quantized_section = section.section(FLOAT), section.section("quantized")
    float_section.allow("solver", "set", "patience")
    quantized_section.allow("solver", "set", "patience", "from", *_OPTIONS)
    net = _file(section, "net", f"{name}/train_test_float")
    own = replace(_training(section), solver=_file(section, "solver", f"{name}/solver_float"))
    data = section.text("data")
    return NetSpec(
        name=name,
        net=net,
        data=Path(data) if data else None,
        float=float_.then(own).then(_training(float_section)),
        quantized=quantized.then(own).then(_training(quantized_section)),
    )


def _file(section: Section, key: str, shipped: str) -> Path:
    """The path of a prototxt: the one given, or that which comes with ul2q."""
    given = section.text(key)
    if given:
        return find_prototxt(Path(given))
    try:
        return prototxt_path(f"{shipped}.prototxt")
    except FileNotFoundError:
        net = shipped.partition("/")[0]
        nets = sorted(path.name for path in prototxt_path().iterdir() if path.is_dir())
        raise section.error(
            "",
            f"needs `{key}:`, a prototxt's path; no net {net!r} comes with ul2q{near(net, nets)}",
        ) from None


def _methods(section: Section) -> tuple[MethodSpec, ...]:
    section.allow(FLOAT, *method_names())
    found: list[MethodSpec] = []
    for name in section:
        if name == FLOAT:
            if section.value(name) is not None:
                raise section.error(name, "has no bits; write `float:`")
            continue
        specs = [_method(section, name, bits) for bits in section.integers(name) or (None,)]
        if len({spec.bits for spec in specs}) < len(specs):
            raise section.error(
                name, f"its codes have {specs[0].bits} bits always; give the scale one width"
            )
        found += specs
    return tuple(found)


def _method(section: Section, name: str, bits: int | None) -> MethodSpec:
    try:
        code_bits = NetQuantization(method=name, weight_bits=bits).code_bits
    except OptionsError as error:
        raise section.error(name, str(error).removeprefix("weights: ")) from error
    assert code_bits is not None  # noqa: S101  (else the bits are missing)
    return MethodSpec(name, code_bits, bits)


def _variant(
    name: str, section: Section, nets: Sequence[NetSpec], methods: Sequence[MethodSpec]
) -> VariantSpec:
    section.allow("nets", "methods", "bits", "solver", "set", "patience", "from", *_OPTIONS)
    variant = VariantSpec(
        name,
        _training(section),
        section,
        _chosen(section, "nets", section.texts("nets"), [net.name for net in nets]),
        _chosen(section, "methods", section.texts("methods"), [one.name for one in methods]),
        _chosen(section, "bits", section.integers("bits"), [one.bits for one in methods]),
    )
    if not any(variant.covers(net, method) for net in nets for method in methods):
        raise section.error("", "the sweep has none of these methods at these bits")
    return variant


def _chosen(
    section: Section, key: str, chosen: tuple[_Value, ...], there: Sequence[_Value]
) -> tuple[_Value, ...]:
    for one in chosen:
        if one not in there:
            known = list(dict.fromkeys(map(str, there)))
            raise section.error(key, f"the sweep has no {one!r}{near(str(one), known)}")
    return chosen


def _training(section: Section) -> Training:
    """What a section says of those keys that it may have."""
    solver, start = section.text("solver"), section.text("from")
    if start not in (None, FLOAT, "scratch"):
        raise section.error("from", f"must be float or scratch, it is {start}")
    patience = section.integer("patience")
    if patience is not None and patience < 1:
        raise section.error("patience", f"must be at least 1, it is {patience}")
    return Training(
        find_prototxt(Path(solver)) if solver else None,
        _settings(section.section("set")),
        None if start is None else start == FLOAT,
        _options(section),
        patience,
    )


def _settings(section: Section) -> dict[str, str]:
    settings = {}
    for key in section:
        if key in _SET_BY_SWEEP:
            raise section.error(key, "is what the sweep itself sets")
        setting = f"{key}={_setting(section, key)}"
        try:
            apply_settings(caffe_pb2.SolverParameter(), [setting])
        except PrototxtError as error:
            raise section.error(key, str(error).removeprefix(f"--set {setting}: ")) from error
        settings[key] = setting
    return settings


def _setting(section: Section, key: str) -> str:
    value = section.value(key)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str | int | float) for one in values):
        raise section.error(key, "must be a value or a list of values")
    return ",".join(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _options(section: Section) -> dict[str, Any]:
    """The arguments of NetQuantization; words may be in capitals, as in a prototxt."""
    options: dict[str, Any] = {}
    for key in section:
        if section.value(key) is None and key in _OPTIONS:
            raise section.error(key, "is empty")
        if key == "layers":
            layers = section.section(key)
            options[key] = {name: _layer_bits(layers, name) for name in layers}
        elif key in _INTEGERS:
            options[key] = section.integer(key)
        elif key in _OPTIONS:
            options[key] = str(section.text(key)).lower()
    return options


def _layer_bits(layers: Section, name: str) -> int | None:
    return None if layers.value(name) == FLOAT else layers.integer(name)
