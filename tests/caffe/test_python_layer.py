"""Layers written in Python: `type: "Python"`."""

# The arguments of a layer's methods are Caffe's, whether it uses them or not.
# ruff: noqa: ARG002

from __future__ import annotations

import gc
import json
import re
import sys
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.small_nets import INPUT, TARGETS, solver_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def python_layer(
    name: str, layer: str, bottom: str = "x", param_str: str = "", extra: str = ""
) -> str:
    bottoms = "".join(f'bottom: "{blob}" ' for blob in bottom.split())
    return (
        f'layer {{ name: "{name}" type: "Python" {bottoms} top: "{name}" {extra}\n'
        f'  python_param {{ module: "{__name__}" layer: "{layer}" '
        f"param_str: {json.dumps(param_str)} }} }}\n"
    )


IP = """layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
"""


def make_net(*layers: str, phase: int = caffe.TRAIN, head: str = "", **options: Any) -> Any:
    return caffe.Net.from_proto(head + INPUT + "".join(layers), phase, **options)


def make_solver(tmp_path: Path, *layers: str, **fields: object) -> Any:
    net = INPUT + "".join(layers)
    return caffe.get_solver(solver_message(tmp_path, net, base_lr=0.1, max_iter=5, **fields))


class Same(caffe.Layer):
    """What the layers below have in common."""

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data


class Scale(Same):
    """top = factor · bottom, where param_str is the factor."""

    def setup(self, bottom: Any, top: Any) -> None:
        assert len(bottom) == len(top) == 1
        self.factor = float(self.param_str)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        assert propagate_down == [True]
        bottom[0].diff[...] = self.factor * top[0].diff


class Bias(Same):
    """top = bottom + b, with b a parameter that is learned."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.blobs.add_blob(bottom[0].shape[1])
        self.blobs[0].data[...] = 1

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data + self.blobs[0].data

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        self.blobs[0].diff[...] += top[0].diff.sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff


class EuclideanLoss(caffe.Layer):
    """As Caffe's own."""

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(1)

    def forward(self, bottom: Any, top: Any) -> None:
        self.difference = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / len(self.difference) / 2

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        for i, sign in enumerate((1, -1)):
            if propagate_down[i]:
                bottom[i].diff[...] = sign * top[0].diff * self.difference / len(self.difference)


# What layers compute


def test_layers_in_python_compute_both_ways() -> None:
    net = make_net(
        python_layer("a", "Scale", param_str="10"),
        python_layer("b", "Scale", bottom="a", param_str="-0.5"),
        head="force_backward: true\n",
    )
    x = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    out = net.forward(x=x, blobs=["a"])
    np.testing.assert_allclose(out["a"], 10 * x, rtol=1e-6)
    np.testing.assert_allclose(out["b"], -5 * x, rtol=1e-6)
    diff = np.random.default_rng(2).normal(size=(4, 3))
    np.testing.assert_allclose(net.backward(b=diff)["x"], -5 * diff, rtol=1e-5)


def test_a_reshape_reaches_layers_in_python() -> None:
    net = make_net(python_layer("a", "Scale", param_str="2"))
    net.blobs["x"].reshape(2, 5, 1)
    net.reshape()
    assert net.blobs["a"].shape == [2, 5, 1]
    net.blobs["x"].reshape(7)
    assert net.forward()["a"].shape == (7,)


def test_parameters_of_a_layer_in_python_are_learned_saved_and_shared(tmp_path: Path) -> None:
    layers = (python_layer("b", "Bias"), IP.replace('bottom: "x"', 'bottom: "b"'), TARGETS)
    loss = python_layer("loss", "EuclideanLoss", bottom="y t", extra="loss_weight: 1")
    reference = loss[: loss.index("python_param")].replace("Python", "EuclideanLoss") + "}\n"
    reference = reference.replace("loss_weight: 1", "")
    ours, caffes = (make_solver(tmp_path, *layers, last) for last in (loss, reference))
    caffes.net.copy_from(save(ours.net, tmp_path))
    rng = np.random.default_rng(3)
    feed = {"x": rng.normal(size=(4, 3)), "t": rng.normal(size=(4, 2))}
    for solver in (ours, caffes):
        for name, value in feed.items():
            solver.net.blobs[name].data[...] = value
        solver.step(5)
    for name in ("b", "ip"):
        np.testing.assert_allclose(
            ours.net.params[name][0].data, caffes.net.params[name][0].data, rtol=1e-4
        )
    assert not np.allclose(ours.net.params["b"][0].data, 1)
    other = make_net(*layers)
    other.share_with(ours.net)
    ours.net.params["b"][0].data[...] = 6
    assert (other.params["b"][0].data == 6).all()


