#!/usr/bin/env python3
"""The networks of jobs/fashion-lipschitz in PyTorch with the public library of 1-Lipschitz layers (deel-torchlip), timed.

Prints one JSON object: median seconds of a training step (forward, loss, backward, Adam) and samples per second. Called by
scripts/bench; needs torch and deel-torchlip, which are no dependency of Banff.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
from deel import torchlip as tl


def small():
    return tl.Sequential(
        tl.SpectralConv2d(1, 16, 3, padding=1), tl.GroupSort2(), tl.ScaledL2NormPool2d(2),
        tl.SpectralConv2d(16, 32, 3, padding=1), tl.GroupSort2(), tl.ScaledL2NormPool2d(2),
        nn.Flatten(), tl.SpectralLinear(1568, 64), tl.GroupSort2(), tl.FrobeniusLinear(64, 10, bias=False))


def vgg():
    layers, channels = [], 1
    for width in (64, 128, 256):
        for _ in range(2):
            layers += [tl.SpectralConv2d(channels, width, 3, padding=1), tl.GroupSort2()]
            channels = width
        layers.append(tl.ScaledL2NormPool2d(2) if width < 256 else tl.ScaledAdaptiveAvgPool2d((1, 1)))
    return tl.Sequential(*layers, nn.Flatten(), tl.SpectralLinear(256, 512), tl.GroupSort2(),
                         tl.FrobeniusLinear(512, 10, bias=False))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("network", choices=("small", "vgg", "cnn"))
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--channels-last", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    net = {"small": small, "vgg": vgg, "cnn": cnn}[a.network]()
    # The published loss with alpha 50 in the other library's convention.
    loss_fn = nn.CrossEntropyLoss() if a.network == "cnn" else tl.SoftHKRMulticlassLoss(alpha=50 / 51, min_margin=0.2, temperature=10)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-4)
    x = torch.rand(a.batch, 1, 28, 28)
    if a.channels_last:
        x, net = x.to(memory_format=torch.channels_last), net.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (a.batch,))
    target = labels if a.network == "cnn" else nn.functional.one_hot(labels, 10).float()
    times = []
    net.train()
    for step in range(a.steps + 3):
        start = time.perf_counter()
        optimiser.zero_grad()
        loss = loss_fn(net(x), target)
        loss.backward()
        optimiser.step()
        if step >= 3:
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    print(json.dumps({"network": a.network, "batch": a.batch, "threads": a.threads, "steps": a.steps, "channels_last": a.channels_last,
                      "step_seconds": seconds, "samples_per_second": a.batch / seconds, "torch": torch.__version__},
                     separators=(",", ":")))


if __name__ == "__main__":
    main()
