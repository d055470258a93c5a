"""HGRN2: S_t = diag(lam_t) S_(t-1) + (1 - lam_t) v_t^T, o_t = S_t^T q_t; lam = bound + (1 - bound) sigmoid(f)."""
import numpy as np

from .common import Layer, layer_norm, linear, rms_norm, short_conv, sigmoid, silu


def run(lam, v, q, size):
    """All [b, t, D]; heads of `size` keys and `size` values."""
    lam, v, q = (x.reshape(*x.shape[:2], -1, size) for x in (lam, v, q))
    S, o = np.zeros((lam.shape[0], lam.shape[2], size, size)), np.zeros_like(v)
    for t in range(lam.shape[1]):
        S = lam[:, t][..., None] * S + (1 - lam[:, t])[..., None] * v[:, t][:, :, None]
        o[:, t] = np.einsum("bhke,bhk->bhe", S, q[:, t])
    return o.reshape(*o.shape[:2], -1)


def official(p, w, x, lower_bound):
    v, q, f = np.split(linear(w, "in_proj", x), 3, axis=-1)
    v, q, lam = silu(v), sigmoid(q), lower_bound + (1 - lower_bound) * sigmoid(f)
    o = run(lam, v, q, p["expand_ratio"])
    if not p["causal"]:
        o = o + run(lam[:, ::-1], v[:, ::-1], q[:, ::-1], p["expand_ratio"])[:, ::-1]
    return {"y": linear(w, "out_proj", layer_norm(o, 1e-5, w["norm.weight"], w["norm.bias"]))}


def fla(p, w, x, lower_bound):
    def projected(name):
        y = linear(w, name + "_proj", x)
        return short_conv(w, name + "_conv1d", y) if p["use_short_conv"] else y
    lam = lower_bound + (1 - lower_bound) * sigmoid(projected("f"))
    o = run(lam, projected("i"), silu(projected("q")), p["expand_ratio"]) * p["expand_ratio"]**-0.5
    return {"y": linear(w, "o_proj", rms_norm(o, 1e-5, w["g_norm.weight"]))}


def official_weights(p, draw):
    D = p["D"]
    return {**draw.linear("in_proj", D, 3 * D, p["bias"]), **draw.norm("norm", D, "both"), **draw.linear("out_proj", D, D, p["bias"])}


def fla_weights(p, draw):
    D, w = p["D"], draw.norm("g_norm", p["D"])
    for name in "qfio":
        w |= draw.linear(name + "_proj", D, D, False)
    for name in "qfi" if p["use_short_conv"] else "":
        w |= draw.conv(name + "_conv1d", D, p["conv_size"], p["conv_bias"])
    return w


def inputs(p, draw, b, L):
    return {"x": draw(b, L, p["D"]), "lower_bound": draw.between(0, 0.9, p["D"])}


def variant(**changes):
    return dict(D=8, expand_ratio=4, use_short_conv=False, conv_size=4, conv_bias=False) | changes


LAYERS = {
    "HGRN2": Layer(official, [dict(D=8, expand_ratio=4, causal=True, bias=True), dict(D=15, expand_ratio=5, causal=False, bias=True),
                              dict(D=34, expand_ratio=17, causal=True, bias=False)],
                   official_weights, inputs, lambda p: ("step", "scan", "chunk") if p["causal"] else ("scan", "chunk")),
    "HGRN2Fla": Layer(fla, [variant(), variant(D=21, expand_ratio=7), variant(use_short_conv=True, conv_bias=True, conv_size=3)],
                      fla_weights, inputs, lambda p: ("step", "scan", "chunk")),
}
