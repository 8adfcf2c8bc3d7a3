"""Times what ranks do; benchmarks/ranks.py, and a test, run it under mpiexec or alone.

usage: rank_worker.py iterations NET BATCH SECONDS [COMPRESS [BITS]]
       rank_worker.py allreduce

NET is one of the package's, or vgg16; `allreduce` times several lengths. Rank 0 prints a line of
JSON. The net trains on made-up data that cost next to nothing.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.distributed.launcher import under_mpi
from ul2q.distributed.placement import place_ranks
from ul2q.distributed.world import World

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

LENGTHS = [4, 1024, 16384, 262144, 1048576, 4194304]  # bytes
_VGG16 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]


def read_net(name: str, batch: int) -> caffe_pb2.NetParameter:
    """The net that trains, with data of a DummyData layer."""
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    from ul2q import prototxt_path

    net = caffe_pb2.NetParameter(name=name)
    if name == "vgg16":
        trained, image, classes = _vgg16(), [3, 224, 224], 1000
    else:
        path = prototxt_path(f"{name}/train_test_float.prototxt")
        trained = text_format.Parse(path.read_text(encoding="utf-8"), caffe_pb2.NetParameter())
        path = prototxt_path(f"{name}/deploy_float.prototxt")
        deploy = text_format.Parse(path.read_text(encoding="utf-8"), caffe_pb2.NetParameter())
        image, classes = list(deploy.layer[0].input_param.shape[0].dim)[1:], 10
    data = net.layer.add(name="data", type="DummyData", top=["data", "label"])
    for shape in ([batch, *image], [batch]):
        data.dummy_data_param.shape.add(dim=shape)
    data.dummy_data_param.data_filler.add(type="constant", value=0.5)
    data.dummy_data_param.data_filler.add(type="constant", value=classes - 1)
    net.layer.extend(layer for layer in trained.layer if layer.type not in {"Data", "Accuracy"})
    return net


def _vgg16() -> Any:
    """Configuration D of Simonyan and Zisserman, 2015."""
    import caffe
    from caffe import layers as L  # noqa: N812 - as everywhere

    filler = {"type": "msra"}
    net = caffe.NetSpec()
    net.data, net.label = L.Input(ntop=2, shape=[{"dim": [1, 3, 224, 224]}, {"dim": [1]}])
    top = net.data
    for channels in _VGG16:
        if channels:
            top = L.Convolution(
                top, num_output=channels, kernel_size=3, pad=1, weight_filler=filler
            )
            top = L.ReLU(top, in_place=True)
        else:
            top = L.Pooling(top, kernel_size=2, stride=2)
    for outputs in (4096, 4096):
        top = L.InnerProduct(top, num_output=outputs, weight_filler=filler)
        top = L.Dropout(L.ReLU(top, in_place=True), in_place=True)
    net.score = L.InnerProduct(top, num_output=1000, weight_filler=filler)
    net.loss = L.SoftmaxWithLoss(net.score, net.label)
    param = net.to_proto()
    del param.layer[0]
    return param


def iterations(
    world: World | None, name: str, batch: int, seconds: float, compress: list[str]
) -> Any:
    """The seconds of an iteration, median and least, and those that the processor computes.

    The latter are what an iteration takes on one thread where nobody else wants the core; `forward`
    is their share of the forward pass.
    """
    import caffe
    from caffe.proto import caffe_pb2

    from ul2q.distributed.leader import become
    from ul2q.distributed.rank import Rank
    from ul2q.distributed.scale import traffic
    from ul2q.distributed.train import make_exchange

    if world is not None:
        become(world)
    param = caffe_pb2.SolverParameter(
        net_param=read_net(name, batch),
        base_lr=0.0001,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0001,
        random_seed=1,
        snapshot_prefix="none",
    )
    solver = caffe.get_solver(param)
    rank = None
    if world is not None:
        bits = int(compress[1]) if compress[1:] else None
        exchange = make_exchange(world, compress[0] if compress else None, bits)
        rank = Rank(world, solver, param, exchange)
        rank.join(None)

    def step() -> float:
        began = time.perf_counter()
        if rank is None:
            solver.step(1)
        else:
            rank.step(None)
        return time.perf_counter() - began

    first = max(step(), step())
    if world is not None:  # as many iterations on each rank
        first = float(world.numbers_of_all(first).max())
    times = [step() for _ in range(max(3, int(seconds / first)))]
    computed, forward = [], []
    for _ in range(3):
        began = time.process_time()
        solver.net.forward()
        forward.append(time.process_time() - began)
        solver.step(1) if rank is None else rank.step(None)
        computed.append(time.process_time() - began - forward[-1])
    found = traffic(solver.net)
    return {
        "iteration": statistics.median(times),
        "least": min(times),
        "computed": min(computed),
        "forward": min(forward) / min(computed),
        "large": list(found.large),
        "small": found.small,
    }


def allreduce(world: World) -> Any:
    """The median seconds of an Allreduce as the ranks do it, for each of LENGTHS."""
    found = []
    for length in LENGTHS:
        array = np.zeros(length // 4, np.float32)
        times = []
        for _ in range(60 if length < 1 << 20 else 20):
            began = time.perf_counter()
            world.gradients.Iallreduce(world.mpi.IN_PLACE, array).Wait()
            times.append(time.perf_counter() - began)
        found.append(statistics.median(times[5:]))
    return {"lengths": LENGTHS, "seconds": found}


def main() -> None:
    """Do what is asked for."""
    world = World.connect() if under_mpi() else None
    if world is not None:
        place_ranks(world)
    if sys.argv[1] == "allreduce":
        assert world is not None
        found = allreduce(world)
    else:
        name, batch, seconds, *compress = sys.argv[2:]
        found = iterations(world, name, int(batch), float(seconds), compress)
    if world is None or world.is_first:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
