"""RWKV-7: S_t = S_(t-1) diag(w_t) + (S_(t-1) a_t) b_t^T + v_t k_t^T, o_t = S_t r_t; S: [value, key]."""
import numpy as np

from .common import Layer, linear, sigmoid


def run(r, w, k, v, a, b, S):
    """All [b, t, h, K]; w is the decay."""
    o = np.zeros_like(v)
    for t in range(r.shape[1]):
        held = np.einsum("bhvk,bhk->bhv", S, a[:, t])
        S = S * w[:, t][:, :, None] + held[..., None] * b[:, t][:, :, None] + v[:, t][..., None] * k[:, t][:, :, None]
        o[:, t] = np.einsum("bhvk,bhk->bhv", S, r[:, t])
    return o, S


def scan(p, weights, r, w, k, v, a, b, initial_state=None):
    S = np.zeros((r.shape[0], p["H"], p["K"], p["K"])) if initial_state is None else initial_state
    o, S = run(r, np.exp(-np.exp(w)), k, v, a, b, S)
    return {"y": o, "final_state": S}


def time_mix(p, w, x, v_first):
    b, L, D = x.shape
    heads = lambda y: y.reshape(b, L, D // p["head_size"], p["head_size"])
    shift = np.concatenate([np.zeros((b, 1, D)), x[:, :-1]], axis=1) - x
    mix = {name: x + shift * w["x_" + name] for name in "rwkvag"}
    low_rank = lambda name, inner: w[name + "0"] + inner @ w[name + "2"]
    r, k, v = linear(w, "receptance", mix["r"]), linear(w, "key", mix["k"]), linear(w, "value", mix["v"])
    decay = np.exp(-np.exp(-0.5) * sigmoid(low_rank("w", np.tanh(mix["w"] @ w["w1"]))))
    a = sigmoid(low_rank("a", mix["a"] @ w["a1"]))
    g = sigmoid(mix["g"] @ w["g1"]) @ w["g2"]
    if p["first_layer"]:
        v_first = v
    else:
        v = v + (v_first - v) * sigmoid(low_rank("v", mix["v"] @ w["v1"]))
    kk = heads(k * w["k_k"])
    kk = kk / np.maximum(np.sqrt((kk * kk).sum(axis=-1, keepdims=True)), 1e-12)
    k = k * (1 + (a - 1) * w["k_a"])
    r, k, v = heads(r), heads(k), heads(v)
    o, _ = run(r, heads(decay), k, v, -kk, kk * heads(a), np.zeros((b, D // p["head_size"], p["head_size"], p["head_size"])))
    o = o - o.mean(axis=-1, keepdims=True)
    o = o / np.sqrt((o * o).mean(axis=-1, keepdims=True) + 64e-5)
    o = o.reshape(b, L, D) * w["ln_x.weight"] + w["ln_x.bias"]
    o = o + ((r * k * w["r_k"]).sum(axis=-1, keepdims=True) * v).reshape(b, L, D)
    return {"y": linear(w, "output", o * g), "v_first_out": v_first}


def scan_inputs(p, draw, b, L):
    shape = (b, L, p["H"], p["K"])
    kk = draw(*shape)
    kk = draw.round(kk / np.sqrt((kk * kk).sum(axis=-1, keepdims=True)))
    x = {"r": draw(*shape), "w": draw.between(-3, 1, *shape), "k": draw(*shape), "v": draw(*shape), "a": -kk,
         "b": draw.round(kk * draw.between(0, 1, *shape))}
    return x | ({"initial_state": draw(b, p["H"], p["K"], p["K"])} if L % 2 else {})


def weights(p, draw):
    D, w = p["D"], {}
    for name in "rwkvag":
        w["x_" + name] = draw.between(0, 1, 1, 1, D)
    w |= {"k_k": draw.between(0.5, 1, 1, 1, D), "k_a": draw.between(0.5, 1, 1, 1, D), "r_k": draw(D // p["head_size"], p["head_size"], std=0.3)}
    for name, rank in (("w", "decay_rank"), ("a", "a_rank"), ("g", "gate_rank")) + (() if p["first_layer"] else (("v", "v_rank"),)):
        w |= {name + "1": draw(D, p[rank], std=D**-0.5), name + "2": draw(p[rank], D, std=p[rank]**-0.5)}
        if name != "g":
            w[name + "0"] = draw(1, 1, D)
    for name in ("receptance", "key", "value", "output"):
        w |= draw.linear(name, D, D, False)
    return w | draw.norm("ln_x", D, "both")


def variant(**changes):
    return dict(D=8, head_size=4, first_layer=False, decay_rank=3, a_rank=2, v_rank=2, gate_rank=4) | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "RWKV7Scan": Layer(scan, [dict(H=2, K=4), dict(H=1, K=33), dict(H=3, K=17)], lambda p, draw: {}, scan_inputs, MODES),
    "RWKV7TimeMix": Layer(
        time_mix, [variant(), variant(first_layer=True), variant(D=15, head_size=5, decay_rank=2, a_rank=3, v_rank=1, gate_rank=7),
                   variant(D=38, head_size=19, first_layer=True)],
        weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"]), "v_first": draw(b, L, p["D"])}, MODES),
}
