#!/usr/bin/env python3
"""Explanation metrics in NumPy and SciPy, written from the definitions in src/recipes/lipschitz/metrics.h and apart from the
C code: prints the expected values that tests/unit/lipschitz_metrics.c holds as constants. Needs numpy and scipy.

The network is a small fixed one: f = B tanh(A x + a) + b over pictures of 6 x 5 x 2, three classes. Random numbers are
Philox4x32-10, as in src/base/philox.h.  Usage: metrics_reference.py"""
import math

import numpy as np
from scipy.stats import spearmanr

H, W, C, HIDDEN, CLASSES, N, SEED = 6, 5, 2, 8, 3, 3, 12345
AREA, SIZE = H * W, H * W * C
STEPS, MASKS, GRID, DROP, NOISES, NOISE, SHARES, MOVES = 7, 60, 3, 0.2, 6, 0.1, (0.1, 0.25, 0.6), 50
SAMPLES = (4, 7, 5000000000)
EXPLAIN, CELLS, BASELINE, NOISY, CAUSAL = 10, 0x6D657401, 0x6D657402, 0x6D657403, 0x6D657404


def fixed(i, salt):
    """A number of [-1, 1) for place i."""
    return ((i * 7919 + salt * 104729 + 13) % 10007) / 10007 * 2 - 1


def array(shape, salt, scale=1.0):
    return np.array([fixed(i, salt) * scale for i in range(math.prod(shape))]).reshape(shape)


A, a = array((HIDDEN, SIZE), 1, 0.5), array((HIDDEN,), 2, 0.5)
B, b = array((CLASSES, HIDDEN), 3), array((CLASSES,), 4, 0.1)
X = ((array((N, SIZE), 5) + 1) / 2).astype(np.float32)
HUMAN = array((N, AREA), 6).astype(np.float32)


def logits(x):
    return B @ np.tanh(A @ x.astype(np.float64) + a) + b


def gradient(x, weights):
    t = np.tanh(A @ x.astype(np.float64) + a)
    return A.T @ ((1 - t * t) * (B.T @ weights))


def saliency(x, y):
    return np.abs(gradient(x, np.eye(CLASSES)[y])).reshape(AREA, C).max(1).astype(np.float32)


def product(x, y):
    """The map to compare with: gradient times input, summed over channels."""
    g = gradient(x, np.eye(CLASSES)[y]) * x.astype(np.float64)
    return g.reshape(AREA, C).sum(1).astype(np.float32)


def lead(x, y):
    z = logits(x)
    rival = max((j for j in range(CLASSES) if j != y), key=lambda j: (z[j], -j))
    return z[y] - z[rival], gradient(x, np.eye(CLASSES)[y] - np.eye(CLASSES)[rival]).astype(np.float32)


# ---- random numbers
def philox(key, counter):
    k, c, m = list(key), list(counter), 0xFFFFFFFF
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & m, (p >> 32) ^ c[3] ^ k[1], p & m]
        k = [(k[0] + 0x9E3779B9) & m, (k[1] + 0xBB67AE85) & m]
    return c


def key_of(draw):
    run = philox((SEED & 0xFFFFFFFF, SEED >> 32), (EXPLAIN, 0x62616E66, 0, 0))[:2]
    return philox(run, (draw & 0xFFFFFFFF, draw >> 32, 0x6C617972, 0xFFFFFFFF))[:2]