def save(net: Any, folder: Path) -> Path:
    net.save(folder / "w.caffemodel")
    return folder / "w.caffemodel"


class Look(Same):
    """Remembers what it was told."""

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.made_as = self.param.name

    def setup(self, bottom: Any, top: Any) -> None:
        self.seen = (self.param_str, self.phase, self.type)


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_what_a_layer_is_told(phase: int) -> None:
    net = make_net(python_layer("look", "Look", param_str="{'ä': 1}"), phase=phase)
    layer = net.layers[1]
    assert type(layer).__name__ == "Look"
    assert layer is net.layers[1] is net.layer_dict["look"]
    assert layer.seen == ("{'ä': 1}", phase, "Python")
    assert layer.made_as == "look"
    assert layer.param.python_param.layer == "Look"
    assert isinstance(layer.param, caffe_pb2.LayerParameter)
    layer.anything = 3
    assert net.layers[1].anything == 3


class OwnParam(Look):
    """Uses names of the base class for its own."""

    def setup(self, bottom: Any, top: Any) -> None:
        super().setup(bottom, top)
        self.param = json.loads(self.param_str)  # type: ignore[misc]
        self.param_str = "own"


def test_a_layer_may_use_the_names_of_the_base_class_for_its_own() -> None:
    layer = make_net(python_layer("own", "OwnParam", param_str="[1]")).layers[1]
    assert (layer.param, layer.param_str) == ([1], "own")


def test_layers_in_python_are_known() -> None:
    assert "Python" in caffe.layer_type_list()
    assert make_net(IP).layers[1].type == "InnerProduct"


def test_net_spec_makes_layers_in_python() -> None:
    spec = caffe.NetSpec()
    spec.x = caffe.layers.Input(shape={"dim": [4, 3]})
    spec.y = caffe.layers.Python(spec.x, module=__name__, layer="Scale", param_str="3")
    net = caffe.Net.from_proto(spec.to_proto(), caffe.TEST)
    assert (net.forward(x=np.ones((4, 3)))["y"] == 3).all()


# Threads


def test_layers_in_python_do_not_train_in_parallel_threads() -> None:
    layer = python_layer("a", "Scale", param_str="2")
    try:
        caffe.set_solver_count(2)
        with pytest.raises(caffe.CaffeError, match=r"'a' .*cannot train in parallel threads"):
            make_net(layer)
        make_net(layer, phase=caffe.TEST)
        caffe.set_multiprocess(True)
        make_net(layer)
    finally:
        caffe.set_solver_count(1)
        caffe.set_multiprocess(False)
    make_net(layer)


def test_layers_in_python_run_in_threads() -> None:
    text = python_layer("hoard", "Hoarder")
    shape = (8000, 3)

    def run(value: int) -> None:
        for _ in range(20):
            net = make_net(text)
            net.blobs["x"].reshape(*shape)
            assert (net.forward(x=np.full(shape, value))["hoard"] == value).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))


# What goes wrong in a layer


class Own(Exception):  # noqa: N818
    """An exception of a layer's own."""


class Failing(Same):
    """Raises in the method that param_str names, the second time if it ends in 2."""

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        self.calls: dict[str, int] = {}
        if type(self).fail_in_constructor:
            raise Own("from __init__")

    fail_in_constructor = False

    def _enter(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.param_str == method + ("2" if self.calls[method] == 2 else ""):
            raise Own(f"from {method}")

    def setup(self, bottom: Any, top: Any) -> None:
        self._enter("setup")

    def reshape(self, bottom: Any, top: Any) -> None:
        self._enter("reshape")
        super().reshape(bottom, top)

    def forward(self, bottom: Any, top: Any) -> None:
        self._enter("forward")
        super().forward(bottom, top)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        self._enter("backward")
        bottom[0].diff[...] = top[0].diff


def check_own_error(raised: pytest.ExceptionInfo[Own], method: str) -> None:
    assert str(raised.value) == f"from {method}"
    frames = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert method in frames
    notes = " ".join(getattr(raised.value, "__notes__", ["'fail'"]))
    assert "'fail'" in notes


@pytest.mark.parametrize("method", ["setup", "reshape"])
def test_an_exception_while_the_net_is_made(method: str) -> None:
    with pytest.raises(Own) as raised:
        make_net(python_layer("fail", "Failing", param_str=method))
    check_own_error(raised, method)
    make_net(python_layer("fail", "Failing")).forward()


def test_an_exception_in_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "fail_in_constructor", True)
    with pytest.raises(Own) as raised:
        make_net(python_layer("fail", "Failing"))
    check_own_error(raised, "__init__")


