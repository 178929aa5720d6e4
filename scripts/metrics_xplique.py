#!/usr/bin/env python3
"""Explanation metrics by the public library xplique on the network of metrics_reference.py, with the same masks and noise: prints
both figures and their difference, and fails if they differ by more than 1e-4. Needs numpy, scipy, tensorflow-cpu, tf_keras, xplique.
The library draws one set of masks for all pictures of a batch and noise of its own, so pictures are passed one by one and its
random numbers are replaced by ours. Its `l2` stability is the squared distance: the distance is handed to it.
Usage: metrics_xplique.py"""
import sys

import numpy as np
import tensorflow as tf
from xplique.metrics import AverageStability, Deletion, Insertion, MuFidelity

import metrics_reference as ref

tf.config.run_functions_eagerly(True)


class Network(tf.keras.Model):
    def call(self, x):
        flat = tf.cast(tf.reshape(x, (-1, ref.SIZE)), tf.float64)
        hidden = tf.tanh(tf.linalg.matmul(flat, ref.A, transpose_b=True) + ref.a)
        return tf.cast(tf.linalg.matmul(hidden, ref.B, transpose_b=True) + ref.b, tf.float32)


network = Network()
worst = 0.0


def compare(name, theirs, ours):
    global worst
    worst = max(worst, abs(theirs - ours))
    print(f"{name:40} xplique {theirs:12.7f}  definition {ours:12.7f}  difference {theirs - ours:9.1e}")


def saliency(pictures, targets):
    return np.array([ref.saliency(np.asarray(p).reshape(-1), int(np.argmax(t))).reshape(ref.H, ref.W)
                     for p, t in zip(pictures, targets)])


def mufidelity(x, target, m, i, noisy):
    metric = MuFidelity(network, x, target, grid_size=ref.GRID, subset_percent=ref.DROP, nb_samples=ref.MASKS,
                        batch_size=ref.MASKS, baseline_mode=(lambda _: noise) if noisy else 0.0)
    noise = np.array([ref.uniform(ref.BASELINE, ref.SAMPLES[i], k, ref.SIZE) for k in range(ref.MASKS)])
    noise = noise.reshape(1, ref.MASKS, ref.H, ref.W, ref.C)
    cells = np.array([ref.uniform(ref.CELLS, ref.SAMPLES[i], k, ref.GRID**2) for k in range(ref.MASKS)])
    kept = tf.random.uniform
    tf.random.uniform = lambda *_, **__: tf.constant(cells)
    try:
        return metric.evaluate(m)
    finally:
        tf.random.uniform = kept


def main():
    for i in range(ref.N):
        y = int(np.argmax(ref.logits(ref.X[i])))
        x, target = ref.X[i].reshape(1, ref.H, ref.W, ref.C), np.eye(ref.CLASSES, dtype=np.float32)[[y]]
        flat = ref.saliency(ref.X[i], y)
        m = flat.reshape(1, ref.H, ref.W)
        for softmax in (False, True):
            score, activation = (ref.softmax, "softmax") if softmax else (ref.raw, None)
            for name, kind in (("deletion", Deletion), ("insertion", Insertion)):
                metric = kind(network, x, target, steps=ref.STEPS, baseline_mode=0.0, activation=activation)
                compare(f"{i} {name}{' softmax' if softmax else ''}", float(metric.evaluate(m)),
                        ref.causal(i, y, flat, name == "insertion", "zero", score))
        for noisy in (False, True):
            compare(f"{i} mufidelity {'uniform' if noisy else 'zero'}", mufidelity(x, target, m, i, noisy),
                    ref.mufidelity(i, y, flat, noisy, ref.raw))
        ours = ref.stability(i, y, flat)
        for k, (name, distance) in enumerate((("l2", lambda u, v: float(np.linalg.norm(np.asarray(u, np.float64) - v))),
                                              ("spearman", lambda u, v: 1 - ref.rho(np.ravel(u), np.ravel(v))))):
            metric = AverageStability(network, x, target, radius=ref.NOISE, distance=distance, nb_samples=ref.NOISES)
            metric.noisy_masks = np.array([np.float32(ref.NOISE) * ref.uniform(ref.NOISY, ref.SAMPLES[i], j, ref.SIZE)
                                           for j in range(ref.NOISES)]).reshape(-1, ref.H, ref.W, ref.C)
            compare(f"{i} stability {name}", metric.evaluate(saliency), ours[k])
    print(f"largest difference {worst:.1e}")
    return int(worst > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
