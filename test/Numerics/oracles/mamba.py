"""Mamba: h_t = exp(dt A) h_(t-1) + dt B_t u_t, y_t = C_t h_t + D u_t, with dt, B, C computed from the token."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, silu, softplus, under


def scan(u, dt, A, B, C, h):
    """u, dt: [b, t, E]; A: [E, N]; B, C: [b, t, E, N]; h: [b, E, N]."""
    y = np.zeros_like(u)
    for t in range(u.shape[1]):
        h = np.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * u[:, t])[:, :, None] * B[:, t]
        y[:, t] = np.sum(C[:, t] * h, axis=-1)
    return y, h


def selective_scan(p, w, u, delta, A, B, C, D=None, z=None, delta_bias=None, initial_state=None):
    E, R = p["E"], p["E"] // p["G"]
    dt = delta if delta_bias is None else delta + delta_bias
    dt = softplus(dt) if p["delta_softplus"] else dt
    group = np.arange(E) // R
    h = np.zeros((u.shape[0], E, p["N"])) if initial_state is None else initial_state
    y, h = scan(u, dt, A, B[:, :, group], C[:, :, group], h)
    y = y if D is None else y + D * u
    return {"y": y if z is None else y * silu(z), "final_state": h}


def mamba(p, w, x):
    E, N, R = p["expand"] * p["D"], p["N"], p["dt_rank"]
    u, z = np.split(linear(w, "in_proj", x), [E], axis=-1)
    u = silu(short_conv(w, "conv1d", u))
    low, B, C = np.split(linear(w, "x_proj", u), [R, R + N], axis=-1)
    if p.get("bcdt_rms_eps", 0) > 0:
        low, B, C = (rms_norm(v, p["bcdt_rms_eps"]) for v in (low, B, C))
    dt = softplus(linear(w, "dt_proj", low))
    wide = lambda v: np.broadcast_to(v[:, :, None, :], v.shape[:2] + (E, N))
    y, _ = scan(u, dt, -np.exp(w["A_log"]), wide(B), wide(C), np.zeros((x.shape[0], E, N)))
    return {"y": linear(w, "out_proj", (y + w["D"] * u) * silu(z))}


def language_model(p, w, ids):
    x = w["backbone.embeddings.weight"][ids]
    for i in range(p["depth"]):
        layer = under(w, f"backbone.layers.{i}")
        x = x + mamba(p, under(layer, "mixer"), rms_norm(x, p["eps"], layer["norm.weight"]))["y"]
    head = w["backbone.embeddings.weight" if p["tied"] else "lm_head.weight"]
    return {"logits": rms_norm(x, p["eps"], w["backbone.norm_f.weight"]) @ head.T}


def scan_inputs(p, draw, b, L):
    E, N, G = p["E"], p["N"], p["G"]
    x = {"u": draw(b, L, E), "A": -draw.between(0.2, 3, E, N), "B": draw(b, L, G, N), "C": draw(b, L, G, N)}
    x["delta"] = draw(b, L, E) if p["delta_softplus"] else draw.between(0.01, 0.5, b, L, E)
    if p["has_D"]:
        x["D"] = draw(E)
    if p["has_z"]:
        x["z"] = draw(b, L, E)
    if p["has_delta_bias"]:
        x["delta_bias"] = draw(E)
    return x | ({"initial_state": draw(b, E, N)} if L % 2 else {})


def block_weights(p, draw):
    D, N, R = p["D"], p["N"], p["dt_rank"]
    E = p["expand"] * D
    return {
        "A_log": draw.between(-1, 1.5, E, N), "D": draw(E),
        **draw.linear("in_proj", D, 2 * E, p["bias"]), **draw.conv("conv1d", E, p["d_conv"], p["conv_bias"]),
        **draw.linear("x_proj", E, R + 2 * N, False), **draw.linear("dt_proj", R, E),
        **draw.linear("out_proj", E, D, p["bias"])}


def model_weights(p, draw):
    V, D = p["V"], p["D"]
    w = {"backbone.embeddings.weight": draw(V, D), **draw.norm("backbone.norm_f", D)}
    for i in range(p["depth"]):
        layer = draw.norm("norm", D) | {"mixer." + name: value for name, value in block_weights(p, draw).items()}
        w |= {f"backbone.layers.{i}.{name}": value for name, value in layer.items()}
    return w if p["tied"] else w | {"lm_head.weight": draw(V, D)}


def tokens(p, draw, b, L):
    return {"ids": draw.integers(p["V"], b, L)}


MODEL = dict(V=37, D=16, depth=2, N=4, expand=2, d_conv=4, dt_rank=1, bias=False, conv_bias=True, eps=1e-5, tied=True)
LAYERS = {
    "SelectiveScan": Layer(
        selective_scan,
        [dict(E=6, N=4, G=1, has_D=True, has_z=True, has_delta_bias=True, delta_softplus=True),
         dict(E=9, N=5, G=3, has_D=False, has_z=False, has_delta_bias=False, delta_softplus=False),
         dict(E=35, N=16, G=1, has_D=True, has_z=False, has_delta_bias=True, delta_softplus=True)],
        lambda p, draw: {}, scan_inputs),
    "Mamba": Layer(
        mamba,
        [dict(D=8, N=4, expand=2, d_conv=4, dt_rank=1, bias=False, conv_bias=True),
         dict(D=5, N=3, expand=3, d_conv=3, dt_rank=2, bias=True, conv_bias=False),
         dict(D=20, N=16, expand=2, d_conv=4, dt_rank=2, bias=False, conv_bias=True),
         dict(D=6, N=5, expand=2, d_conv=2, dt_rank=3, bias=False, conv_bias=True, bcdt_rms_eps=1e-5)],
        block_weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}),
    "MambaLM": Layer(
        language_model, [MODEL, MODEL | dict(D=12, depth=3, dt_rank=2, tied=False)], model_weights, tokens),
}
