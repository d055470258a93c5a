"""Mamba-3: S_t = alpha_t S_(t-1) + lam_t dt_t x_t k_t^T + alpha_t (1 - lam_t) dt_t x_(t-1) k_(t-1)^T, o_t = S_t q_t + D x_t,
alpha = exp(A dt); k and q turned by the running angle, the sum of pi tanh(angle) dt."""
import numpy as np

from .common import Layer, linear, rms_norm, sigmoid, silu, softplus


def turned(x, theta):
    """Pairs (2i, 2i + 1) of the last axis of x [b, h, N] turned by theta [b, h, a]; the rest stays."""
    y, pairs = x.copy(), 2 * theta.shape[-1]
    even, odd = x[..., 0:pairs:2], x[..., 1:pairs:2]
    y[..., 0:pairs:2] = np.cos(theta) * even - np.sin(theta) * odd
    y[..., 1:pairs:2] = np.sin(theta) * even + np.cos(theta) * odd
    return y


def run(q, k, v, adt, dt, trap, angles, theta, S, last_k, last_v):
    """q, k: [b, t, h, N]; v: [b, t, h, P]; adt, dt, trap: [b, t, h]; angles: [b, t, h, a]."""
    o = np.zeros_like(v)
    for t in range(q.shape[1]):
        theta = theta + np.pi * np.tanh(angles[:, t]) * dt[:, t, :, None]
        kr, qr, lam, alpha = turned(k[:, t], theta), turned(q[:, t], theta), sigmoid(trap[:, t]), np.exp(adt[:, t])
        write = lambda scale, x, y: np.einsum("bh,bhp,bhn->bhpn", scale, x, y)
        S = alpha[..., None, None] * S + write(lam * dt[:, t], v[:, t], kr) + write(alpha * (1 - lam) * dt[:, t], last_v, last_k)
        o[:, t] = np.einsum("bhpn,bhn->bhp", S, qr)
        last_k, last_v = kr, v[:, t]
    return o, theta, S, last_k, last_v


def scan(p, w, q, k, v, adt, dt, trap, angles, q_bias, k_bias, D=None, z=None, initial_angle=None, initial_state=None,
         initial_k=None, initial_v=None):
    b, H, P, N, source = q.shape[0], p["H"], p["P"], p["N"], np.arange(p["H"]) // (p["H"] // p["G"])
    start = lambda given, *shape: np.zeros((b, *shape)) if given is None else given
    o, theta, S, last_k, last_v = run(
        q[:, :, source] + q_bias, k[:, :, source] + k_bias, v, adt, dt, trap, angles, start(initial_angle, H, p["a"]),
        start(initial_state, H, P, N), start(initial_k, H, N), start(initial_v, H, P))
    o = o if D is None else o + D[:, None] * v
    return {"y": o if z is None else o * silu(z), "final_angle": theta % (2 * np.pi), "final_state": S, "final_k": last_k, "final_v": last_v}


def layer(p, w, x):
    b, L, D = x.shape
    E, G, N, P, a = p["expand"] * D, p["ngroups"], p["N"], p["headdim"], p["rope_angles"]
    H = E // P
    sizes = (E, E, G * N, G * N, H, H, H, a)
    z, u, B, C, dd_dt, dd_A, trap, angles = np.split(linear(w, "in_proj", x), np.cumsum(sizes)[:-1], axis=-1)
    source, heads = np.arange(H) // (H // G), lambda y: y.reshape(b, L, H, P)
    k = rms_norm(B.reshape(b, L, G, N), 1e-5, w["B_norm.weight"])[:, :, source] + w["B_bias"][:, 0]
    q = rms_norm(C.reshape(b, L, G, N), 1e-5, w["C_norm.weight"])[:, :, source] + w["C_bias"][:, 0]
    dt = softplus(dd_dt + w["dt_bias"])
    A = np.minimum(-(np.maximum(dd_A, 0) + 1 / (1 - np.minimum(dd_A, 0))), -p["A_floor"])
    o = run(q, k, heads(u), A * dt, dt, trap, np.broadcast_to(angles[:, :, None], (b, L, H, a)), np.zeros((b, H, a)),
            np.zeros((b, H, P, N)), np.zeros((b, H, N)), np.zeros((b, H, P)))[0] + w["D"][:, None] * heads(u)
    o = (rms_norm(o, 1e-5).reshape(b, L, E) * w["norm.weight"] if p["outproj_norm"] else o.reshape(b, L, E)) * silu(z)
    return {"y": linear(w, "out_proj", o)}


def scan_inputs(p, draw, b, L):
    H, P, N, G, a = p["H"], p["P"], p["N"], p["G"], p["a"]
    x = {"q": draw(b, L, G, N), "k": draw(b, L, G, N), "v": draw(b, L, H, P), "adt": -draw.between(0.01, 1, b, L, H),
         "dt": draw.between(0.01, 1, b, L, H), "trap": draw(b, L, H), "angles": draw(b, L, H, a), "q_bias": draw(H, N), "k_bias": draw(H, N)}
    if p["has_D"]:
        x["D"] = draw(H)
    if p["has_z"]:
        x["z"] = draw(b, L, H, P)
    if L % 2:
        x |= {"initial_angle": draw.between(0, 6, b, H, a), "initial_state": draw(b, H, P, N), "initial_k": draw(b, H, N),
              "initial_v": draw(b, H, P)}
    return x


def weights(p, draw):
    D, N, E = p["D"], p["N"], p["expand"] * p["D"]
    H = E // p["headdim"]
    w = {**draw.linear("in_proj", D, 2 * E + 2 * p["ngroups"] * N + 3 * H + p["rope_angles"], False), **draw.norm("B_norm", N),
         **draw.norm("C_norm", N), **draw.linear("out_proj", E, D, False), "B_bias": draw(H, 1, N), "C_bias": draw(H, 1, N), "D": draw(H),
         "dt_bias": draw(H)}
    return w | (draw.norm("norm", E) if p["outproj_norm"] else {})


def variant(**changes):
    return dict(D=8, N=8, headdim=4, ngroups=1, expand=2, rope_angles=2, A_floor=1e-4, outproj_norm=False) | changes


MODES = lambda p: ("step", "scan", "chunk")
LAYERS = {
    "Mamba3Scan": Layer(scan, [dict(H=2, P=4, N=8, G=1, a=2, has_D=True, has_z=True), dict(H=4, P=5, N=6, G=2, a=3, has_D=False, has_z=False),
                               dict(H=1, P=17, N=19, G=1, a=4, has_D=True, has_z=False)], lambda p, draw: {}, scan_inputs, MODES),
    "Mamba3": Layer(layer, [variant(), variant(N=6, ngroups=2, rope_angles=3, outproj_norm=True),
                            variant(D=9, N=17, headdim=6, expand=2, rope_angles=1, A_floor=0.5)],
                    weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, MODES),
}
