"""LRU: x_t = lam x_(t-1) + B u_t, y_t = Re(C x_t) + D u_t, all complex, nothing doubled."""
import numpy as np

from .common import Layer, dense, flax_norm, gelu_tanh, sigmoid, under


def lru(p, w, u):
    lam = np.exp(-np.exp(w["nu_log"]) + 1j * np.exp(w["theta_log"]))
    B = np.exp(w["gamma_log"])[:, None] * (w["B_re"] + 1j * w["B_im"])
    C = w["C_re"] + 1j * w["C_im"]
    x, y = np.zeros((u.shape[0], p["N"]), complex), np.zeros_like(u)
    for t in range(u.shape[1]):
        x = lam * x + u[:, t] @ B.T
        y[:, t] = np.real(x @ C.T) + w["D"] * u[:, t]
    return {"y": y, "final_state": np.stack([x.real, x.imag], axis=-1)}


def block(p, w, u):
    norm = lambda x: flax_norm(w, "normalization", p["norm"], x)
    g = gelu_tanh(lru(p, under(w, "seq"), norm(u) if p["prenorm"] else u)["y"])
    y = u + dense(w, "out1", g) * sigmoid(dense(w, "out2", g))
    return {"y": y if p["prenorm"] else norm(y)}


def weights(p, draw, at=""):
    H, N = p["H"], p["N"]
    return {at + "nu_log": draw.between(-4, 0, N), at + "theta_log": draw.between(-3, 1.5, N), at + "gamma_log": draw.between(-1.5, 0, N),
            at + "B_re": draw(N, H, std=H**-0.5), at + "B_im": draw(N, H, std=H**-0.5),
            at + "C_re": draw(H, N, std=N**-0.5), at + "C_im": draw(H, N, std=N**-0.5), at + "D": draw(H)}


def block_weights(p, draw):
    H = p["H"]
    return {**weights(p, draw, "seq."), **draw.norm("normalization", H, p["norm"]), **draw.dense("out1", H, H), **draw.dense("out2", H, H)}


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"])}


MODES = lambda p: ("step", "scan", "chunk", "conv")
LAYERS = {
    "LRU": Layer(lru, [dict(H=4, N=8), dict(H=3, N=5), dict(H=18, N=33)], weights, inputs, MODES),
    "LRUBlock": Layer(block, [dict(H=6, N=8, norm="layer", prenorm=True), dict(H=4, N=5, norm="batch", prenorm=False),
                              dict(H=5, N=3, norm="layer", prenorm=False)], block_weights, inputs, MODES),
}
