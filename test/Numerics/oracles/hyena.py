"""Hyena as direct sums over the lags; the filter network is evaluated at every stored position."""
import numpy as np

from .common import Layer, linear, long_conv, short_conv


def hyena(p, w, u):
    D, order, last = p["D"], p["order"], p["num_inner"] + 1
    f, at = w["filter_fn.pos_emb.z"][0], "filter_fn.implicit_filter."
    for i in range(last):
        f = np.sin(w[f"{at}{2 * i + 1}.freq"] * linear(w, f"{at}{2 * i}", f))
    f = linear(w, f"{at}{2 * last}", f)
    window = np.exp(-np.abs(w["filter_fn.modulation.deltas"][0, 0]) * w["filter_fn.pos_emb.t"][0]) + p["shift"]
    K = (f * window).reshape(-1, order - 1, D)
    skip = w["filter_fn.bias"].reshape(order - 1, D)
    x = short_conv(w, "short_filter", linear(w, "in_proj", u)).reshape(u.shape[:2] + (order + 1, D))
    v = x[:, :, order]
    for o in range(order - 1):
        v = v * x[:, :, order - 1 - o]
        v = long_conv(K[:, o], v) + skip[o] * v
    return {"y": linear(w, "out_proj", v * x[:, :, 0])}


def weights(p, draw):
    D, W, last, at = p["D"], p["filter_order"], p["num_inner"] + 1, "filter_fn.implicit_filter."
    channels = (p["order"] - 1) * D
    w = draw.linear("in_proj", D, (p["order"] + 1) * D) | draw.linear("out_proj", D, D)
    w |= draw.conv("short_filter", (p["order"] + 1) * D, 3)
    for i in range(last):
        w |= draw.linear(f"{at}{2 * i}", p["emb_dim"] if i == 0 else W, W) | {f"{at}{2 * i + 1}.freq": draw(1, W)}
    w |= draw.linear(f"{at}{2 * last}", W, channels, bias=False)
    return w | {"filter_fn.pos_emb.z": draw(1, p["l_max"], p["emb_dim"]), "filter_fn.bias": draw(channels),
                "filter_fn.pos_emb.t": draw.between(0, 1, 1, p["l_max"], 1), "filter_fn.modulation.deltas": draw(1, 1, channels)}


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["D"])}


def variant(**changes):
    return dict(D=4, l_max=65, order=2, filter_order=8, emb_dim=3, num_inner=2, shift=0.0) | changes


VARIANTS = [variant(), variant(D=3, order=3, l_max=20, emb_dim=5, shift=0.05), variant(D=19, l_max=7, num_inner=1)]
LAYERS = {"Hyena": Layer(hyena, VARIANTS, weights, inputs, lambda p: ("step", "conv", "chunk"))}
