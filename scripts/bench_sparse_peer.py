#!/usr/bin/env python3
"""The network of jobs/bench/fine-events.yaml in PyTorch, timed on images of 286 x 360 x 3 (dense: what it has for convolutions).

Prints one JSON object: median seconds of a training step and events per second. Called by scripts/bench sparse; needs torch, which is no
dependency of Banff.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn


def layer(inputs, outputs, stride, groups):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, groups=groups),
                         nn.InstanceNorm2d(outputs, eps=1e-3, affine=True), nn.LeakyReLU(0.2))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.branch = nn.Sequential(layer(channels, channels, 1, 4), layer(channels, channels, 1, 4))

    def forward(self, x):
        return self.branch(x) + x


def network():
    layers, channels = [], 3
    for i, width in enumerate((64, 128, 128, 256)):
        layers += [layer(channels, width, 2, 4 if i else 1), Residual(width)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--warm", type=int, default=3, help="steps before those that count")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--channels-last", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    net = network()
    x = torch.rand(a.batch, 3, 286, 360) * (torch.rand(a.batch, 3, 286, 360) < 0.01)
    if a.channels_last:
        x, net = x.to(memory_format=torch.channels_last), net.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (a.batch,))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.001)
    times = []
    for step in range(a.steps + a.warm):
        start = time.perf_counter()
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimiser.step()
        if step >= a.warm:
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    print(json.dumps({"batch": a.batch, "threads": a.threads, "channels_last": a.channels_last, "step_seconds": seconds,
                      "samples_per_second": a.batch / seconds, "torch": torch.__version__}, separators=(",", ":")))


if __name__ == "__main__":
    main()
