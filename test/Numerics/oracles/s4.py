"""S4 as its convolution kernel: the whole spectrum as one dense complex system, a solve a channel."""
import numpy as np

from .common import Layer, as_complex, gelu, glu, linear
from .s4d import convolve, inputs


def doubled(x):
    return np.concatenate([x, np.conj(x)], axis=-1)


def kernel(A, B, C, dt, taps, l_kernel=0):
    """A: [H, N, N], B: [H, N], C: [c, H, N], dt: [H]. Gives [c, H, taps], the real part."""
    eye = np.eye(A.shape[1])
    back = eye - dt[:, None, None] / 2 * A
    step = np.linalg.solve(back, eye + dt[:, None, None] / 2 * A)
    state = dt[:, None] * np.linalg.solve(back, B[..., None])[..., 0]
    if l_kernel:
        power = np.array([np.linalg.matrix_power(M, l_kernel) for M in step])
        C = np.linalg.solve(np.swapaxes(eye - power, 1, 2), C.transpose(1, 2, 0)).transpose(2, 0, 1)
    K = np.zeros(C.shape[:2] + (taps,))
    for j in range(taps):
        K[..., j] = np.real(np.sum(C * state, axis=-1))
        state = np.einsum("hnm,hm->hn", step, state)
    return K


def low_rank(lam, P):
    """diag(lam) - sum_r P_r P_r^*; lam: [H, N], P: [r, H, N]."""
    return lam[:, :, None] * np.eye(lam.shape[1]) - np.einsum("rhn,rhm->hnm", P, np.conj(P))


def s4(p, w, u, at=""):
    k = {name[len(at) + 7:]: value for name, value in w.items() if name.startswith(at + "kernel.")}
    copy = np.arange(p["H"]) % p["n_ssm"]
    lam = doubled(-np.exp(k["A_real"]) - 1j * k["A_imag"])[copy]
    B, P, C = (doubled(as_complex(k[name])) for name in ("B", "P", "C"))
    taps = min(p["l_max"] or u.shape[1], u.shape[1])
    K = kernel(low_rank(lam, P[:, copy]), B[0, copy], C, np.exp(k["inv_dt"][:, 0]), taps, p["l_kernel"])
    y = convolve(K[:p["channels"]], u) + w[at + "D"] * u[:, :, None]
    if p["bidirectional"]:
        y = y + convolve(K[p["channels"]:], u, ahead=True)
    return {"y": y.reshape(u.shape[:2] + (-1,))}


def block(p, w, u):
    return {"y": glu(linear(w, "output_linear.0", gelu(s4(p, w, u, "layer.")["y"])))}


def s4_weights(p, draw, at=""):
    H, S, n, c = p["H"], p["n_ssm"], p["N"] // 2, p["channels"]
    return {at + "kernel.inv_dt": draw.between(-4, -1, H, 1), at + "kernel.A_real": draw.between(-1, 0.5, S, n),
            at + "kernel.A_imag": draw.between(0, 10, S, n), at + "kernel.B": draw(1, S, n, 2),
            at + "kernel.P": draw(p["rank"], S, n, 2), at + "D": draw(c, H),
            at + "kernel.C": draw((2 if p["bidirectional"] else 1) * c, H, n, 2)}


def block_weights(p, draw):
    return s4_weights(p, draw, "layer.") | draw.linear("output_linear.0", p["channels"] * p["H"], 2 * p["H"])


def variant(**changes):
    return dict(H=4, N=8, rank=1, n_ssm=4, channels=1, bidirectional=False, l_max=0, l_kernel=0) | changes


MODES = lambda p: ("scan", "chunk", "conv") if p["bidirectional"] else ("step", "scan", "chunk", "conv")
VARIANTS = [variant(), variant(rank=2, n_ssm=2, channels=2), variant(N=2, bidirectional=True, l_kernel=40, channels=2),
            variant(H=3, n_ssm=3, rank=2, l_max=5), variant(H=18, n_ssm=9, N=64, rank=3, l_max=7, bidirectional=True),
            variant(rank=5, l_kernel=17)]
LAYERS = {
    "S4": Layer(s4, VARIANTS, s4_weights, inputs, MODES),
    "S4Block": Layer(block, VARIANTS[:3], block_weights, inputs, MODES),
}
