"""Write a net as a file that runs elsewhere, and see that it computes the same there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.batch import set_batch, what_fixes_batch
from ul2q.deploy.errors import DeployError
from ul2q.deploy.graph import storage_bits
from ul2q.deploy.levels import error_given_levels, has_levels, with_levels
from ul2q.deploy.lower import build, graph_of
from ul2q.deploy.targets import NET_TARGETS, TARGETS
from ul2q.deploy.targets.target import TargetOptions
from ul2q.nets.prototxt import read_net
from ul2q.util.near_names import near_names
from ul2q.util.output_file import refuse_existing, write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import caffe
    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point import Pixels
    from ul2q.deploy.graph import Graph
    from ul2q.deploy.targets.target import Target, Written
    from ul2q.util.paths import StrPath

    # What the file at a path computes of inputs, by name.
    _Run = Callable[[Path, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

BOUND = 1e-4
_RANDOM_PASSES = 4


@dataclass(frozen=True)
class Comparison:
    """How far a file's outputs lie from Caffe's.

    Attributes:
        difference: the largest, as a share of the largest output.
        given_levels: where that is more than BOUND since activations are rounded to levels, of
            which some take the neighbouring one: the largest error in what the file makes of its
            own levels, as a share of the largest value; else None.
        agreeing: of how many examples the largest score is the same; None if the net does not
            end in scores of classes.
        examples: how many that is of: those at the first length of batch.
        given: whether the inputs were the user's own.
        batches: the lengths of batch that were compared.
    """

    difference: float
    given_levels: float | None
    agreeing: int | None
    examples: int
    given: bool
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        graph: of the net.
        written: its files, warnings, and what takes how many bytes.
        comparison: with Caffe; None if it was not asked for.
        float_bytes: what the parameters take as float32.
        quantized_bytes: what codes, scales, shifts and the other parameters take.
        any_batch: whether the files take batches of any length; None: for targets that --batch is
            not for.
        batch_fixed_by: the layer that forbids that, and why; None: none, or the user.
    """

    graph: Graph
    written: Written
    comparison: Comparison | None
    float_bytes: int
    quantized_bytes: int
    any_batch: bool | None
    batch_fixed_by: str | None


