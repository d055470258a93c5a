"""HGRN: h_t = lam h_(t-1) + (1 - lam) c_t, lam = bound + (1 - bound) sigmoid(f); complex with a fixed phase, or real."""
import numpy as np

from .common import Layer, layer_norm, linear, rms_norm, short_conv, sigmoid, silu


def run(decay, write):
    h, out = np.zeros_like(write[:, 0]) if write.shape[1] else None, np.zeros_like(write)
    for t in range(write.shape[1]):
        h = decay[:, t] * h + write[:, t]
        out[:, t] = h
    return out


def scan(p, w, x, g, initial_state=None):
    h, y = np.zeros_like(x[:, 0]) if initial_state is None else initial_state, np.zeros_like(x)
    for t in range(x.shape[1]):
        h = np.exp(g[:, t]) * h + x[:, t]
        y[:, t] = h
    return {"y": y, "final_state": h}


def hgrn(p, w, x, lower_bound):
    c = silu(linear(w, "input_proj", x))
    c = c[..., 0::2] + 1j * c[..., 1::2]
    lam = lower_bound + (1 - lower_bound) * sigmoid(linear(w, "lambda_proj", x))
    decay, write = lam * np.exp(1j * w["theta"][0, 0]), (1 - lam) * c
    h = run(decay, write)
    if not p["causal"]:
        h = h + run(decay[:, ::-1], write[:, ::-1])[:, ::-1]
    f = layer_norm(np.concatenate([h.real, h.imag], axis=-1), 1e-5, w["norm.weight"], w["norm.bias"])
    return {"y": linear(w, "out_proj", f * silu(linear(w, "gate", x)))}


def real(p, w, x, lower_bound):
    i, f = linear(w, "i_proj", x), linear(w, "f_proj", x)
    if p["use_short_conv"]:
        i, f = short_conv(w, "i_conv1d", i), short_conv(w, "f_conv1d", f)
    lam = lower_bound + (1 - lower_bound) * sigmoid(f)
    h = run(lam, (1 - lam) * silu(i))
    return {"y": linear(w, "o_proj", rms_norm(h, 1e-5, w["g_norm.weight"]) * silu(linear(w, "g_proj", x)))}


def hgrn_weights(p, draw):
    D, bias = p["D"], p["bias"]
    return {"theta": draw.between(0, 1, 1, 1, D), **draw.linear("input_proj", D, 2 * D, bias), **draw.linear("lambda_proj", D, D, bias),
            **draw.linear("gate", D, 2 * D, bias), **draw.linear("out_proj", 2 * D, D, bias), **draw.norm("norm", 2 * D, "both")}


def real_weights(p, draw):
    D, E = p["D"], p["expand_ratio"] * p["D"]
    w = {**draw.linear("i_proj", D, E, False), **draw.linear("f_proj", D, E, False), **draw.linear("g_proj", D, E, False),
         **draw.linear("o_proj", E, D, False), **draw.norm("g_norm", E)}
    for name in ("i_conv1d", "f_conv1d") if p["use_short_conv"] else ():
        w |= draw.conv(name, E, p["conv_size"], p["conv_bias"])
    return w


def scan_inputs(p, draw, b, L):
    x = {"x": draw(b, L, p["E"]), "g": -draw.between(0.01, 2, b, L, p["E"])}
    return x | ({"initial_state": draw(b, p["E"])} if L % 2 else {})


def bounded(width):
    return lambda p, draw, b, L: {"x": draw(b, L, p["D"]), "lower_bound": draw.between(0, 0.9, width(p))}


def real_variant(**changes):
    return dict(D=8, expand_ratio=1, use_short_conv=False, conv_size=4, conv_bias=False) | changes


LAYERS = {
    "HGRNScan": Layer(scan, [dict(E=5), dict(E=33)], lambda p, draw: {}, scan_inputs),
    "HGRN": Layer(hgrn, [dict(D=6, causal=True, bias=True), dict(D=5, causal=False, bias=True), dict(D=17, causal=True, bias=False)],
                  hgrn_weights, bounded(lambda p: p["D"]), lambda p: ("step", "scan") if p["causal"] else ("scan",)),
    "HGRNReal": Layer(real, [real_variant(), real_variant(D=5, expand_ratio=2), real_variant(use_short_conv=True, conv_bias=True, conv_size=3)],
                      real_weights, bounded(lambda p: p["expand_ratio"] * p["D"])),
}
