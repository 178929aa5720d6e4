#!/usr/bin/env python3
"""Banff's benchmark networks in PyTorch, the 1-Lipschitz ones with the public library of such layers (deel-torchlip), timed.

Prints one JSON object: median seconds of a training step (forward, loss, backward, update), samples per second, and the memory that the
process (with --ddp: all of them together) had at most. Called by scripts/bench; needs torch and, for 1-Lipschitz networks, deel-torchlip,
which are no dependency of Banff.
"""
import argparse
import json
import os
import resource
import statistics
import tempfile
import time

import torch
import torch.nn as nn

import peer_networks


# ---- 1-Lipschitz networks ----

unconstrained = False  # --unconstrained

class Unconstrained:
    """The same network without constraints: the library's layers, but for convolutions and dense ones."""

    SpectralConv2d, SpectralLinear, FrobeniusLinear, Sequential = nn.Conv2d, nn.Linear, nn.Linear, nn.Sequential

    def __getattr__(self, name):
        from deel import torchlip
        return getattr(torchlip, name)


def lip_layers():
    if unconstrained:
        return Unconstrained()
    from deel import torchlip
    return torchlip


def small():
    tl = lip_layers()
    return tl.Sequential(
        tl.SpectralConv2d(1, 16, 3, padding=1), tl.GroupSort2(), tl.ScaledL2NormPool2d(2),
        tl.SpectralConv2d(16, 32, 3, padding=1), tl.GroupSort2(), tl.ScaledL2NormPool2d(2),
        nn.Flatten(), tl.SpectralLinear(1568, 64), tl.GroupSort2(), tl.FrobeniusLinear(64, 10, bias=False))


def vgg():
    tl = lip_layers()
    layers, channels = [], 1
    for width in (64, 128, 256):
        for _ in range(2):
            layers += [tl.SpectralConv2d(channels, width, 3, padding=1), tl.GroupSort2()]
            channels = width
        layers.append(tl.ScaledL2NormPool2d(2) if width < 256 else tl.ScaledAdaptiveAvgPool2d((1, 1)))
    return tl.Sequential(*layers, nn.Flatten(), tl.SpectralLinear(256, 512), tl.GroupSort2(),
                         tl.FrobeniusLinear(512, 10, bias=False))


def lip_vgg16():
    tl = lip_layers()
    layers, channels = [], 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [tl.SpectralConv2d(channels, width, 3, padding=1), tl.GroupSort2()]
            channels = width
        layers.append(tl.ScaledL2NormPool2d(2))
    return tl.Sequential(*layers, tl.ScaledAdaptiveAvgPool2d((1, 1)), nn.Flatten(), tl.SpectralLinear(512, 512), tl.GroupSort2(),
                         tl.FrobeniusLinear(512, 10, bias=False))


