#!/usr/bin/env python3
"""Checks what a case of the execution tests printed.

The program under test prints its inputs and then its outputs. Here the outputs
are computed again from the inputs, in double precision, by plain loops that
follow the definitions of the ops and share nothing with the compiler.

usage: check.py CASE [TOLERANCE] < printed
"""
import cmath
import itertools
import math
import re
import sys


class Array:
    """A dense array of numbers, indexed by tuples."""

    def __init__(self, shape, values=None):
        self.shape = shape
        size = math.prod(shape)
        self.values = list(values) if values is not None else [0.0] * size
        assert len(self.values) == size, (shape, len(self.values))

    def offset(self, index):
        offset = 0
        for position, size in zip(index, self.shape):
            assert 0 <= position < size, (index, self.shape)
            offset = offset * size + position
        return offset

    def __getitem__(self, index):
        return self.values[self.offset(index if isinstance(index, tuple) else (index,))]

    def __setitem__(self, index, value):
        self.values[self.offset(index if isinstance(index, tuple) else (index,))] = value

    def points(self):
        return itertools.product(*map(range, self.shape))

    def copy(self):
        return Array(self.shape, self.values)


def read_arrays(text):
    arrays = []
    for part in text.split("Unranked Memref")[1:]:
        sizes = re.search(r"sizes = \[(.*?)\]", part).group(1)
        shape = tuple(int(size) for size in sizes.split(",")) if sizes else ()
        data = part.split("data =", 1)[1]
        # The runner prints some number where an array has none.
        numbers = re.findall(r"[-+]?(?:nan|inf|\d[\d.e+-]*)", data) if math.prod(shape) else []
        arrays.append(Array(shape, map(float, numbers)))
    return arrays


# ---- recurrences --------------------------------------------------------------


def scan_read(dt, a, u, bt, ct, state):
    batch, length, channels = u.shape
    state = state.copy()
    y = Array(u.shape)
    for b in range(batch):
        for t in range(length):
            for e in range(channels):
                total = 0.0
                for n in range(a.shape[1]):
                    state[b, e, n] = (
                        math.exp(dt[b, t, e] * a[e, n]) * state[b, e, n]
                        + dt[b, t, e] * u[b, t, e] * bt[b, t, n]
                    )
                    total += ct[b, t, n] * state[b, e, n]
                y[b, t, e] = total + u[b, t, e]
    return y, state


def scan_complex(decay_re, decay_im, u_re, u_im, s_re, s_im):
    y_re, y_im = Array(u_re.shape), Array(u_re.shape)
    final_re, final_im = s_re.copy(), s_im.copy()
    batch, length, size = u_re.shape
    for b in range(batch):
        for p in range(size):
            s = complex(s_re[b, p], s_im[b, p])
            for t in range(length):
                s = complex(decay_re[p], decay_im[p]) * s + complex(u_re[b, t, p], u_im[b, t, p])
                y_re[b, t, p], y_im[b, t, p] = s.real, s.imag
            final_re[b, p], final_im[b, p] = s.real, s.imag
    return y_re, y_im, final_re, final_im


def scan_complex_read(decay_re, decay_im, u, c_re, c_im):
    batch, length = u.shape
    size, = decay_re.shape
    y = Array(u.shape)
    final_re, final_im = Array((batch, size)), Array((batch, size))
    for b in range(batch):
        for t in range(length):
            total = 0.0
            for p in range(size):
                s = complex(decay_re[p], decay_im[p]) * complex(final_re[b, p], final_im[b, p])
                s += u[b, t]
                final_re[b, p], final_im[b, p] = s.real, s.imag
                total += (complex(c_re[p], c_im[p]) * s).real
            y[b, t] = total
    return y, final_re, final_im


def scan_erase(g, beta, k, v, q, state):
    batch, length, heads, keys = k.shape
    values = v.shape[3]
    state = state.copy()
    y = Array(v.shape)
    for b, h in itertools.product(range(batch), range(heads)):
        for t in range(length):
            decayed = {
                (i, j): g[b, t, h] * state[b, h, i, j]
                for i in range(keys)
                for j in range(values)
            }
            for j in range(values):
                # The delta rule: what the decayed state holds under the key goes.
                held = sum(k[b, t, h, i] * decayed[i, j] for i in range(keys))
                for i in range(keys):
                    state[b, h, i, j] = decayed[i, j] + beta[b, t, h] * k[b, t, h, i] * (
                        v[b, t, h, j] - held
                    )
                y[b, t, h, j] = sum(q[b, t, h, i] * state[b, h, i, j] for i in range(keys))
    return y, state


