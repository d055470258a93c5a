"""GLA: S_t = diag(exp(g_t)) S_(t-1) + k_t v_t^T, o_t = K^-0.5 S_t^T q_t, a decay per key feature."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, silu, softplus


def gated(q, k, v, g, S):
    """q, k, g: [b, t, h, K]; v: [b, t, h, V]; S: [b, h, K, V]."""
    o = np.zeros(q.shape[:3] + v.shape[3:])
    for t in range(q.shape[1]):
        S = np.exp(g[:, t])[..., None] * S + np.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
        o[:, t] = np.einsum("bhkv,bhk->bhv", S, q[:, t])
    return o * q.shape[3]**-0.5, S


def scan(p, w, q, k, v, g, initial_state=None):
    o, S = gated(q, k, v, g, np.zeros((q.shape[0], p["H"], p["K"], p["V"])) if initial_state is None else initial_state)
    return {"y": o, "final_state": S}


def gla(p, w, x):
    b, L, _ = x.shape
    heads, kv = p["heads"], p["kv_heads"]
    source = np.arange(heads) // (heads // kv)

    def projected(name, count):
        v = linear(w, name + "_proj", x)
        return (silu(short_conv(w, name + "_conv1d", v)) if p["use_short_conv"] else v).reshape(b, L, count, -1)
    q, k, v = projected("q", heads), projected("k", kv)[:, :, source], projected("v", kv)[:, :, source]
    g = -softplus(-linear(w, "gk_proj.1", linear(w, "gk_proj.0", x))) / p["gate_normalizer"]
    g = np.maximum(g, p["clamp_min"]) if p["clamp_min"] != 0 else g
    o, _ = gated(q, k, v, g.reshape(b, L, kv, -1)[:, :, source], np.zeros((b, heads, q.shape[3], v.shape[3])))
    o = rms_norm(o, 1e-5, w["g_norm_swish_gate.weight" if p["output_gate"] else "g_norm.weight"]).reshape(b, L, -1)
    return {"y": linear(w, "o_proj", o * silu(linear(w, "g_proj", x)) if p["output_gate"] else o)}


def scan_inputs(p, draw, b, L):
    H, K, V = p["H"], p["K"], p["V"]
    x = {"q": draw(b, L, H, K), "k": draw(b, L, H, K), "v": draw(b, L, H, V), "g": -draw.between(0.01, 1.5, b, L, H, K)}
    return x | ({"initial_state": draw(b, H, K, V)} if L % 2 else {})


def weights(p, draw):
    D, K, V = p["D"], p["key_dim"], p["value_dim"]
    kv_k, kv_v = K // p["heads"] * p["kv_heads"], V // p["heads"] * p["kv_heads"]
    w = {**draw.linear("q_proj", D, K, False), **draw.linear("k_proj", D, kv_k, False), **draw.linear("v_proj", D, kv_v, False),
         **draw.linear("gk_proj.0", D, p["gate_rank"], False), **draw.linear("gk_proj.1", p["gate_rank"], kv_k),
         **draw.linear("o_proj", V, D, False), **draw.norm("g_norm_swish_gate" if p["output_gate"] else "g_norm", V // p["heads"])}
    if p["output_gate"]:
        w |= draw.linear("g_proj", D, V, False)
    for name, size in (("q", K), ("k", kv_k), ("v", kv_v)) if p["use_short_conv"] else ():
        w |= draw.conv(name + "_conv1d", size, p["conv_size"], p["conv_bias"])
    return w


def variant(**changes):
    return dict(D=8, heads=2, kv_heads=2, key_dim=4, value_dim=8, use_short_conv=False, conv_size=4, conv_bias=False,
                gate_rank=4, gate_normalizer=16, clamp_min=0.0, output_gate=True) | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "GLAScan": Layer(scan, [dict(H=2, K=4, V=5), dict(H=1, K=17, V=16)], lambda p, draw: {}, scan_inputs, MODES),
    "GLA": Layer(
        gla, [variant(), variant(heads=4, kv_heads=2, key_dim=8, use_short_conv=True, conv_bias=True),
              variant(gate_normalizer=1, clamp_min=-0.7, output_gate=False), variant(heads=4, kv_heads=1, key_dim=12, value_dim=20, gate_rank=3)],
        weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, MODES),
}