def uniform(draw, sample, mask, n):
    key, out = key_of(draw), []
    for i in range((n + 3) // 4):
        out += philox(key, (i, sample & 0xFFFFFFFF, sample >> 32, mask))
    return np.array([(v >> 8) * 2.0**-24 for v in out[:n]], dtype=np.float32)


# ---- metrics
def rho(u, v):
    if np.ptp(u) == 0 or np.ptp(v) == 0:
        return 0.0
    return float(spearmanr(np.asarray(u, np.float64), np.asarray(v, np.float64)).statistic)


def order(m):
    return np.argsort(-m.astype(np.float64), kind="stable")


def causal(i, y, m, insertion, baseline, score):
    x = X[i].reshape(AREA, C)
    base = {"zero": np.zeros_like(x), "uniform": uniform(CAUSAL, SAMPLES[i], 0, SIZE).reshape(AREA, C),
            "mean": np.broadcast_to(x.astype(np.float64).mean(0), x.shape).astype(np.float32)}[baseline]
    start, end = (base, x) if insertion else (x, base)
    s = []
    for k in range(STEPS + 1):
        z, chosen = start.copy(), order(m)[: k * AREA // STEPS]
        z[chosen] = end[chosen]
        s.append(score(z.reshape(-1), y))
    return sum((s[k] + s[k + 1]) / 2 for k in range(STEPS)) / STEPS


def mufidelity(i, y, m, noisy, score):
    rows, columns = (((2 * np.arange(n) + 1) * GRID) // (2 * n) for n in (H, W))
    fall, attribution = [], []
    for k in range(MASKS):
        board = (uniform(CELLS, SAMPLES[i], k, GRID * GRID) < DROP).reshape(GRID, GRID)
        gone = board[rows][:, columns].reshape(AREA)
        other = uniform(BASELINE, SAMPLES[i], k, SIZE).reshape(AREA, C) if noisy else np.zeros((AREA, C), np.float32)
        z = np.where(gone[:, None], other, X[i].reshape(AREA, C)).reshape(-1)
        fall.append(score(X[i], y) - score(z, y))
        attribution.append(m.astype(np.float64)[gone].sum())
    return rho(np.round(fall, 12), np.round(attribution, 12))


def stability(i, y, m):
    l2, distance = [], []
    for k in range(NOISES):
        other = saliency(X[i] + np.float32(NOISE) * uniform(NOISY, SAMPLES[i], k, SIZE), y)
        l2.append(np.linalg.norm(other.astype(np.float64) - m))
        distance.append(1 - rho(m, other))
    return np.mean(l2), np.mean(distance)


def robustness(i, y, m):
    lengths, turned = [], 0
    for r in SHARES:
        chosen = np.repeat(np.isin(np.arange(AREA), order(m)[: math.ceil(r * AREA - 1e-9)]), C)
        d, farthest = np.zeros(SIZE), MOVES * 0.01 * math.sqrt(SIZE)
        for _ in range(MOVES + 1):
            value, g = lead(X[i] + d, y)
            if value < 0:
                break
            g = np.where(chosen, g, 0).astype(np.float64)
            norm = np.linalg.norm(g)
            d = d - min(max(1.02 * value / norm, 0.002), 0.01 * math.sqrt(SIZE)) / norm * g
        if value >= 0:
            lengths.append(farthest)
            continue
        low, high = 0.0, 1.0
        for _ in range(12):
            t = (low + high) / 2
            low, high = (low, t) if lead(X[i] + t * d, y)[0] < 0 else (t, high)
        lengths.append(min(high * np.linalg.norm(d), farthest))
        turned += 1
    return np.mean(lengths), turned / len(SHARES)


# ---- human maps, as the published evaluation prepares them (there with TensorFlow)
def resize(m, height, width):
    def place(n, to):
        at = np.clip((np.arange(to) + 0.5) * n / to - 0.5, 0, n - 1)
        low = at.astype(int)
        return low, np.minimum(low + 1, n - 1), at - low
    (y0, y1, v), (x0, x1, u) = place(m.shape[0], height), place(m.shape[1], width)
    rows = m[y0] * (1 - v)[:, None] + m[y1] * v[:, None]
    return rows[:, x0] * (1 - u) + rows[:, x1] * u


def blur(m, size, sigma):
    xs, ys = np.meshgrid(np.arange(-(size - 1) // 2, (size - 1) // 2 + 1), np.arange((size - 1) // 2, -(size - 1) // 2 - 1, -1))
    kernel = np.exp(-(xs**2 + ys**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    before = (size - 1) // 2
    wide = np.pad(m, ((before, size - 1 - before),) * 2)
    return np.array([[(wide[i:i + size, j:j + size] * kernel).sum() for j in range(m.shape[1])] for i in range(m.shape[0])])


def raw(x, y):
    return logits(x)[y]


def softmax(x, y):
    z = np.exp(logits(x) - logits(x).max())
    return z[y] / z.sum()


def row(values):
    return "{" + ", ".join(f"{v:.9f}" for v in values) + "}"


def main():
    classes = [int(np.argmax(logits(X[i]))) for i in range(N)]
    maps = [saliency(X[i], y) for i, y in enumerate(classes)]
    print("classes", classes)
    for name, score in (("raw", raw), ("softmax", softmax)):
        for base in ("zero", "uniform", "mean"):
            for mode in (False, True):
                print(name, base, "insertion" if mode else "deletion",
                      row(causal(i, y, maps[i], mode, base, score) for i, y in enumerate(classes)))
    for noisy in (False, True):
        print("mufidelity", "uniform" if noisy else "zero",
              row(mufidelity(i, y, maps[i], noisy, raw) for i, y in enumerate(classes)))
    for k, name in enumerate(("stability_l2", "stability_spearman")):
        print(name, row(stability(i, y, maps[i])[k] for i, y in enumerate(classes)))
    for k, name in enumerate(("robustness_sr", "robustness_reached")):
        print(name, row(robustness(i, y, maps[i])[k] for i, y in enumerate(classes)))
    print("smoothgrad", row(rho(maps[i], product(X[i], y)) for i, y in enumerate(classes)))
    print("alignment / 0.65753", row(rho(maps[i], HUMAN[i]) / 0.65753 for i in range(N)))
    human = array((9, 13), 7).astype(np.float32).astype(np.float64)
    for size, sigma in ((10, 10.0), (5, 2.0)):
        m = resize(blur(resize(human, 16, 16), size, sigma), 4, 5)
        print(f"human map, blurred by {size}", row(m.reshape(-1)))
    u, v = [3, 1, 2, 2, 5, 2, 3], [0.5, -1, 4, 4, 4, 0.25, 7]
    print(f"spearman with ties {rho(u, v):.15f}")


if __name__ == "__main__":
    main()
