"""Free kernels with a soft threshold, as direct sums over the lags."""
import numpy as np

from .common import Layer, gelu, glu, linear, long_conv


def soft(k, lam):
    return np.sign(k) * np.maximum(np.abs(k) - lam, 0)


def mix(w, y, u):
    """Skip, exact GELU, linear and gate; y: [b, t, channels, H]."""
    return {"y": glu(linear(w, "output_linear.0", gelu(y + w["D"] * u[:, :, None]).reshape(u.shape[:2] + (-1,))))}


def longconv(p, w, u):
    k, width = w["kernel.kernel"], p["smooth"]
    if width:
        padded = np.pad(k, ((0, 0), (0, 0), (width // 2, width // 2)))
        k = np.stack([padded[:, :, l:l + width].sum(axis=-1) / width for l in range(k.shape[2])], axis=-1)
    k = np.moveaxis(soft(k, p["lam"]), -1, 0)  # [taps, sides * channels, H]
    y = long_conv(k[:, :p["channels"]], u[:, :, None])
    if p["bidirectional"]:
        y += long_conv(k[::-1, p["channels"]:], u[:, :, None], -len(k))
    return mix(w, y, u)


def standalone(p, w, u):
    k, L = np.moveaxis(soft(w["kernel"], p["lam"]), -1, 0), p["L"]
    return mix(w, long_conv(np.concatenate([k[L + 1:], k[:L]]), u[:, :, None], 1 - L), u)


def shared(p, draw):
    return {"D": draw(p["channels"], p["H"])} | draw.linear("output_linear.0", p["channels"] * p["H"], 2 * p["H"])


def weights(p, draw):
    sides = 2 if p["bidirectional"] else 1
    return shared(p, draw) | {"kernel.kernel": draw(sides * p["channels"], p["H"], p["L"], std=0.3)}


def standalone_weights(p, draw):
    return shared(p, draw) | {"kernel": draw(p["channels"], p["H"], 2 * p["L"], std=0.3)}


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"])}


def variant(**changes):
    return dict(H=4, L=40, channels=1, bidirectional=False, lam=0.05, smooth=0) | changes


LAYERS = {
    "LongConv": Layer(longconv, [variant(), variant(H=3, L=9, channels=2, bidirectional=True, smooth=3), variant(H=17, L=70, smooth=7)],
                      weights, inputs, lambda p: ("conv", "chunk") if p["bidirectional"] else ("step", "conv", "chunk")),
    "LongConvStandalone": Layer(standalone, [dict(H=3, L=65, channels=2, lam=0.1), dict(H=2, L=5, channels=1, lam=0.2)],
                                standalone_weights, inputs, lambda p: ("conv", "chunk")),
}
