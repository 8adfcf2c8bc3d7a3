"""Times PyTorch's DistributedDataParallel over gloo; benchmarks/ranks.py runs one for each rank.

usage: ddp_worker.py NET BATCH SECONDS

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT stand in the environment.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch_worker import NETS, Layers


def main() -> None:
    """Train on made-up data."""
    name, batch, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    torch.manual_seed(1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    make, shape = NETS[name]
    net: nn.Module = make(Layers(0))
    ranks = int(os.environ["WORLD_SIZE"])
    if ranks > 1:
        dist.init_process_group("gloo")
        net = nn.parallel.DistributedDataParallel(net)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0001)
    loss = nn.CrossEntropyLoss()
    data, labels = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
    net.train()

    def step() -> float:
        began = time.perf_counter()
        optimiser.zero_grad()
        loss(net(data), labels).backward()
        optimiser.step()
        return time.perf_counter() - began

    first = torch.tensor(max(step(), step()))
    if ranks > 1:
        dist.all_reduce(first, dist.ReduceOp.MAX)  # as many iterations on each
    times = [step() for _ in range(max(3, int(seconds / float(first))))]
    if os.environ["RANK"] == "0":
        print(json.dumps({"iteration": statistics.median(times)}), flush=True)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
