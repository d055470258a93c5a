"""DSS: kernels from powers of the exponentials, then direct sums over the lags."""
import numpy as np

from .common import Layer, as_complex, gelu, linear, long_conv


def kernel(p, w, length):
    """[channels of both directions, H, length]."""
    if p["version"] == "softmax":
        lam = as_complex(w["kernel.Lambda"])
    else:
        imag = w["kernel.Lambda_im"] if p["version"] == "exp" else np.exp(w["kernel.Lambda_log_im"])
        lam = -np.exp(w["kernel.Lambda_log_neg_re"]) + 1j * imag
    dt = np.exp(w["kernel.log_dt"]).reshape(p["H"], -1)
    a = dt[:, :1] * lam.real + 1j * dt[:, -1:] * lam.imag
    W, lags = as_complex(w["kernel.W"]), np.arange(length)
    if p["version"] == "softmax":
        late = lam.real > 0
        e = np.where(late, -a, a)
        x = (np.exp(length * e) - 1) * lam
        W = W * (np.exp(e) - 1) * np.conj(x) / (np.abs(x) ** 2 + 1e-7)
        powers = np.exp(a[..., None] * (lags - (length - 1) * late[:, None]))
    else:
        W = W * (np.exp(a) - 1) * np.conj(lam) / np.maximum(np.abs(lam) ** 2, 1e-7)
        powers = np.exp(a[..., None] * lags)
    return np.einsum("chn,hnj->chj", W, powers).real


def dss(p, w, u):
    K = np.moveaxis(kernel(p, w, u.shape[1]), -1, 0)
    c = p["channels"]
    y = long_conv(K[:, :c], u[:, :, None]) + w["D"] * u[:, :, None]
    if p["bidirectional"]:
        y = y + long_conv(K[::-1, c:], u[:, :, None], -u.shape[1])
    return {"y": linear(w, "output_linear", gelu(y).reshape(u.shape[:2] + (-1,)))}


def weights(p, draw):
    H, N, c = p["H"], p["N"], p["channels"]
    w = {"kernel.W": draw((2 if p["bidirectional"] else 1) * c, H, N, 2), "D": draw(c, H),
         "kernel.log_dt": draw.between(-5, -1, H, 2) if p["sep_dt"] else draw.between(-5, -1, H)}
    if p["version"] == "softmax":  # some real parts are positive
        w["kernel.Lambda"] = np.stack([draw.between(-1, 0.5, N), draw.between(-10, 10, N)], axis=-1)
    else:
        w["kernel.Lambda_log_neg_re"] = draw.between(-1, 0.5, N)
        name, low, high = ("Lambda_im", 0, 10) if p["version"] == "exp" else ("Lambda_log_im", -1, 3)
        w["kernel." + name] = draw.between(low, high, N)
    return w | draw.linear("output_linear", c * H, H)


def variant(**changes):
    return dict(H=4, N=6, version="exp", channels=1, bidirectional=False, sep_dt=True) | changes


def modes(p):
    if p["version"] == "softmax":
        return ("conv", "chunk")
    return ("scan", "conv", "chunk") if p["bidirectional"] else ("step", "scan", "conv", "chunk")


VARIANTS = [variant(), variant(H=3, channels=2, bidirectional=True, sep_dt=False), variant(version="exp_re_im", N=5),
            variant(version="softmax"), variant(version="softmax", H=3, N=7, channels=2, bidirectional=True, sep_dt=False),
            variant(version="exp_re_im", H=17, N=9, channels=2, sep_dt=False)]
LAYERS = {"DSS": Layer(dss, VARIANTS, weights, lambda p, draw, b, L: {"u": draw(b, L, p["H"])}, modes)}