class LipBlock(nn.Module):
    """Half the sum of a bottleneck of 1-Lipschitz layers and its shortcut; pictures are halved by pooling."""

    def __init__(self, inputs, width, halve):
        super().__init__()
        tl = lip_layers()

        def conv(channels, out, kernel):
            return [tl.SpectralConv2d(channels, out, kernel, padding=kernel // 2, bias=False), tl.BatchCentering(out)]

        pool = [tl.ScaledL2NormPool2d(2)] if halve else []
        self.branch = nn.Sequential(*conv(inputs, width, 1), tl.GroupSort2(), *pool, *conv(width, width, 3), tl.GroupSort2(),
                                    *conv(width, 4 * width, 1))
        self.shortcut = nn.Sequential(*pool, *conv(inputs, 4 * width, 1)) if halve or inputs != 4 * width else nn.Identity()
        self.sort = tl.GroupSort2()

    def forward(self, x):
        return self.sort(0.5 * (self.branch(x) + self.shortcut(x)))


def lip_resnet50():
    tl = lip_layers()
    layers = [tl.SpectralConv2d(3, 64, 7, stride=2, padding=3, bias=False), tl.BatchCentering(64), tl.GroupSort2(), tl.ScaledL2NormPool2d(2)]
    inputs, width = 64, 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for i in range(count):
            layers.append(LipBlock(inputs, width, stage > 0 and i == 0))
            inputs = 4 * width
        width *= 2
    return nn.Sequential(*layers, tl.ScaledAdaptiveAvgPool2d((1, 1)), nn.Flatten(), tl.FrobeniusLinear(inputs, 10, bias=False))


# ---- timing ----

LIP = {"small": small, "vgg": vgg, "lip_vgg16": lip_vgg16, "lip_resnet50": lip_resnet50}
PLAIN = {"cnn": peer_networks.cnn, "resnet50": lambda: peer_networks.resnet50(3, 10)}
GREY = ("small", "vgg", "cnn")


def loss_of(network):
    if network in PLAIN:
        return nn.CrossEntropyLoss()
    tl = lip_layers()
    # The published losses with alpha in the other library's convention.
    if network in GREY:
        return tl.SoftHKRMulticlassLoss(alpha=50 / 51, min_margin=0.2, temperature=10)
    return tl.SoftHKRMulticlassLoss(alpha=500 / 501, min_margin=0.1, temperature=200)


def time_steps(a, batch, parallel):
    torch.manual_seed(1)
    net = (LIP | PLAIN)[a.network]()
    x = torch.rand(batch, 1 if a.network in GREY else 3, a.size, a.size)
    if a.channels_last:
        x, net = x.to(memory_format=torch.channels_last), net.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    target = labels if a.network in PLAIN else nn.functional.one_hot(labels, 10).float()
    loss_fn = loss_of(a.network)
    sgd = a.network == "resnet50"
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-5) if sgd else \
        torch.optim.Adam(net.parameters(), lr=5e-4)
    if parallel:
        net = nn.parallel.DistributedDataParallel(net)
    model = torch.compile(net) if a.compile else net
    times = []
    net.train()
    for step in range(a.steps + a.warm):
        start = time.perf_counter()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            out = model(x)
        loss = loss_fn(out.float(), target)
        loss.backward()
        optimiser.step()
        if step >= a.warm:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def resident_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ddp_worker(rank, a, port_file, results):
    torch.set_num_threads(max(1, a.threads // a.ddp))
    torch.distributed.init_process_group("gloo", init_method=f"file://{port_file}", rank=rank, world_size=a.ddp)
    results.put((time_steps(a, a.batch // a.ddp, True), resident_mib()))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def run_ddp(a):
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        workers = [context.Process(target=ddp_worker, args=(r, a, f"{folder}/meet", results)) for r in range(a.ddp)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    if any(w.exitcode != 0 for w in workers):
        raise SystemExit("bench_peer.py: a process of DDP failed")
    got = [results.get() for _ in workers]
    return max(seconds for seconds, _ in got), sum(mib for _, mib in got)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("network", choices=sorted(LIP | PLAIN))
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warm", type=int, default=3, help="steps before those that count")
    p.add_argument("--threads", type=int, default=2, help="of all processes together")
    p.add_argument("--size", type=int, default=28, help="height and width of a picture")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--bf16", action="store_true", help="autocast")
    p.add_argument("--compile", action="store_true", help="torch.compile")
    p.add_argument("--unconstrained", action="store_true", help="plain convolutions and dense layers in a 1-Lipschitz network")
    p.add_argument("--ddp", type=int, default=0, help="so many processes with DistributedDataParallel over gloo")
    a = p.parse_args()
    if a.unconstrained and a.ddp:
        p.error("--unconstrained is for one process")
    global unconstrained
    unconstrained = a.unconstrained
    torch.set_num_threads(a.threads)
    if a.ddp:
        seconds, mib = run_ddp(a)
    else:
        seconds = time_steps(a, a.batch, False)
        mib = resident_mib()
    print(json.dumps({"network": a.network, "batch": a.batch, "threads": a.threads, "processes": max(1, a.ddp), "steps": a.steps,
                      "channels_last": a.channels_last, "bf16": a.bf16, "compile": a.compile, "step_seconds": seconds,
                      "samples_per_second": a.batch / seconds, "resident_mib": round(mib, 1), "torch": torch.__version__},
                     separators=(",", ":")))


if __name__ == "__main__":
    main()
