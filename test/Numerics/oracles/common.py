"""What several systems use, in float64. Weights are a dict of arrays under their checkpoint names."""
import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.logaddexp(0, x)


def gelu(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


def gelu_tanh(x):
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def glu(x):
    a, g = np.split(x, 2, axis=-1)
    return a * sigmoid(g)


def as_complex(x):
    return x[..., 0] + 1j * x[..., 1]


def linear(w, name, x):
    """torch's Linear, weight [out, in]; a 1x1 convolution's [out, in, 1] too."""
    weight = w[name + ".weight"]
    return x @ weight.reshape(weight.shape[:2]).T + w.get(name + ".bias", 0.0)


def dense(w, name, x):
    """flax's Dense, kernel [in, out]."""
    return x @ w[name + ".kernel"] + w[name + ".bias"]


def short_conv(w, name, x):
    """Causal, per channel, weight [C, 1, W]; the last tap meets the current token. x: [batch, t, C]."""
    weight = w[name + ".weight"][:, 0]
    taps, y = weight.shape[1], np.zeros_like(x)
    for t in range(x.shape[1]):
        for j in range(min(taps, t + 1)):
            y[:, t] += weight[:, taps - 1 - j] * x[:, t - j]
    return y + w.get(name + ".bias", 0.0)


def long_conv(kernel, u, first=0):
    """y[t] = sum_i kernel[i] u[t - (first + i)]; kernel: [lags, ...], u: [batch, t, ...], which broadcast behind these."""
    length, lags = u.shape[1], len(kernel)
    y = np.zeros(u.shape[:2] + np.broadcast_shapes(kernel.shape[1:], u.shape[2:]))
    for t in range(length):
        for i in range(max(0, t - first - length + 1), min(lags, t - first + 1)):
            y[:, t] += kernel[i] * u[:, t - first - i]
    return y


def rms_norm(x, eps, weight=1.0):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def layer_norm(x, eps, weight=1.0, bias=0.0):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight + bias


def flax_norm(w, name, kind, x):
    """kind: layer (eps 1e-6), or batch with stored statistics (eps 1e-5)."""
    if kind == "layer":
        return layer_norm(x, 1e-6, w[name + ".scale"], w[name + ".bias"])
    return (x - w[name + ".mean"]) / np.sqrt(w[name + ".var"] + 1e-5) * w[name + ".scale"] + w[name + ".bias"]


def under(w, prefix):
    """The weights below a prefix."""
    return {name[len(prefix) + 1:]: value for name, value in w.items() if name.startswith(prefix + ".")}


class Draw:
    """Seeded values, rounded to float32 as the compiler sees them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape, std=1.0):
        return self.round(self.rng.normal(0, std, shape))

    def between(self, low, high, *shape):
        return self.round(self.rng.uniform(low, high, shape))

    def integers(self, end, *shape):
        return self.rng.integers(0, end, shape)

    def round(self, x):
        return x.astype(np.float32).astype(np.float64)

    def linear(self, name, inputs, outputs, bias=True):
        w = {name + ".weight": self(outputs, inputs, std=inputs**-0.5)}
        if bias:
            w[name + ".bias"] = self(outputs, std=0.2)
        return w

    def dense(self, name, inputs, outputs):
        return {name + ".kernel": self(inputs, outputs, std=inputs**-0.5), name + ".bias": self(outputs, std=0.2)}

    def conv(self, name, channels, taps, bias=True):
        w = {name + ".weight": self(channels, 1, taps, std=taps**-0.5)}
        if bias:
            w[name + ".bias"] = self(channels, std=0.2)
        return w

    def norm(self, name, size, kind="weight"):
        """kind: weight | both (torch), layer | batch (flax)."""
        scale, bias = self.between(0.5, 1.5, size), self(size, std=0.2)
        if kind in ("weight", "both"):
            return {name + ".weight": scale} | ({name + ".bias": bias} if kind == "both" else {})
        w = {name + ".scale": scale, name + ".bias": bias}
        if kind == "batch":
            w |= {name + ".mean": self(size, std=0.2), name + ".var": self.between(0.5, 1.5, size)}
        return w


class Layer:
    """A layer's reference: `run(p, w, **inputs)` gives its outputs; `variants` are parameter sets to try;
    `weights(p, draw)` and `inputs(p, draw, batch, length)` make seeded values; `modes(p)` are the modes to try, sequences
    shorter than `shortest` are not."""

    def __init__(self, run, variants, weights, inputs, modes=lambda p: ("step", "scan"), shortest=0):
        self.run, self.variants, self.weights, self.inputs, self.modes = run, variants, weights, inputs, modes
        self.shortest = shortest