@pytest.mark.parametrize("method", ["reshape2", "forward", "backward"])
def test_an_exception_while_the_net_runs(method: str) -> None:
    net = make_net(python_layer("fail", "Failing", param_str=method), head="force_backward: true\n")

    def run() -> None:
        net.forward()
        net.backward()

    with pytest.raises(Own) as raised:
        run()
    check_own_error(raised, method.rstrip("2"))
    net.layers[1].param_str = ""
    run()


def test_an_exception_while_a_solver_trains_or_tests(tmp_path: Path) -> None:
    loss = TARGETS + 'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" }\n'
    fail = python_layer("fail", "Failing")
    layers = (fail, IP.replace('bottom: "x"', 'bottom: "fail"'), loss)
    solver = make_solver(tmp_path, *layers, test_iter=[1], test_interval=2)
    for net in (solver.net, solver.test_nets[0]):
        net.layers[1].param_str = "forward"
        for run in (lambda: solver.step(4), solver.solve):
            net.layers[1].calls.clear()
            with pytest.raises(Own) as raised:
                run()
            check_own_error(raised, "forward")
        net.layers[1].param_str = ""
        solver.step(1)
    with pytest.raises(Own) as raised:
        make_solver(tmp_path, python_layer("fail", "Failing", param_str="setup"))
    check_own_error(raised, "setup")


# What is no layer


class Unshaped(caffe.Layer):
    """Does not shape its top."""

    def reshape(self, bottom: Any, top: Any) -> None:
        pass


class NoReshape(caffe.Layer):
    """Lacks the method that each layer needs."""


class NoForward(caffe.Layer):
    """Lacks the other one."""

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(1)


class NoInit(Same):
    """Forgets the base class."""

    def __init__(self, param: Any) -> None:
        pass


class NoLayer:
    """No subclass of caffe.Layer."""


