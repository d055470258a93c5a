"""SGConv: kernels of stretched pieces, then direct sums over the lags."""
import numpy as np

from .common import Layer, gelu, linear, long_conv


def resize(x, factor, interp):
    """The last axis, `factor` times as long."""
    n, o = x.shape[-1], np.arange(x.shape[-1] * factor)
    if interp == "nearest":
        return x[..., o // factor]
    at = np.maximum((o + 0.5) / factor - 0.5, 0)
    left = np.floor(at).astype(int)
    b = at - left
    return x[..., left] * (1 - b) + x[..., np.minimum(left + 1, n - 1)] * b


def sgconv(p, w, u):
    S, taps = p["n_scales"], p["kernel_dim"] * 2 ** (p["n_scales"] - 1 + p["init_scale"])
    pieces = []
    for i in range(S):
        stretch = 2 ** ((max(0, i - 1) if p["combine"] == "cat" else i) + p["init_scale"])
        m = 1.0 if p["learnable"] else w["multiplier"] ** (S - 1 - i)
        pieces.append(resize(w[f"kernel_list.{i}"], stretch, p["interp"]) * m)
    if p["combine"] == "cat":
        k = np.concatenate(pieces, axis=-1)
    else:
        k = sum(np.pad(x, ((0, 0), (0, 0), (0, taps - x.shape[-1]))) for x in pieces)
    if p["learnable"]:
        k = k * (1 + np.arange(taps)) ** -w["decay"][:, None]
    k = np.moveaxis(k / w["kernel_norm"], -1, 0)
    y = long_conv(k[:, :p["channels"]], u[:, :, None])
    if p["bidirectional"]:
        y += long_conv(k[::-1, p["channels"]:], u[:, :, None], -taps)
    y = gelu(y + w["D"] * u[:, :, None]).reshape(u.shape[:2] + (-1,))
    return {"y": linear(w, "output_linear", y)}


def weights(p, draw):
    H, rows = p["H"], p["channels"] * (2 if p["bidirectional"] else 1)
    w = {f"kernel_list.{i}": draw(rows, H, p["kernel_dim"]) for i in range(p["n_scales"])}
    w |= {"kernel_norm": draw.between(1, 3, rows, H, 1), "D": draw(p["channels"], H)}
    w |= {"decay": draw.between(0.3, 1, H)} if p["learnable"] else {"multiplier": draw.between(1, 1.5, 1, H, 1)}
    return w | draw.linear("output_linear", p["channels"] * H, H)


def variant(**changes):
    return dict(H=4, kernel_dim=4, n_scales=3, init_scale=0, combine="cat", interp="linear", learnable=False, channels=1,
                bidirectional=False) | changes


VARIANTS = [variant(), variant(H=3, combine="sum", interp="nearest", channels=2, bidirectional=True),
            variant(init_scale=1, learnable=True, combine="sum"), variant(kernel_dim=3, n_scales=4, interp="nearest"),
            variant(n_scales=1, kernel_dim=9, bidirectional=True)]
LAYERS = {"SGConv": Layer(sgconv, VARIANTS, weights, lambda p, draw, b, L: {"u": draw(b, L, p["H"])},
                          lambda p: ("conv", "chunk") if p["bidirectional"] else ("step", "conv", "chunk"))}
