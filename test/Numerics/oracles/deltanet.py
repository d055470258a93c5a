"""DeltaNet: S_t = S_(t-1) + beta_t k_t (v_t - S_(t-1)^T k_t)^T, o_t = K^-0.5 S_t^T q_t."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, sigmoid, silu


def delta(q, k, v, beta, decay, S):
    """q, k: [b, t, h, K]; v: [b, t, h, V]; beta, decay: [b, t, h]; S: [b, h, K, V]. Decay first, then erase."""
    o = np.zeros_like(v)
    for t in range(q.shape[1]):
        S = decay[:, t, :, None, None] * S
        held = np.einsum("bhkv,bhk->bhv", S, k[:, t])
        S = S + np.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], v[:, t] - held)
        o[:, t] = np.einsum("bhkv,bhk->bhv", S, q[:, t])
    return o * q.shape[3]**-0.5, S


def unit(x):
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True) + 1e-6)


def rule(p, w, q, k, v, beta, initial_state=None):
    S = np.zeros((q.shape[0], p["H"], p["K"], p["V"])) if initial_state is None else initial_state
    o, S = delta(q, k, v, beta, np.ones_like(beta), S)
    return {"y": o, "final_state": S}


FEATURES = {"silu": silu, "relu": lambda x: np.maximum(x, 0), "elu": lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))),
            "identity": lambda x: x}


def deltanet(p, w, x):
    b, L, _ = x.shape
    heads = p["heads"]

    def projected(name):
        y = linear(w, name + "_proj", x)
        return short_conv(w, name + "_conv1d", y) if p["use_short_conv"] else y

    def feature(name):
        y = FEATURES[p["qk_activation"]](projected(name)).reshape(b, L, heads, -1)
        return unit(y) if p["qk_norm"] == "l2" else y / y.sum(axis=-1, keepdims=True)
    q, k, v = feature("q"), feature("k"), silu(projected("v")).reshape(b, L, heads, -1)
    beta = sigmoid(linear(w, "b_proj", x)) if p["use_beta"] else np.ones((b, L, heads))
    beta = beta * (2 if p["allow_neg_eigval"] else 1)
    o, _ = delta(q, k, v, beta, np.ones_like(beta), np.zeros((b, heads, q.shape[3], v.shape[3])))
    o = rms_norm(o, 1e-5, w["o_norm.weight"]).reshape(b, L, -1)
    return {"y": linear(w, "o_proj", o * silu(linear(w, "g_proj", x)) if p["use_gate"] else o)}


def rule_inputs(p, draw, b, L):
    H, K, V = p["H"], p["K"], p["V"]
    x = {"q": draw(b, L, H, K), "k": draw.round(unit(draw(b, L, H, K))), "v": draw(b, L, H, V), "beta": draw.between(0, 2, b, L, H)}
    return x | ({"initial_state": draw(b, H, K, V)} if L % 2 else {})


def weights(p, draw):
    D, K, V = p["D"], p["key_dim"], p["value_dim"]
    w = {**draw.linear("q_proj", D, K, False), **draw.linear("k_proj", D, K, False), **draw.linear("v_proj", D, V, False),
         **draw.linear("o_proj", V, D, False), **draw.norm("o_norm", V // p["heads"])}
    if p["use_beta"]:
        w |= draw.linear("b_proj", D, p["heads"], False)
    if p["use_gate"]:
        w |= draw.linear("g_proj", D, V, False)
    for name, size in (("q", K), ("k", K), ("v", V)) if p["use_short_conv"] else ():
        w |= draw.conv(name + "_conv1d", size, p["conv_size"], p["conv_bias"])
    return w


def variant(**changes):
    return dict(D=8, heads=2, key_dim=8, value_dim=8, use_beta=True, use_gate=False, allow_neg_eigval=False, use_short_conv=True,
                conv_size=4, conv_bias=False, qk_activation="silu", qk_norm="l2") | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "DeltaRule": Layer(rule, [dict(H=2, K=4, V=3), dict(H=1, K=17, V=33), dict(H=3, K=1, V=2)], lambda p, draw: {}, rule_inputs, MODES),
    "DeltaNet": Layer(
        deltanet, [variant(), variant(D=6, key_dim=6, value_dim=12, use_gate=True, conv_bias=True, qk_activation="elu", qk_norm="sum"),
                   variant(use_beta=False, use_short_conv=False, qk_activation="relu"),
                   variant(D=9, heads=3, key_dim=15, value_dim=51, allow_neg_eigval=True, qk_activation="identity")],
        weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, MODES),
}
