#!/usr/bin/env python3
"""Runs an ONNX model on pictures and sets its logits beside those that Banff gave.

Called by scripts/compare-onnx, which makes the files; needs numpy and onnxruntime, which are no dependency of Banff. If onnx is
there, too, its checker looks at the model and its reference evaluator computes the first pictures as well.
Exit code 0: the logits agree; 1: they do not.
"""
import argparse
import sys

import numpy as np
import onnxruntime

LIMIT = 1e-5


def apart(got, want):
    """Largest difference, as a share of the largest logit (of 1, if all are smaller)."""
    return float(np.abs(got - want).max() / max(1.0, np.abs(want).max()))


def reference(path, pixels):
    """Logits by onnx's own evaluator; None if onnx is not installed."""
    try:
        import onnx
        import onnx.reference
    except ImportError:
        return None
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return onnx.reference.ReferenceEvaluator(model).run(None, {"pixels": pixels})[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--model", required=True)
    parser.add_argument("--logits", required=True)
    args = parser.parse_args()
    arrays = np.load(args.logits)
    pixels = np.ascontiguousarray(arrays["pixels"].transpose(0, 3, 1, 2))
    want = arrays["logits"].astype(np.float64)
    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    worst = apart(session.run(None, {"pixels": pixels})[0], want)
    worst = max(worst, apart(session.run(None, {"pixels": pixels[:1]})[0], want[:1]))  # N is open
    few = min(8, len(pixels))
    second = reference(args.model, pixels[:few])
    text = "not installed" if second is None else f"{apart(second, want[:few]):.1e}"
    same = (session.run(None, {"pixels": pixels})[0].argmax(axis=1) == want.argmax(axis=1)).mean()
    print(f"{args.name}: {len(pixels)} pictures, onnxruntime {worst:.1e} apart, same class {same:.4f}; onnx reference (first {few}) {text}")
    return 0 if worst <= LIMIT and (second is None or apart(second, want[:few]) <= LIMIT) else 1


if __name__ == "__main__":
    sys.exit(main())
