#!/usr/bin/env python3
"""Deletion, insertion and MuFidelity of a run's saliency maps, computed apart from banff: scores by ONNX Runtime on the exported
network, everything else in NumPy. Fails if they differ from RUN/explain/metrics.json by more than 1e-3 (f32 scores that are all but
equal may swap ranks). Needs numpy, scipy, h5py, onnxruntime. Default settings, square pictures of one channel.
  banff explain RUN --method saliency --metrics all --option samples=N --option metric_samples=N
  banff export RUN --out net.onnx;  banff export RUN --logits N --out pictures.npz
Usage: metrics_onnx.py RUN net.onnx pictures.npz"""
import json
import sys

import h5py
import numpy as np
import onnxruntime

import metrics_reference as ref


def areas(score, x, order, steps=10):
    """Of the deletion and the insertion curve."""
    out = []
    for insertion in (False, True):
        rows = np.zeros((steps + 1, x.size), np.float32) if insertion else np.repeat(x[None], steps + 1, 0)
        for k in range(steps + 1):
            chosen = order[: k * x.size // steps]
            rows[k, chosen] = x[chosen] if insertion else 0
        s = score(rows)
        out.append((s[0] / 2 + s[1:-1].sum() + s[-1] / 2) / steps)
    return out


def mufidelity(score, x, m, sample, noisy, masks, grid, drop):
    side = int(np.sqrt(x.size))
    cell = (2 * np.arange(side) + 1) * grid // (2 * side)
    rows, attribution = [], []
    for k in range(masks):
        board = (ref.uniform(ref.CELLS, sample, k, grid * grid) < np.float32(drop)).reshape(grid, grid)
        gone = board[cell][:, cell].reshape(-1)
        rows.append(np.where(gone, ref.uniform(ref.BASELINE, sample, k, x.size) if noisy else 0, x))
        attribution.append(m[gone].sum())
    return ref.rho(-score(np.array(rows, np.float32)), attribution)


def main(run, network, pictures):
    found = json.load(open(f"{run}/explain/metrics.json"))
    ref.SEED, settings = found["seed"], found["settings"]
    x = np.load(pictures)["pixels"].astype(np.float32)
    n, h, w, _ = x.shape
    x = x.reshape(n, -1)
    maps = h5py.File(f"{run}/explain/maps.h5")
    names = []
    maps.visit(lambda name: names.append(name) if "saliency" in name else None)
    maps = np.array(maps[names[0]]).reshape(len(maps[names[0]]), -1).astype(np.float64)
    session = onnxruntime.InferenceSession(network)
    if not n == len(maps) == found["samples"]:
        sys.exit(f"{n} pictures, {len(maps)} maps, metrics of {found['samples']}: must be the same")

    def logits(rows):
        return session.run(None, {session.get_inputs()[0].name: rows.reshape(-1, 1, h, w)})[0]

    ours = []
    for i, y in enumerate(logits(x).argmax(1)):
        def score(rows):
            return logits(rows)[:, y].astype(np.float64)

        masks = [mufidelity(score, x[i], maps[i], i, noisy, settings["masks"], settings["grid"], settings["drop"])
                 for noisy in (False, True)]
        ours.append(areas(score, x[i], np.argsort(-maps[i], kind="stable")) + masks)
    worst = 0
    for name, mine in zip(("deletion", "insertion", "mufidelity_zero", "mufidelity_uniform"), np.mean(ours, 0)):
        theirs = found["methods"]["saliency"][name]["mean"]
        worst = max(worst, abs(mine - theirs) / max(1, abs(theirs)))
        print(f"{name:20} banff {theirs:11.6f}  ONNX Runtime and NumPy {mine:11.6f}")
    return int(worst > 1e-3)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
