"""Where QuantizedActivation layers go, in long nets."""

from __future__ import annotations

import time

from caffe.proto import caffe_pb2

from ul2q.nets.activation_points import plan_activations
from ul2q.nets.blob_flow import flows


def chain(length: int) -> caffe_pb2.NetParameter:
    net = caffe_pb2.NetParameter(input=["0"])
    for i in range(length):
        net.layer.add(name=f"l{i}", type="InnerProduct", bottom=[str(i)], top=[str(i + 1)])
    return net


def planning(length: int) -> float:
    """Seconds of processor time, the least of three."""
    net = chain(length)
    found = flows(net)
    wanted = [(i, 0) for i in range(length)]
    times = []
    for _ in range(3):
        begin = time.process_time()
        plan = plan_activations(net, found, wanted)
        times.append(time.process_time() - begin)
        assert len(plan.points) == length - 1  # the net's input stays float
    return min(times)


def test_time_grows_with_the_layers_and_not_with_their_square() -> None:
    assert planning(1600) < 3 * 8 * planning(200)