def export(
    net: StrPath,
    weights: StrPath | None,
    output: StrPath,
    *,
    to: str,
    form: str | None = None,
    runtime: str | None = None,
    batch: int | str | None = None,
    pixels: Pixels | None = None,
    inputs: Mapping[str, NDArray[Any]] | None = None,
    verify: bool = True,
    force: bool = False,
) -> Export:
    """Write a trained net for another runtime, and compare what that computes with Caffe.

    Args:
        net: the prototxt of a net that is deployed.
        weights: its .caffemodel or .caffemodel.h5.
        output: the file; a second one of a target stands beside it.
        to: a key of TARGETS or of NET_TARGETS.
        form: how ONNX stores the weights: "auto", "planes", "uint", "int8" or "float".
        runtime: that "auto" chooses for: "onnxruntime", "openvino", "opencv" or "any".
        batch: of the files of "onnx" and "openvino": how many examples a pass takes; "any": any
            number; None: any, where all layers allow it, else that of the prototxt.
        pixels: how the net's input is made of bytes, for the target "c"; None: it is not.
        inputs: to compare with: an array for each of the net's inputs, of a multiple of its batch;
            None: random ones.
        verify: run the written file, and refuse it where it computes something else.
        force: replace files.

    Raises:
        FileNotFoundError: a file or the output's folder is missing.
        OutputExistsError: a file is there and `force` is not set.
        PrototxtError, WeightsError, caffe.CaffeError: as for `lower`.
        DeployError: a layer or an option cannot be exported so, a package is missing, or the
            written file computes something else; nothing is written then.
    """
    targets = {**TARGETS, **NET_TARGETS}
    if to not in targets:
        near = near_names(to, targets) or f"; must be one of {', '.join(targets)}"
        raise DeployError(f"there is no target {to!r}{near}")
    target = TARGETS.get(to)
    options = _options(
        to,
        target.OPTIONS if target else (),
        form=form,
        runtime=runtime,
        any_batch=None if batch is None else batch == "any",
        pixels=pixels,
    )
    output = Path(output)
    refuse_existing(output, force=force)
    built = build(net, weights)
    lower_built = partial(graph_of, built, fold=target.FOLDS if target else False)
    graph = lower_built()
    batch_fixed_by = None
    if isinstance(batch, int):
        _set_batch(built, graph, batch)
        graph = lower_built()
    elif target and "any_batch" in target.OPTIONS:
        batch_fixed_by = _what_fixes_batch(built, graph)
        if batch_fixed_by and batch:
            raise DeployError(f"--batch {batch} cannot be: {batch_fixed_by}; leave it out")
        options = replace(options, any_batch=not batch_fixed_by)
    batches = list(_batches(graph, inputs, pixels))
    options = replace(options, examples=batches, are_given=inputs is not None)
    run: _Run
    if target:
        written = target.write(graph, output, options)
        run = partial(target.run, graph)
    else:
        of_net = NET_TARGETS[to]
        written = of_net.write_net(built, output)
        run = partial(of_net.run_net, read_net(net))
    for path in written.files:
        refuse_existing(path, force=force)
    if written.as_read is not None:
        options = replace(options, examples=list(map(written.as_read, batches)))
    comparison = None
    if verify:
        compare = partial(_compare, run, target, written, output, built)
        comparison = compare(graph, options)
        if options.any_batch:
            other = _other_batch(batches)
            set_batch(built, len(next(iter(other.values()))))
            comparison = _joined(
                comparison, compare(lower_built(), replace(options, examples=[other]))
            )
    write_files(written.files, force=force)
    held = [weight for _, _, weight in graph.weights()]
    return Export(
        graph,
        written,
        comparison,
        sum(4 * int(np.prod(weight.shape)) for weight in held),
        sum(-(-storage_bits(weight) // 8) for weight in held),
        options.any_batch if target and "any_batch" in target.OPTIONS else None,
        batch_fixed_by,
    )


_FLAGS = {
    "form": "--form",
    "runtime": "--for",
    "any_batch": "--batch",
    "pixels": "--scale or --mean",
}


def _options(to: str, taken: Sequence[str], **given: Any) -> TargetOptions:
    """The options that are given; those that the target does not use are refused."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in taken:
            takers = ", ".join(other.NAME for other in TARGETS.values() if name in other.OPTIONS)
            raise DeployError(f"{_FLAGS[name]} is for --to {takers}, not for {to}")
    return TargetOptions(**chosen)


def _compare(
    run: _Run,
    target: Target | None,
    written: Written,
    output: Path,
    net: caffe.Net,
    graph: Graph,
    options: TargetOptions,
) -> Comparison:
    """Run the files, read back from a folder of their own.

    Raises:
        DeployError: they compute something else.
    """
    run = written.run or run
    difference, agreeing, examples = 0.0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = _put(written, Path(folder), output)
        for batch in options.examples:
            want = {name: np.array(values) for name, values in net.forward(**batch).items()}
            got = run(path, batch)
            difference = max(difference, *(_difference(got[name], want[name]) for name in want))
            scores = _scores(want)
            if scores:
                found, expected = (np.argmax(o[scores].reshape(len(o[scores]), -1), 1)
                                   for o in (got, want))  # fmt: skip
                agreeing += int(np.sum(found == expected))
                examples += len(expected)
    given_levels = None
    if difference > BOUND and target and has_levels(graph):
        given_levels = _error_given_levels(target, graph, output, options)
        if not given_levels <= BOUND:
            raise DeployError(
                f"{output}: what was written is wrong by {given_levels:.2g} of the largest "
                f"activation or output, given its own levels of activations; at most {BOUND:g} is "
                "allowed, so nothing is written"
            )
    elif not difference <= BOUND:
        raise DeployError(
            f"{output}: what was written differs from Caffe by {difference:.2g} of the largest "
            f"output; at most {BOUND:g} is allowed, so nothing is written"
        )
    (length, *_), *_ = (graph.shapes[name] or (1,) for name in graph.inputs)
    return Comparison(
        difference,
        given_levels,
        agreeing if examples else None,
        examples,
        options.are_given,
        (length,),
    )


def _joined(first: Comparison, second: Comparison) -> Comparison:
    """What is told of two lengths of batch: the worse of both errors, the first one's classes."""
    errors = [c.given_levels for c in (first, second) if c.given_levels is not None]
    return replace(
        first,
        difference=max(first.difference, second.difference),
        given_levels=max(errors, default=None),
        batches=first.batches + second.batches,
    )


def _what_fixes_batch(net: caffe.Net, graph: Graph) -> str | None:
    """As `what_fixes_batch`, and what Caffe says, since parameters may have shapes for one batch.

    The net is left as it was.
    """
    if why := what_fixes_batch(graph):
        return why
    length = graph.shapes[graph.inputs[0]][0]
    try:
        set_batch(net, length + 1)
    except DeployError as error:
        return str(error)
    finally:
        set_batch(net, length)
    return None


def _set_batch(net: caffe.Net, graph: Graph, length: int) -> None:
    """Give a net the batch that the user wants.

    Raises:
        DeployError: a layer does not take it.
    """
    if length < 1:
        raise DeployError(f"--batch is {length}; must be a number from 1 on, or any")
    if all(graph.shapes[name][:1] == (length,) for name in graph.inputs):
        return
    if why := what_fixes_batch(graph):
        raise DeployError(f"the batch must be that of the prototxt: {why}; leave out --batch")
    set_batch(net, length)


def _other_batch(batches: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Inputs for two examples in place of one, or for one in place of several."""
    first, last = batches[0], batches[-1]
    return {
        name: np.concatenate([array, last[name]]) if len(array) == 1 else array[:1]
        for name, array in first.items()
    }


def _error_given_levels(
    target: Target, graph: Graph, output: Path, options: TargetOptions
) -> float:
    """The error of a file of the same net that gives out all levels."""
    told = with_levels(graph)
    written = target.write(told, output, options)
    run = written.run or partial(target.run, told)
    with tempfile.TemporaryDirectory() as folder:
        path = _put(written, Path(folder), output)
        return max(error_given_levels(told, b, run(path, b)) for b in options.examples)


def _put(written: Written, folder: Path, output: Path) -> Path:
    """Write the files to a folder of their own; the one that `output` names."""
    for path, content in written.files.items():
        (folder / path.name).write_bytes(content)
    return folder / output.name


def _difference(got: NDArray[Any], want: NDArray[Any]) -> float:
    if got.shape != want.shape:
        return float("inf")
    largest = max(float(np.max(np.abs(want), initial=0)), 1e-37)
    difference = float(np.max(np.abs(got - want), initial=0)) / largest
    return difference if np.isfinite(difference) else float("inf")


def _scores(outputs: Mapping[str, NDArray[Any]]) -> str | None:
    """The output that holds scores of classes, if there is just one output, and it may be so."""
    ((name, values),) = outputs.items() if len(outputs) == 1 else ((None, None),)
    is_vector = values is not None and values.ndim > 1 and values[0].size == values.shape[1] > 1
    return name if is_vector else None


def _batches(
    graph: Graph, inputs: Mapping[str, NDArray[Any]] | None, pixels: Pixels | None
) -> Iterator[dict[str, NDArray[Any]]]:
    """The user's inputs in batches, or some at random.

    Raises:
        DeployError: the inputs are not those of the net.
    """
    shapes = {name: graph.shapes[name] for name in graph.inputs}
    if inputs is None:
        rng = np.random.default_rng(0)
        for _ in range(_RANDOM_PASSES):
            yield {name: _random(graph, name, rng, pixels) for name in shapes}
        return
    if set(inputs) != set(shapes):
        raise DeployError(f"inputs are given for {sorted(inputs)}; the net reads {sorted(shapes)}")
    counts = set()
    for name, shape in shapes.items():
        given = inputs[name].shape
        if given[1:] != shape[1:] or not given or given[0] % shape[0] or not given[0]:
            raise DeployError(
                f"input {name!r} is given in shape {given}; must be {shape}, or several times as "
                "many examples"
            )
        counts.add(given[0] // shape[0])
    if len(counts) > 1:
        raise DeployError("the inputs are given for different numbers of batches")
    for i in range(counts.pop()):
        yield {
            name: np.ascontiguousarray(inputs[name][i * s[0] : (i + 1) * s[0]], np.float32)
            for name, s in shapes.items()
        }


def _random(
    graph: Graph, name: str, rng: np.random.Generator, pixels: Pixels | None
) -> NDArray[Any]:
    """Normally distributed values; of indices, marks of sequences and pixels such as can be."""
    shape = graph.shapes[name]
    if pixels is not None:
        return pixels.fitting(name, shape[1:]).values(rng.integers(256, size=shape))
    for node in graph.readers(name):
        kind = type(node.op).__name__
        if kind == "Embedding":
            rows = node.op.weights["weight"].shape[0]
            return rng.integers(rows, size=shape).astype(np.float32)
        if kind in ("Lstm", "Rnn") and node.inputs[1] == name:
            marks = np.ones(shape, np.float32)
            marks[0] = 0  # a pass does not go on where the one before it ended
            return marks
    return rng.normal(size=shape).astype(np.float32)