NO_CLASS = Same.reshape


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        ("Unshaped", caffe.CaffeError, r"did not shape top\[0\]"),
        ("NoReshape", NotImplementedError, "has no method reshape"),
        ("NoForward", NotImplementedError, "has no method forward"),
        ("NoInit", TypeError, r"__init__\(\) must be called"),
        ("NoLayer", TypeError, "must be a subclass of caffe.Layer"),
        ("NO_CLASS", TypeError, "must be a subclass of caffe.Layer"),
        ("Nowhere", AttributeError, "has no class 'Nowhere'"),
        ("", caffe.CaffeError, "must name a module and a layer"),
    ],
)
def test_what_is_no_layer_is_refused(layer: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        make_net(python_layer("mine", layer)).forward()
    told = str(raised.value) + " ".join(getattr(raised.value, "__notes__", []))
    by_note_alone = layer == "NoInit" and sys.version_info < (3, 11)
    assert "'mine'" in told or by_note_alone


def test_a_module_that_is_not_there() -> None:
    text = python_layer("mine", "L").replace(__name__, "no_such_module")
    with pytest.raises(ImportError, match=r"Layer 'mine': cannot import .* 'no_such_module'"):
        make_net(text)


@pytest.mark.parametrize("code", ["1 / 0", "this is no Python"])
def test_a_module_that_does_not_import(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_layer.py").write_text(code, encoding="utf-8")
    text = python_layer("mine", "L").replace(__name__, "broken_layer")
    with pytest.raises((ZeroDivisionError, SyntaxError)) as raised:
        make_net(text)
    assert "broken_layer.py" in "".join(traceback.format_exception(raised.value))


def test_a_layer_without_backward_has_no_gradient() -> None:
    net = make_net(python_layer("same", "Same"), head="force_backward: true\n")
    net.forward()
    with pytest.raises(NotImplementedError, match=r"'same' .*has no method backward"):
        net.backward()


# Lifetimes


class Hoarder(Same):
    """Keeps all it gets."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.blobs.add_blob(2)
        self.kept = [*bottom, *top]

    def forward(self, bottom: Any, top: Any) -> None:
        super().forward(bottom, top)
        self.views = [blob.data for blob in (*bottom, *top)]


def test_blobs_that_a_layer_keeps_are_gone_with_the_net() -> None:
    net = make_net(python_layer("hoard", "Hoarder"))
    layer = net.layers[1]
    net.forward(x=np.full((4, 3), 7))
    assert (layer.kept[0].data == 7).all()
    assert layer.kept[0] == net.blobs["x"]
    assert len(layer.blobs) == 1
    parameters = layer.blobs
    del net
    gc.collect()
    uses: list[Callable[[], object]] = [
        lambda: layer.kept[0].data,
        lambda: layer.kept[1].diff,
        lambda: layer.kept[0].shape,
        lambda: layer.kept[0].reshape(2),
        lambda: layer.type,
        lambda: layer.blobs[0],
        lambda: len(parameters),
        lambda: parameters.add_blob(1),
    ]
    for use in uses:
        with pytest.raises(ReferenceError, match="no longer exists"):
            use()
    assert (layer.views[0] == 7).all()  # memory of its own


def test_a_layer_goes_with_its_net() -> None:
    net = make_net(python_layer("hoard", "Hoarder"))
    net.forward()
    alive = weakref.ref(net.layers[1])
    del net
    gc.collect()
    assert alive() is None


def test_a_layer_goes_when_its_net_cannot_be_made() -> None:
    before = sum(isinstance(o, Hoarder) for o in gc.get_objects())
    for _ in range(10):
        with pytest.raises(caffe.CaffeError):
            make_net(python_layer("hoard", "Hoarder"), IP.replace('"x"', '"nothing"'))
    gc.collect()
    assert sum(isinstance(o, Hoarder) for o in gc.get_objects()) == before


def test_a_layer_keeps_its_memory_data() -> None:
    text = (
        'layer { name: "x" type: "MemoryData" top: "x" top: "label"\n'
        "  memory_data_param { batch_size: 2 channels: 1 height: 100 width: 100 } }\n"
    )
    net: Any = caffe.Net.from_proto(text + python_layer("hoard", "Hoarder"), caffe.TEST)
    net.set_input_arrays(np.full((2, 1, 100, 100), 3, np.float32), np.zeros(2, np.float32))
    net.forward()
    view, blob = net.layers[1].views[0], net.blobs["x"]
    net.layers[1].views.clear()  # or the layer would keep its net
    del net
    gc.collect()
    others = [np.full((2, 1, 100, 100), 7, np.float32) for _ in range(50)]  # take freed memory
    assert (view == 3).all()
    assert (blob.data == 3).all()
    assert len(others) == 50


# Blobs of a layer


def test_blobs_of_a_layer_are_a_list_that_follows_it() -> None:
    net = make_net(IP, python_layer("b", "Bias"))
    for layer, count in ((net.layer_dict["ip"], 2), (net.layer_dict["b"], 1)):
        blobs = layer.blobs
        assert len(blobs) == count == len(list(blobs)) == len(blobs[:])
        assert blobs[-1] == blobs[count - 1] == list(blobs)[-1]
        assert blobs[0] in blobs
        assert net.blobs["x"] not in blobs
        assert 3 not in blobs
        assert len({blobs[0], layer.blobs[0]}) == 1
        for index in (count, -count - 1):
            with pytest.raises(IndexError):
                blobs[index]
        blobs.add_blob(2, 5)
        assert len(layer.blobs) == count + 1
        assert blobs[count].shape == [2, 5]
        assert not blobs[count].data.any()
        blobs.append(net.blobs["x"])
        blobs.extend(blobs[:1])
        assert blobs[-2] == net.blobs["x"]
        assert blobs[-1] == blobs[0]
        with pytest.raises(caffe.CaffeError):
            blobs.add_blob(-1)
        with pytest.raises(TypeError):
            blobs.append(3)
        assert len(blobs) == count + 3
    weights = net.layer_dict["ip"].blobs
    with pytest.raises(TypeError, match="InnerProduct needs its blobs"):
        del weights[0]
    with pytest.raises(ValueError, match="shape"):
        weights[0] = net.blobs["x"]
    weights[0] = make_net(IP).params["ip"][0]
    with pytest.raises(caffe.CaffeError, match="5 parameter blobs; it was made with 2"):
        net.forward()
    del net.layer_dict["b"].blobs[-1]
    assert len(net.layer_dict["b"].blobs) == 3


def test_layers_of_caffes_own_can_be_called() -> None:
    net = make_net(IP)
    layer, x, y = net.layers[1], net.blobs["x"], net.blobs["y"]
    x.reshape(6, 3)
    layer.reshape([x], [y])
    assert y.shape == [6, 2]
    with pytest.raises(caffe.CaffeError, match="shape 6 x 3; the layer was made with 4 x 3"):
        layer.setup([x], [y])
    x.reshape(4, 3)
    layer.setup([x], [y])
    with pytest.raises(caffe.CaffeError, match="given 0 bottom blobs; it was made with 1"):
        layer.reshape([], [y])
    with pytest.raises(caffe.CaffeError, match=re.escape("takes 1 bottom")):
        layer.setup([], [y])


def test_a_layer_shows_its_class() -> None:
    net = make_net(python_layer("a", "Scale", param_str="2"))
    assert repr(net.layer_dict["a"]) == "<caffe.Layer Scale, Python>"
