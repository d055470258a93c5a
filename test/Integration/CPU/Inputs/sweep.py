"""Layers of sweep.ssm as loops in double precision:

sweep.py make LAYER FOLDER BATCH ROWS COLUMNS D   writes weights.safetensors, u.npy, v.npy
sweep.py check LAYER FOLDER TOLERANCE             fails unless FOLDER/y.npy, total.npy hold the layer's outputs
"""

import itertools
import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "Numerics"))
import arrays  # noqa: E402


def make(layer, folder, batch, rows, columns, D):
    draw = random.Random(2)
    some = lambda count: [draw.gauss(0, 1) for _ in range(count)]  # noqa: E731
    names = {"Sweep": {"a": (D,), "b": (D,)}, "Filters": {"K": (D, 5), "rate": (D,)},
             "Documents": {"a": (D,), "K": (D, 3)}, "Axial": {"bias": (5,)}}[layer]
    folder.mkdir(parents=True, exist_ok=True)
    arrays.save_safetensors(folder / "weights.safetensors",
                            {name: (shape, some(math.prod(shape))) for name, shape in names.items()})
    arrays.save_npy(folder / "u.npy", (batch, rows, columns, D), some(batch * rows * columns * D), "f4")
    arrays.save_npy(folder / "v.npy", (batch, columns, D), some(batch * columns * D), "f4")


def documents(a, K, u, v, places, columns, D):
    """y of layer Documents, whose documents along x have three rows."""
    def starts(b, z):
        return v[(b * columns + z) * D] > 0

    o, y, s, r = {}, {}, {}, {}
    for b, x, z, d in places:
        decay = 1 / (1 + math.exp(-a[d]))
        s[b, x, z, d] = decay * (s[b, x - 1, z, d] if x % 3 else 0) + u[b, x, z, d]
        r[b, x, z, d] = decay * (0 if z == 0 or starts(b, z) else r[b, x, z - 1, d]) + s[b, x, z, d]
        o[b, x, z, d] = r[b, x, z, d] + (u[b, x - 2, z, d] if x % 3 == 2 else 0)
    for b, x, z, d in places:
        y[b, x, z, d] = u.get((b, x - 1, z, d), 0) + (0 if z == 0 or starts(b, z) else u[b, x, z - 1, d])
        for j in range(min(z + 1, 3)):
            y[b, x, z, d] += K[d * 3 + j] * o[b, x, z - j, d]
            if starts(b, z - j):
                break
    return y


def axial(bias, u, v, places, columns, D):
    """y of layer Axial."""
    o, y = {}, {}
    for b, x, z, d in places:
        near = [p for p in range(x - 2, x + 3) if (b, p, z, d) in u]
        scores = [math.exp(sum(u[b, x, z, e] * u[b, p, z, e] for e in range(D)) + bias[x - p + 2] + math.sin(p * z))
                  for p in near]
        o[b, x, z, d] = sum(score * u[b, p, z, d] for score, p in zip(scores, near)) / sum(scores)
        o[b, x, z, d] += math.exp(-x / 9) * sum(u[b, p, z, d] for p in near) / len(near)
    for b, x, z, d in places:
        terms = [math.exp((q - z) / 5) * o[b, x, q, d]
                 * sum(o[b, x, z, e] * v[(b * columns + q) * D + e] for e in range(D)) for q in range(z + 1)]
        y[b, x, z, d] = sum(terms) / len(terms)
    return y


def outputs(layer, folder):
    weights = {name: values for name, (_, values) in arrays.load_safetensors(folder / "weights.safetensors").items()}
    (batch, rows, columns, D), values = arrays.load_npy(folder / "u.npy")
    v = arrays.load_npy(folder / "v.npy")[1]
    places = list(itertools.product(range(batch), range(rows), range(columns), range(D)))
    u = dict(zip(places, values))
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    y = dict.fromkeys(places, 0.0)
    if layer in ("Documents", "Axial"):
        y = (documents(weights["a"], weights["K"], u, v, places, columns, D) if layer == "Documents"
             else axial(weights["bias"], u, v, places, columns, D))
        return {"y": ((batch, rows, columns, D), [y[p] for p in places])}
    if layer == "Filters":
        w = {(b, x, z, d): sum(weights["K"][d * 5 + i + 2] * u.get((b, x - i, z, d), 0) for i in range(-2, 3))
             for b, x, z, d in places}
        for b, x, z, d in places:
            y[b, x, z, d] = sum(math.exp(-abs(weights["rate"][d]) * j) * w[b, x, z - j, d] for j in range(z + 1))
        return {"y": ((batch, rows, columns, D), [y[p] for p in places])}
    down = {}
    for b, x, z, d in places:
        down[b, x, z, d] = (sigmoid(weights["a"][d]) * down.get((b, x - 1, z, d), 0)
                            + u[b, x, z, d] * v[(b * columns + z) * D + d])
    for scale, order in ((1, places), (2, places[::-1])):
        s, step = {}, 1 if scale == 1 else -1
        for b, x, z, d in order:
            s[b, x, z, d] = sigmoid(weights["b"][d]) * s.get((b, x, z - step, d), 0) + down[b, x, z, d]
            y[b, x, z, d] += scale * s[b, x, z, d]
    for b, x, z, d in places:
        y[b, x, z, d] += u.get((b, x - 1, z + 1, d), 0) / columns
    total = [sum(u[b, x, z, d] for x in range(rows))
             for b, z, d in itertools.product(range(batch), range(columns), range(D))]
    return {"y": ((batch, rows, columns, D), [y[p] for p in places]), "total": ((batch, columns, D), total)}


def check(layer, folder, tolerance):
    for name, (shape, wanted) in outputs(layer, folder).items():
        found_shape, found = arrays.load_npy(folder / f"{name}.npy")
        if tuple(found_shape) != shape:
            sys.exit(f"{name}: shape {found_shape}, wanted {shape}")
        error = arrays.relative_error(found, wanted)
        if not error <= tolerance:
            sys.exit(f"{name}: error {error:.2e}, at most {tolerance:.0e} is wanted")
    print("agrees")


verb, layer, folder, *rest = sys.argv[1:]
if verb == "make":
    make(layer, pathlib.Path(folder), *map(int, rest))
else:
    check(layer, pathlib.Path(folder), float(rest[0]))