def scan_erase_keys(left, right, u):
    batch, length, keys, values = u.shape
    y = Array(u.shape)
    state = Array((batch, values, keys))
    for b in range(batch):
        for t in range(length):
            for v in range(values):
                total = sum(left[b, t, k] * state[b, v, k] for k in range(keys))
                for k in range(keys):
                    y[b, t, k, v] = state[b, v, k] + right[b, t, k] * total + u[b, t, k, v]
            for v in range(values):
                for k in range(keys):
                    state[b, v, k] = y[b, t, k, v]
    return y, state


def scan_reverse(decay, starts, u, ct):
    batch, length, channels = u.shape
    size, copies = ct.shape[2:]
    y = Array((batch, length, copies, channels))
    state = Array((batch, channels, size))
    for b in range(batch):
        for t in reversed(range(length)):
            for e in range(channels):
                for n in range(size):
                    previous = 0.0 if starts[b, t] < -0.5 else state[b, e, n]
                    state[b, e, n] = decay[n] * previous + u[b, t, e]
                for r in range(copies):
                    total = sum(ct[b, t, n, r] * state[b, e, n] for n in range(size))
                    y[b, t, r, e] = 2.0 * total
    return y, state


def scan_dense(a, rate, u, c, state):
    batch, length, channels = u.shape
    size = a.shape[0]
    state = state.copy()
    y = Array(u.shape)
    for b in range(batch):
        for t in range(length):
            for e in range(channels):
                before = [state[b, e, m] for m in range(size)]
                for n in range(size):
                    state[b, e, n] = rate[t] * sum(a[n, m] * before[m] for m in range(size))
                    state[b, e, n] += u[b, t, e]
                y[b, t, e] = sum(c[n] * state[b, e, n] for n in range(size))
    return y, state


def scan_empty(u, state):
    return Array(u.shape), state


# ---- convolution ---------------------------------------------------------------


def tokens_before(history, u, starts, b, last, back, rest):
    """The token `back` before `last`, zero if a document starts after it."""
    token = last - back
    for between in range(max(token + 1, 0), last + 1):
        if starts is not None and starts[b, between] < -0.5:
            return 0.0
    if token >= 0:
        return u[(b, token) + rest]
    position = history.shape[1] + token if history else -1
    return history[(b, position) + rest] if position >= 0 else 0.0


def final_history(history, u, starts, count):
    batch, length = u.shape[:2]
    result = Array((batch, count) + u.shape[2:])
    for b, i, *rest in result.points():
        back = count - 1 - i
        result[(b, i) + tuple(rest)] = tokens_before(
            history, u, starts, b, length - 1, back, tuple(rest)
        )
    return result


def conv(u, kernel, bias, starts, history):
    lags = kernel.shape[1]
    y = Array(u.shape)
    for b, t, c in y.points():
        y[b, t, c] = bias[c] + sum(
            kernel[c, lags - 1 - j] * tokens_before(history, u, starts, b, t, j, (c,))
            for j in range(lags)
        )
    return y, final_history(history, u, starts, lags - 1)


def conv_no_history(u, kernel):
    lags, = kernel.shape
    y = Array(u.shape)
    for b, t in y.points():
        y[b, t] = sum(
            kernel[j] * tokens_before(None, u, None, b, t, j, ()) for j in range(lags)
        )
    return (y,)


def shift(u, starts, history):
    distance = history.shape[1]
    y = Array(u.shape)
    for b, t, c in y.points():
        y[b, t, c] = tokens_before(history, u, starts, b, t, distance, (c,))
    return y, final_history(history, u, starts, distance)


def shift_ahead(u):
    y = Array(u.shape)
    for b, t, c in y.points():
        y[b, t, c] = u[b, t + 2, c] if t + 2 < u.shape[1] else 0.0
    return (y,)


# ---- norms, products -----------------------------------------------------------


