"""RetNet: S_t = gamma_h S_(t-1) + k_t v_t^T, o_t = S_t^T q_t, gamma_h = 1 - 2^(-5-h), with rotary positions."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, silu


def retain(q, k, v, S):
    """q, k: [b, t, h, K]; v: [b, t, h, V]; S: [b, h, K, V]."""
    gamma, o = 1 - 2.0**(-5 - np.arange(q.shape[2])), np.zeros_like(v)
    for t in range(q.shape[1]):
        S = gamma[:, None, None] * S + np.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
        o[:, t] = np.einsum("bhkv,bhk->bhv", S, q[:, t])
    return o, S


def turn(a, b, theta):
    """Pairs (a, b) of features turn by t * theta."""
    angle = np.arange(a.shape[1])[:, None, None] * theta
    return a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)


def retention(p, w, q, k, v, initial_state=None):
    S = np.zeros((q.shape[0], p["heads"], p["K"], p["V"])) if initial_state is None else initial_state
    o, S = retain(q, k, v, S)
    return {"y": p["K"]**-0.5 * o, "final_state": S}


def heads_of(x, heads):
    return x.reshape(x.shape[:2] + (heads, -1))


def multiscale(p, w, x):
    h, K = p["heads"], p["D"] // p["heads"]
    theta = 10000.0**-np.linspace(0, 1, K // 2)

    def rotary(v):
        return np.stack(turn(v[..., 0::2], v[..., 1::2], theta), axis=-1).reshape(v.shape)
    q, k, v = (heads_of(linear(w, name, x), h) for name in ("q_proj", "k_proj", "v_proj"))
    o, _ = retain(rotary(q), K**-0.5 * rotary(k), v, np.zeros((x.shape[0], h, K, v.shape[3])))
    o = rms_norm(o, p["eps"]).reshape(x.shape[:2] + (-1,))
    return {"y": linear(w, "out_proj", silu(linear(w, "g_proj", x)) * o)}


def fla(p, w, x):
    h, K = p["heads"], p["key_dim"] // p["heads"]
    theta = 10000.0**(-2 * np.arange(K // 2) / K)

    def projected(name):
        v = linear(w, name + "_proj", x)
        return heads_of(silu(short_conv(w, name + "_conv1d", v)) if p["use_short_conv"] else v, h)

    def rotary(v):
        return np.concatenate(turn(v[..., :K // 2], v[..., K // 2:], theta), axis=-1)
    q, k, v = (projected(name) for name in "qkv")
    o, _ = retain(rotary(q) * K**-0.5, rotary(k), v, np.zeros((x.shape[0], h, K, v.shape[3])))
    o = rms_norm(o, 1e-5, w["g_norm_swish_gate.weight" if p["output_gate"] else "g_norm.weight"]).reshape(x.shape[:2] + (-1,))
    return {"y": linear(w, "o_proj", o * silu(linear(w, "g_proj", x)) if p["output_gate"] else o)}


def retention_inputs(p, draw, b, L):
    h, K, V = p["heads"], p["K"], p["V"]
    x = {"q": draw(b, L, h, K), "k": draw(b, L, h, K), "v": draw(b, L, h, V)}
    return x | ({"initial_state": draw(b, h, K, V)} if L % 2 else {})


def multiscale_weights(p, draw):
    D, V = p["D"], p["value_dim"]
    return {**draw.linear("q_proj", D, D, False), **draw.linear("k_proj", D, D, False), **draw.linear("v_proj", D, V, False),
            **draw.linear("g_proj", D, V, False), **draw.linear("out_proj", V, D, False)}


def fla_weights(p, draw):
    D, K, V = p["D"], p["key_dim"], p["value_dim"]
    w = {**draw.linear("q_proj", D, K, False), **draw.linear("k_proj", D, K, False), **draw.linear("v_proj", D, V, False),
         **draw.linear("o_proj", V, D, False), **draw.norm("g_norm_swish_gate" if p["output_gate"] else "g_norm", V // p["heads"])}
    if p["output_gate"]:
        w |= draw.linear("g_proj", D, V, False)
    for name, size in (("q", K), ("k", K), ("v", V)) if p["use_short_conv"] else ():
        w |= draw.conv(name + "_conv1d", size, p["conv_size"], p["conv_bias"])
    return w


def fla_variant(**changes):
    return dict(D=8, heads=2, key_dim=8, value_dim=16, use_short_conv=False, conv_size=4, conv_bias=False, output_gate=True) | changes


def inputs(p, draw, b, L):
    return {"x": draw(b, L, p["D"])}


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "Retention": Layer(retention, [dict(heads=3, K=4, V=5), dict(heads=1, K=16, V=33)], lambda p, draw: {}, retention_inputs, MODES),
    "MultiScaleRetention": Layer(
        multiscale, [dict(D=8, heads=2, value_dim=8, eps=1e-6), dict(D=12, heads=3, value_dim=18, eps=1e-6), dict(D=6, heads=3, value_dim=9, eps=1e-5)],
        multiscale_weights, inputs, MODES),
    "RetNetFla": Layer(
        fla, [fla_variant(), fla_variant(use_short_conv=True, conv_bias=True, output_gate=False), fla_variant(heads=1, key_dim=6, value_dim=7, use_short_conv=True)],
        fla_weights, inputs, MODES),
}
