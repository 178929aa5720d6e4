#!/usr/bin/env python3
"""Trains a network from given weights on given batches in PyTorch and sets its losses beside those of a run of Banff.

Called by scripts/compare-torch, which makes the files; needs torch and numpy, which are no dependency of Banff.
Exit code 0: the losses of the first steps agree; 1: they do not.
"""
import argparse
import json
import sys

import numpy as np
import torch

import peer_networks


def banff_losses(path):
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["loss"] for row in rows if row["kind"] == "train"]


def torch_losses(net, batches, steps, lr, momentum, weight_decay):
    x = torch.from_numpy(batches["x"].transpose(0, 1, 4, 2, 3).copy())
    labels = torch.from_numpy(batches["labels"].astype(np.int64))
    if not (batches["weight"] == 1).all():
        sys.exit("compare_torch.py: a batch has padding; choose a number of samples that the batch divides")
    plain = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim == 1]
    optimiser = torch.optim.SGD([{"params": plain, "weight_decay": weight_decay}, {"params": rest}], lr=lr, momentum=momentum)
    losses = []
    net.train()
    for step in range(steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x[step]), labels[step])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def main():
    p = argparse.ArgumentParser()
    p.add_argument("network", choices=("vgg_bn", "resnet18", "resnet20"))
    p.add_argument("--weights", required=True, help="from banff export --initial")
    p.add_argument("--batches", required=True, help="from banff export --batches")
    p.add_argument("--metrics", required=True, help="the run's metrics.jsonl")
    p.add_argument("--lr", type=float, required=True)
    p.add_argument("--momentum", type=float, required=True)
    p.add_argument("--weight-decay", type=float, required=True)
    p.add_argument("--first", type=int, default=20, help="steps whose losses must agree")
    p.add_argument("--tolerance", type=float, default=1e-4, help="largest relative difference in them")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    mine = banff_losses(a.metrics)
    with np.load(a.weights) as weights, np.load(a.batches) as batches:
        channels = batches["x"].shape[-1]
        net = getattr(peer_networks, a.network)(channels=channels, classes=10)
        peer_networks.load_banff(net, dict(weights))
        theirs = torch_losses(net, batches, len(mine), a.lr, a.momentum, a.weight_decay)
    apart = [abs(m - t) / abs(t) for m, t in zip(mine, theirs)]
    print(f"{'step':>6} {'Banff':>12} {'PyTorch':>12} {'relative':>10}")
    for i in range(len(mine)):
        if i < a.first or (i + 1) % 20 == 0 or i + 1 == len(mine):
            print(f"{i + 1:6d} {mine[i]:12.7f} {theirs[i]:12.7f} {apart[i]:10.1e}")
    worst, tail = max(apart[:a.first]), max(1, len(mine) // 10)
    print(f"{a.network}: largest relative difference in the first {min(a.first, len(mine))} steps {worst:.1e} (limit {a.tolerance:.0e}); "
          f"mean loss of the last {tail} steps: Banff {np.mean(mine[-tail:]):.5f}, PyTorch {np.mean(theirs[-tail:]):.5f}")
    sys.exit(0 if worst <= a.tolerance else 1)


if __name__ == "__main__":
    main()