def norm(kind, groups):
    def compute(x, weight):
        y = Array(x.shape)
        rows, size = x.shape
        part = size // groups
        for row in range(rows):
            for group in range(groups):
                columns = range(group * part, (group + 1) * part)
                values = [x[row, column] for column in columns]
                mean = sum(values) / part if kind == "layer" else 0.0
                square = sum((value - mean) ** 2 for value in values)
                if kind != "l2":
                    square /= part
                for column in columns:
                    y[row, column] = (
                        (x[row, column] - mean) / math.sqrt(square + 0.25) * weight[column]
                    )
        return (y,)

    return compute


def matmul(transposed):
    def compute(x, weight, bias):
        rows, depth = x.shape
        columns, = bias.shape
        y = Array((rows, columns))
        for row, column in y.points():
            y[row, column] = bias[column] + sum(
                x[row, k] * (weight[k, column] if transposed else weight[column, k])
                for k in range(depth)
            )
        return (y,)

    return compute


# ---- discretisation ------------------------------------------------------------


def expm1_quotient(x):
    if abs(x) < 0.5:
        term, total = 1.0, 0.0
        for i in range(1, 30):
            total += term
            term *= x / (i + 1)
        return total
    return (cmath.exp(x) - 1) / x


def discretize(rate_re, rate_im, step):
    rows = []
    for i in range(step.shape[0]):
        dt = step[i]
        x = complex(rate_re[i], rate_im[i]) * dt
        rules = [
            (cmath.exp(x), dt * expm1_quotient(x)),
            ((1 + x / 2) / (1 - x / 2), dt / (1 - x / 2)),
            (1 + x, complex(dt)),
            (1 / (1 - x), dt / (1 - x)),
            (cmath.exp(x), complex(dt)),
        ]
        for decay, gain in rules:
            rows += [decay.real, decay.imag, gain.real, gain.imag]
    return (Array((step.shape[0], 5, 4), rows),)


def discretize_real(rate, step):
    rows = []
    for i in range(step.shape[0]):
        dt = step[i]
        x = rate[i] * dt
        rules = [
            (math.exp(x), dt * expm1_quotient(x).real),
            ((1 + x / 2) / (1 - x / 2), dt / (1 - x / 2)),
            (1 + x, dt),
            (1 / (1 - x), dt / (1 - x)),
            (math.exp(x), dt),
        ]
        for decay, gain in rules:
            rows += [decay, gain]
    return (Array((step.shape[0], 5, 2), rows),)


CASES = {
    "scan_read": scan_read,
    "scan_strided": scan_read,
    "scan_complex": scan_complex,
    "scan_complex_read": scan_complex_read,
    "scan_erase": scan_erase,
    "scan_erase_keys": scan_erase_keys,
    "scan_reverse": scan_reverse,
    "scan_dense": scan_dense,
    "scan_empty": scan_empty,
    "conv": conv,
    "conv_short": conv,
    "conv_no_history": conv_no_history,
    "shift": shift,
    "shift_short": shift,
    "shift_ahead": shift_ahead,
    "norm_rms": norm("rms", 1),
    "norm_layer": norm("layer", 1),
    "norm_l2": norm("l2", 2),
    "matmul_f32": matmul(False),
    "matmul_f64": matmul(False),
    "matmul_bf16": matmul(True),
    "matmul_f16": matmul(False),
    "discretize_complex": discretize,
    "discretize_real": discretize_real,
}


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in CASES:
        sys.exit(__doc__.strip() + "\n\ncases: " + ", ".join(CASES))
    case = CASES[sys.argv[1]]
    tolerance = float(sys.argv[2]) if len(sys.argv) == 3 else 6e-6
    text = sys.stdin.read()
    arrays = read_arrays(text)
    names = case.__code__.co_varnames[: case.__code__.co_argcount]
    wanted = case(*arrays[: len(names)])
    found = arrays[len(names) :]
    if len(found) != len(wanted):
        sys.exit(f"outputs: found {len(found)}, wanted {len(wanted)}\n{text}")
    for output, (f, w) in enumerate(zip(found, wanted)):
        if f.shape != w.shape:
            sys.exit(f"shape of output {output}: found {f.shape}, wanted {w.shape}")
        scale = max([1.0] + [abs(value) for value in w.values])
        for index in w.points():
            if not abs(f[index] - w[index]) <= tolerance * scale:
                sys.exit(f"output {output} at {index}: found {f[index]}, wanted {w[index]}\n{text}")
    print(f"{sys.argv[1]}: {sum(len(w.values) for w in wanted)} numbers agree")


if __name__ == "__main__":
    main()
