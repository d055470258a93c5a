"""S4ND as one sum over all axes, with the outer product of S4D's kernels as its kernel."""
import numpy as np

from . import s4d
from .common import Layer, as_complex, gelu, glu, linear, under


def axis_kernel(p, w, length):
    """[lag + length - 1, r, c, H]: lags of both signs; the kernel that looks ahead starts at lag -1."""
    copy = np.arange(p["H"]) % p["n_ssm"]
    A = (-np.exp(w["A_real"]) - 1j * w["A_imag"])[copy]
    K = s4d.kernel(A, as_complex(w["B"])[0, copy], as_complex(w["C"]), np.exp(w["inv_dt"][:, 0]), p["disc"], length)
    K = np.moveaxis(K.reshape(-1, p["trank"], p["channels"], p["H"], length), -1, 0)  # [length, side, r, c, H]
    both = np.zeros((2 * length - 1,) + K.shape[2:])
    both[length - 1:] = K[:, 0]
    if p["bidirectional"]:
        both[:length - 1] = K[length - 2::-1, 1] if length > 1 else 0
    return both


def convolve(p, w, u):
    """u: [b, axes..., H]. Gives [b, axes..., c, H]."""
    lengths = u.shape[1:-1]
    kernel = np.ones((1,) * len(lengths) + (p["trank"], p["channels"], p["H"]))
    for axis, length in enumerate(lengths):
        shape = [1] * len(lengths)
        shape[axis] = 2 * length - 1
        kernel = kernel * axis_kernel(p, under(w, f"kernel.{axis}"), length).reshape(shape + [p["trank"], p["channels"], p["H"]])
    kernel = kernel.sum(axis=len(lengths)) / p["trank"]
    y = np.zeros(u.shape[:-1] + (p["channels"], p["H"]))
    for token in np.ndindex(*lengths):
        # Lags from this token to all others.
        window = kernel[tuple(slice(t, t + length) for t, length in zip(token, lengths))]
        window = window[(slice(None, None, -1),) * len(lengths)]
        at = (slice(None),) + token
        y[at] = np.sum(window * u[..., None, :], axis=tuple(range(1, len(lengths) + 1)))
    return y


def s4nd(p, w, u):
    y = convolve(p, w, u) + w["D"] * u[..., None, :]
    return {"y": y.reshape(u.shape[:-1] + (-1,))}


def block(p, w, u):
    return {"y": glu(linear(w, "output_linear.0", gelu(s4nd(p, w, u)["y"])))}


def one_axis(p, w, u):
    """u: [b, t, r, c, H]."""
    kernel = axis_kernel(p, w, u.shape[1])
    y = np.zeros_like(u)
    for t in range(u.shape[1]):
        y[:, t] = np.sum(kernel[t:t + u.shape[1]][::-1] * u, axis=1)
    return {"y": y}


def axis_weights(p, draw, at=""):
    H, S, n = p["H"], p["n_ssm"], p["N"] // 2
    rows = (2 if p["bidirectional"] else 1) * p["trank"] * p["channels"]
    return {at + "inv_dt": draw.between(-4, -1, H, 1), at + "A_real": draw.between(-1, 0.5, S, n),
            at + "A_imag": draw.between(0, 10, S, n), at + "B": draw(1, S, n, 2), at + "C": draw(rows, H, n, 2)}


def weights(axes):
    def draw_all(p, draw):
        drawn = {"D": draw(p["channels"], p["H"])}
        for axis in range(axes):
            drawn |= axis_weights(p, draw, f"kernel.{axis}.")
        return drawn
    return draw_all


def block_weights(axes):
    return lambda p, draw: weights(axes)(p, draw) | draw.linear("output_linear.0", p["channels"] * p["H"], 2 * p["H"])


def inputs(axes):
    """The first axis is as long as is asked for, the others differ from it and from each other."""
    return lambda p, draw, b, L: {"u": draw(b, L, *((1,) if L == 1 else (2 + L % 5, 3))[:axes - 1], *((1,) if L == 1 and axes > 2 else ()), p["H"])}


def variant(**changes):
    return dict(H=4, N=8, disc="zoh", bidirectional=True, trank=1, channels=1, n_ssm=4) | changes


MODES = lambda p: ("scan", "chunk", "conv")
VARIANTS = [variant(), variant(H=6, N=6, n_ssm=3, disc="bilinear", trank=2, channels=2), variant(bidirectional=False),
            variant(H=5, n_ssm=5, bidirectional=False, trank=2, channels=3, disc="bilinear"), variant(n_ssm=2, trank=2)]
LAYERS = {
    "S4NDAxis": Layer(one_axis, VARIANTS[1:3], axis_weights,
                      lambda p, draw, b, L: {"u": draw(b, L, p["trank"], p["channels"], p["H"])}, MODES),
    "S4ND": Layer(s4nd, VARIANTS, weights(2), inputs(2), MODES),
    "S4NDBlock": Layer(block, VARIANTS[:3], block_weights(2), inputs(2), MODES),
    "S4ND3": Layer(s4nd, [VARIANTS[0], VARIANTS[1], VARIANTS[3]], weights(3), inputs(3), MODES),
    "S4ND3Block": Layer(block, VARIANTS[:1], block_weights(3), inputs(3), MODES),
}
