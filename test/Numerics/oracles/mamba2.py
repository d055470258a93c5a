"""Mamba-2: S_t = exp(dt A) S_(t-1) + dt x_t B_t^T, y_t = S_t C_t + D x_t, one decay per head."""
import numpy as np

from .common import Layer, linear, rms_norm, short_conv, silu, softplus


def scan(x, dt, A, B, C, S):
    """x: [b, t, H, P]; dt: [b, t, H]; A: [H]; B, C: [b, t, G, N], head h uses group h // (H / G); S: [b, H, P, N]."""
    group = np.arange(x.shape[2]) // (x.shape[2] // B.shape[2])
    y = np.zeros_like(x)
    for t in range(x.shape[1]):
        write = np.einsum("bhp,bhn->bhpn", dt[:, t, :, None] * x[:, t], B[:, t, group])
        S = np.exp(dt[:, t] * A)[:, :, None, None] * S + write
        y[:, t] = np.einsum("bhpn,bhn->bhp", S, C[:, t, group])
    return y, S


def ssd(p, w, x, dt, A, B, C, D=None, initial_state=None):
    S = np.zeros((x.shape[0], p["H"], p["P"], p["N"])) if initial_state is None else initial_state
    y, S = scan(x, dt, A, B, C, S)
    return {"y": y if D is None else y + D[:, None] * x, "final_state": S}


def mamba2(p, w, x):
    b, L, _ = x.shape
    ds, P, N, G = p["d_ssm"], p["headdim"], p["N"], p["ngroups"]
    H, M = ds // P, p["expand"] * p["D"] - ds
    z0, x0, z, xBC, dt = np.split(linear(w, "in_proj", x), np.cumsum([M, M, ds, ds + 2 * G * N]), axis=-1)
    u, B, C = np.split(silu(short_conv(w, "conv1d", xBC)), [ds, ds + G * N], axis=-1)
    dt = np.clip(softplus(dt + w["dt_bias"]), p["dt_limit_lo"], p["dt_limit_hi"])
    u = u.reshape(b, L, H, P)
    y, _ = scan(u, dt, -np.exp(w["A_log"]), B.reshape(b, L, G, N), C.reshape(b, L, G, N), np.zeros((b, H, P, N)))
    y = (y + (w["D"].reshape(H, P) if p["D_has_hdim"] else w["D"][:, None]) * u).reshape(b, L, ds)
    norm = lambda v: rms_norm(v.reshape(b, L, G, ds // G), 1e-5).reshape(b, L, ds) * w["norm.weight"]
    if not p["rmsnorm"]:
        y = y * silu(z)
    else:
        y = norm(y) * silu(z) if p["norm_before_gate"] else norm(y * silu(z))
    return {"y": linear(w, "out_proj", np.concatenate([silu(z0) * x0, y], axis=-1))}


def ssd_inputs(p, draw, b, L):
    H, P, N, G = p["H"], p["P"], p["N"], p["G"]
    x = {"x": draw(b, L, H, P), "dt": draw.between(0.01, 0.5, b, L, H), "A": -draw.between(0.2, 3, H),
         "B": draw(b, L, G, N), "C": draw(b, L, G, N)}
    return x | ({"D": draw(H)} if p["has_D"] else {}) | ({"initial_state": draw(b, H, P, N)} if L % 2 else {})


def block_weights(p, draw):
    D, ds = p["D"], p["d_ssm"]
    H, width, conv = ds // p["headdim"], p["expand"] * D, ds + 2 * p["ngroups"] * p["N"]
    w = {"A_log": draw.between(-1, 1.5, H), "dt_bias": draw(H), "D": draw(ds if p["D_has_hdim"] else H),
         **draw.linear("in_proj", D, 2 * (width - ds) + ds + conv + H, p["bias"]),
         **draw.conv("conv1d", conv, p["d_conv"], p["conv_bias"]), **draw.linear("out_proj", width, D, p["bias"])}
    return w | (draw.norm("norm", ds) if p["rmsnorm"] else {})


def block(**changes):
    return dict(D=8, N=4, headdim=4, ngroups=1, expand=2, d_conv=4, d_ssm=16, D_has_hdim=False, rmsnorm=True,
                norm_before_gate=False, dt_limit_lo=0.0, dt_limit_hi=1e30, bias=False, conv_bias=True) | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "SSD": Layer(
        ssd, [dict(H=4, P=3, N=5, G=1, has_D=False), dict(H=6, P=4, N=7, G=3, has_D=True), dict(H=2, P=33, N=16, G=1, has_D=True)],
        lambda p, draw: {}, ssd_inputs, MODES),
    "Mamba2": Layer(
        mamba2,
        [block(), block(ngroups=2, N=5, D_has_hdim=True, norm_before_gate=True, bias=True),
         block(rmsnorm=False, dt_limit_lo=0.3, dt_limit_hi=0.9, conv_bias=False, d_conv=3),
         block(d_ssm=8, headdim=2), block(D=12, d_ssm=24, headdim=8, N=3)],
        block_weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, MODES),
}
