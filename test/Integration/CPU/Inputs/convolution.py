"""Layers of long_kernel.ssm on their own, as direct sums over the lags:

convolution.py make LAYER FOLDER BATCH TOKENS H [L|C]   writes weights.safetensors and u.npy
convolution.py check FILE.npy TOLERANCE LAYER FOLDER    fails unless the file holds the layer's output
"""

import math
import operator
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "Numerics"))
import arrays  # noqa: E402


def make(layer, folder, batch, tokens, channels, other):
    draw = random.Random(1)
    if layer == "Causal":
        weights = {"k": ((channels, other), [draw.gauss(0, 0.3) for _ in range(channels * other)]),
                   "skip": ((channels,), [draw.gauss(0, 1) for _ in range(channels)])}
    else:
        weights = {"rate": ((other, channels), [draw.uniform(0.0001, 0.01) for _ in range(channels * other)])}
    arrays.save_safetensors(folder / "weights.safetensors", weights)
    arrays.save_npy(folder / "u.npy", (batch, tokens, channels),
                    [draw.gauss(0, 1) for _ in range(batch * tokens * channels)], "f4")


def outputs(layer, folder):
    """Shape and values, in double precision from the numbers in the files."""
    weights = arrays.load_safetensors(folder / "weights.safetensors")
    (batch, tokens, channels), u = arrays.load_npy(folder / "u.npy")
    if layer == "Causal":
        (_, lags), k = weights["k"]
        kernels = [[list(k[h * lags:(h + 1) * lags])] for h in range(channels)]
        skip = weights["skip"][1]
    else:
        (copies, _), rate = weights["rate"]
        kernels = [[[math.exp(-rate[c * channels + h] * j) * math.cos(j) for j in range(tokens)]
                    for c in range(copies)] for h in range(channels)]
        skip = [0] * channels
    copies = len(kernels[0])
    y = [0.0] * (batch * tokens * copies * channels)
    for b in range(batch):
        for h in range(channels):
            signal = list(u[b * tokens * channels + h:(b + 1) * tokens * channels:channels])
            backward = signal[::-1]
            for c in range(copies):
                for t in range(tokens):
                    # u[t], u[t - 1], ... against lags 0, 1, ...
                    total = sum(map(operator.mul, kernels[h][c], backward[tokens - 1 - t:]))
                    y[((b * tokens + t) * copies + c) * channels + h] = total + skip[h] * signal[t]
    shape = (batch, tokens, channels) if layer == "Causal" else (batch, tokens, copies, channels)
    return shape, y


def main():
    if sys.argv[1] == "make":
        layer, folder, *numbers = sys.argv[2:]
        return make(layer, pathlib.Path(folder), *map(int, numbers))
    path, tolerance, layer, folder = sys.argv[2:]
    shape, wanted = outputs(layer, pathlib.Path(folder))
    found_shape, found = arrays.load_npy(path)
    error = arrays.relative_error(found, wanted)
    if tuple(found_shape) != shape or not error <= float(tolerance):
        sys.exit(f"shape {found_shape}, error {error:g}; wanted {shape} and at most {tolerance}")
    print(f"error {error:.2g}")


main()
