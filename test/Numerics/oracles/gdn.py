"""Gated DeltaNet: S~ = exp(g_t) S_(t-1), S_t = S~ + beta_t k_t (v_t - S~^T k_t)^T, o_t = K^-0.5 S_t^T q_t."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, sigmoid, silu, softplus
from .deltanet import delta, unit


def rule(p, w, q, k, v, beta, g, initial_state=None):
    S = np.zeros((q.shape[0], p["H"], p["K"], p["V"])) if initial_state is None else initial_state
    o, S = delta(q, k, v, beta, np.exp(g), S)
    return {"y": o, "final_state": S}


def layer(p, w, x):
    b, L, _ = x.shape
    heads, v_heads = p["heads"], p["v_heads"]
    source = np.arange(v_heads) // (v_heads // heads)

    def projected(name, count):
        y = linear(w, name + "_proj", x)
        return silu(short_conv(w, name + "_conv1d", y) if p["use_short_conv"] else y).reshape(b, L, count, -1)
    q, k, v = unit(projected("q", heads))[:, :, source], unit(projected("k", heads))[:, :, source], projected("v", v_heads)
    beta = sigmoid(linear(w, "b_proj", x)) * (2 if p["allow_neg_eigval"] else 1)
    g = -np.exp(w["A_log"]) * softplus(linear(w, "a_proj", x) + w["dt_bias"])
    o, _ = delta(q, k, v, beta, np.exp(g), np.zeros((b, v_heads, q.shape[3], v.shape[3])))
    o = rms_norm(o, 1e-5, w["o_norm.weight"]).reshape(b, L, -1)
    return {"y": linear(w, "o_proj", o * silu(linear(w, "g_proj", x)) if p["use_gate"] else o)}


def rule_inputs(p, draw, b, L):
    H, K, V = p["H"], p["K"], p["V"]
    x = {"q": draw(b, L, H, K), "k": draw.round(unit(draw(b, L, H, K))), "v": draw(b, L, H, V), "beta": draw.between(0, 2, b, L, H),
         "g": -draw.between(0.01, 1.5, b, L, H)}
    return x | ({"initial_state": draw(b, H, K, V)} if L % 2 else {})


def weights(p, draw):
    D, K, V = p["D"], p["heads"] * p["head_k_dim"], p["v_heads"] * p["head_v_dim"]
    w = {**draw.linear("q_proj", D, K, False), **draw.linear("k_proj", D, K, False), **draw.linear("v_proj", D, V, False),
         **draw.linear("o_proj", V, D, False), **draw.linear("a_proj", D, p["v_heads"], False), **draw.linear("b_proj", D, p["v_heads"], False),
         **draw.norm("o_norm", p["head_v_dim"]), "A_log": draw.between(-1, 1, p["v_heads"]), "dt_bias": draw(p["v_heads"])}
    if p["use_gate"]:
        w |= draw.linear("g_proj", D, V, False)
    for name, size in (("q", K), ("k", K), ("v", V)) if p["use_short_conv"] else ():
        w |= draw.conv(name + "_conv1d", size, p["conv_size"], p["conv_bias"])
    return w


def variant(**changes):
    return dict(D=8, heads=2, v_heads=2, head_k_dim=4, head_v_dim=8, use_gate=True, allow_neg_eigval=False, use_short_conv=True,
                conv_size=4, conv_bias=False) | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "GatedDeltaRule": Layer(rule, [dict(H=2, K=4, V=5), dict(H=1, K=33, V=17)], lambda p, draw: {}, rule_inputs, MODES),
    "GatedDeltaNet": Layer(
        layer, [variant(), variant(D=6, v_heads=4, head_k_dim=3, head_v_dim=3, allow_neg_eigval=True, conv_bias=True),
                variant(D=10, heads=1, v_heads=3, head_k_dim=19, head_v_dim=18, use_gate=False, use_short_conv=False)],
        weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, MODES),
}
