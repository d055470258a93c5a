#!/usr/bin/env python3
"""Seconds of one thread for time-invariant layers in NumPy and SciPy, as JSON.

  time_invariant.py cauchy CHANNELS STATES LENGTH   the kernel of S4, diagonal plus rank one, by its generating function
  time_invariant.py block CHANNELS STATES LENGTH    S4D: the kernel by its Vandermonde matrix, then convolutions by FFT

STATES counts conjugates too. Weights are those of the systems at the start of training.
"""
import json
import sys
import time

import numpy as np
import scipy.fft


def best(body, times):
    """The best of several, in the thread's own time; what the last one returned."""
    seconds = []
    for _ in range(times):
        start = time.thread_time()
        result = body()
        seconds.append(time.thread_time() - start)
    return min(seconds), result


def weights(channels, states):
    random = np.random.default_rng(1)
    pairs = states // 2
    rate = -0.5 + 1j * np.pi * np.tile(np.arange(pairs), (channels, 1))
    step = np.exp(random.uniform(np.log(0.001), np.log(0.1), channels))
    gain = (random.standard_normal((channels, pairs)) + 1j * random.standard_normal((channels, pairs))) * 0.5 ** 0.5
    rank = (random.standard_normal((channels, pairs)) + 1j * random.standard_normal((channels, pairs))) * 0.5
    return rate, step, gain, rank


def cauchy(rate, step, gain, rank, length, dtype):
    """[channels, length]. Sums over pairs have real coefficients: numerators are products of matrices."""
    root = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    root[-1] += 1e-9 * (length % 2 == 0)  # -1 is at infinity
    scaled = (2 * (1 - root) / (1 + root)).astype(dtype)
    factor = (2 / (1 + root)).astype(dtype)
    write = np.ones_like(rate)
    kernel = np.empty((channels := len(rate), length), dtype(0).real.dtype)
    for h in range(channels):
        z = scaled / step[h]
        w = rate[h].astype(dtype)
        over = 1 / (z[:, None] * (z[:, None] - 2 * w.real) + (w.real ** 2 + w.imag ** 2))
        v = np.stack([gain[h] * write[h], gain[h] * rank[h], rank[h].conj() * write[h], abs(rank[h]) ** 2])
        sums = 2 * (z[:, None] * (over @ v.real.T.astype(over.dtype)) - over @ (v * w.conj()).real.T.astype(over.dtype))
        response = factor * (sums[:, 0] - sums[:, 1] * sums[:, 2] / (1 + sums[:, 3]))
        kernel[h] = scipy.fft.irfft(response, length)
    return kernel


def vandermonde(rate, step, gain, length):
    """[channels, length]"""
    lags = np.arange(length, dtype=np.float32)
    kernel = np.empty((len(rate), length), np.float32)
    for h in range(len(rate)):
        exponent = (step[h] * rate[h]).astype(np.complex64)
        scaled = (gain[h] * np.expm1(step[h] * rate[h]) / rate[h]).astype(np.complex64)
        kernel[h] = 2 * (scaled @ np.exp(exponent[:, None] * lags)).real
    return kernel


def main():
    what, channels, states, length = sys.argv[1], *map(int, sys.argv[2:5])
    rate, step, gain, rank = weights(channels, states)
    if what == "cauchy":
        result = {}
        for name, dtype in ("complex64", np.complex64), ("complex128", np.complex128):
            result[name], _ = best(lambda dtype=dtype: cauchy(rate, step, gain, rank, length, dtype), 2)
        print(json.dumps(result))
        return
    tokens = np.random.default_rng(2).standard_normal((channels, length), dtype=np.float32)
    kernel_seconds, kernel = best(lambda: vandermonde(rate, step, gain, length), 2)

    def convolve():
        spectrum = scipy.fft.rfft(kernel, 2 * length)
        return scipy.fft.irfft(scipy.fft.rfft(tokens, 2 * length) * spectrum, 2 * length)[:, :length] + tokens

    seconds, _ = best(convolve, 3)
    print(json.dumps({"kernel": kernel_seconds, "convolution": seconds}))


if __name__ == "__main__":
    main()
