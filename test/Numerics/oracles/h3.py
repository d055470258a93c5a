"""H3: direct sums over the lags of the shift kernel, then of the kernel of the diagonal state space."""
import numpy as np

from .common import Layer, as_complex, linear, long_conv
from .s4d import kernel


def h3(p, w, u):
    D, N, i = p["D"], p["N"], p["head_dim"]
    H, (b, L) = D // i, u.shape[:2]
    q, k, v = (linear(w, name, u) for name in ("q_proj", "k_proj", "v_proj"))
    B, C = w["ssm_k_kernel.kernel.B"], w["ssm_k_kernel.kernel.C"][0]
    shift = np.array([[sum(B[d, n] * C[d, n + j] for n in range(N - j)) for d in range(D)] for j in range(N)])
    k = long_conv(shift, k) + w["ssm_k_D"] * k
    kv = np.einsum("bthi,bthj->bthij", k.reshape(b, L, H, i), v.reshape(b, L, H, i))
    at = "kernel.kernel."
    A = -np.exp(w[at + "inv_A_real"]) + 1j * w[at + "A_imag"]
    K = kernel(A, as_complex(w[at + "B"]), as_complex(w[at + "C"]), np.exp(w[at + "log_dt"]), p["disc"], L)[0]
    o = long_conv(K.T[:, :, None, None], kv) + w["D"][:, None, None] * kv
    y = np.einsum("bthi,bthij->btjh", q.reshape(b, L, H, i), o)
    return {"y": linear(w, "output_linear", y.reshape(b, L, D))}


def weights(p, draw):
    D, N, H = p["D"], p["N"], p["D"] // p["head_dim"]
    w = {"ssm_k_kernel.kernel.B": draw(D, N), "ssm_k_kernel.kernel.C": draw(1, D, N, std=N**-0.5), "ssm_k_D": draw(D), "D": draw(H)}
    at = "kernel.kernel."
    w |= {at + "inv_A_real": draw.between(-1, 0.5, H, N // 2), at + "A_imag": draw.between(0, 10, H, N // 2), at + "B": draw(H, N // 2, 2),
          at + "C": draw(1, H, N // 2, 2), at + "log_dt": draw.between(-4, -1, H)}
    for name in ("q_proj", "k_proj", "v_proj", "output_linear"):
        w |= draw.linear(name, D, D)
    return w


def variant(**changes):
    return dict(D=8, N=8, head_dim=1, disc="bilinear") | changes


VARIANTS = [variant(), variant(head_dim=2, disc="zoh"), variant(D=6, N=4, head_dim=3), variant(D=12, N=64, head_dim=4, disc="zoh")]
LAYERS = {"H3": Layer(h3, VARIANTS, weights, lambda p, draw, b, L: {"u": draw(b, L, p["D"])}, lambda p: ("step", "scan", "conv", "chunk"))}
