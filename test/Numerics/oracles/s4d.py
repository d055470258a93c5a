"""S4D as its convolution kernel, K[j] = 2 Re(sum_n C Bbar Abar^j), summed directly."""
import numpy as np

from .common import Layer, as_complex, gelu, glu, linear, long_conv


def kernel(A, B, C, dt, disc, length):
    """A, B: [H, n]; C: [c, H, n]; dt: [H]. Gives [c, H, length]."""
    a = dt[:, None] * A
    if disc == "zoh":
        step, drive = np.exp(a), B * np.expm1(a) / A
    else:
        step, drive = (1 + a / 2) / (1 - a / 2), B * dt[:, None] / (1 - a / 2)
    K, state = np.zeros(C.shape[:2] + (length,)), np.array(drive)
    for j in range(length):
        K[..., j] = 2 * np.real(np.sum(C * state, axis=-1))
        state = state * step
    return K


def convolve(K, u, ahead=False):
    """K: [c, H, taps]; u: [b, t, H]. Looks back from the current token, or ahead from the next one."""
    taps = np.moveaxis(K, -1, 0)
    return long_conv(taps[::-1], u[:, :, None], -len(taps)) if ahead else long_conv(taps, u[:, :, None])


def minimal(p, w, u):
    A = -np.exp(w["kernel.log_A_real"]) + 1j * w["kernel.A_imag"]
    K = kernel(A, np.ones_like(A), as_complex(w["kernel.C"])[None], np.exp(w["kernel.log_dt"]), "zoh", u.shape[1])
    return {"y": glu(linear(w, "output_linear.0", gelu(convolve(K, u)[:, :, 0] + w["D"] * u)))}


def s4d(p, w, u, at=""):
    copy = np.arange(p["H"]) % p["n_ssm"]
    A = (-np.exp(w[at + "kernel.A_real"]) - 1j * w[at + "kernel.A_imag"])[copy]
    B, C = as_complex(w[at + "kernel.B"])[0, copy], as_complex(w[at + "kernel.C"])
    taps = min(p["l_max"] or u.shape[1], u.shape[1])
    K = kernel(A, B, C, np.exp(w[at + "kernel.inv_dt"][:, 0]), p["disc"], taps)
    y = convolve(K[:p["channels"]], u) + w[at + "D"] * u[:, :, None]
    if p["bidirectional"]:
        y = y + convolve(K[p["channels"]:], u, ahead=True)
    return {"y": y.reshape(u.shape[:2] + (-1,))}


def block(p, w, u):
    return {"y": glu(linear(w, "output_linear.0", gelu(s4d(p, w, u, "layer.")["y"])))}


def minimal_weights(p, draw):
    H, n = p["H"], p["N"] // 2
    return {"kernel.log_dt": draw.between(-4, -1, H), "kernel.C": draw(H, n, 2), "kernel.log_A_real": draw.between(-1, 0.5, H, n),
            "kernel.A_imag": draw.between(0, 10, H, n), "D": draw(H), "output_linear.0.bias": draw(2 * H),
            "output_linear.0.weight": draw(2 * H, H, 1, std=H**-0.5)}


def s4d_weights(p, draw, at=""):
    H, S, n, c = p["H"], p["n_ssm"], p["N"] // 2, p["channels"]
    return {at + "kernel.inv_dt": draw.between(-4, -1, H, 1), at + "kernel.A_real": draw.between(-1, 0.5, S, n),
            at + "kernel.A_imag": draw.between(0, 10, S, n), at + "kernel.B": draw(1, S, n, 2),
            at + "kernel.C": draw((2 if p["bidirectional"] else 1) * c, H, n, 2), at + "D": draw(c, H)}


def block_weights(p, draw):
    return s4d_weights(p, draw, "layer.") | draw.linear("output_linear.0", p["channels"] * p["H"], 2 * p["H"])


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"])}


def variant(**changes):
    return dict(H=4, N=8, disc="zoh", n_ssm=4, channels=1, bidirectional=False, l_max=0) | changes


MODES = lambda p: ("scan", "chunk", "conv") if p.get("bidirectional") else ("step", "scan", "chunk", "conv")
VARIANTS = [variant(), variant(H=6, n_ssm=3, disc="bilinear", channels=2), variant(bidirectional=True, N=6),
            variant(n_ssm=2, disc="bilinear", channels=2, bidirectional=True), variant(l_max=5),
            variant(l_max=4, disc="bilinear", bidirectional=True)]
LAYERS = {
    "S4DMinimal": Layer(minimal, [dict(H=4, N=8), dict(H=5, N=6), dict(H=19, N=32)], minimal_weights, inputs, MODES),
    "S4D": Layer(s4d, VARIANTS, s4d_weights, inputs, MODES),
    "S4DBlock": Layer(block, VARIANTS[:4], block_weights, inputs, MODES),
}
