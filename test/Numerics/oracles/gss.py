"""GSS: the state space step by step on the narrow width, between dense maps and a gate."""
import numpy as np

from .common import Layer, gelu, layer_norm, linear


def norm(w, name, x):
    return layer_norm(x, 1e-5, w[name + ".weight"], w[name + ".bias"])


def gss(p, w, u):
    x = norm(w, "norm", u)
    v = norm(w, "dss.norm", gelu(linear(w, "to_v.0", x)))
    imag = w["dss.Lambda_imag"]
    lam = -np.exp(w["dss.Lambda_real"]) + 1j * (np.exp(imag) if p["imag_exp"] else imag)
    C = (w["dss.C_real"] + 1j * w["dss.C_imag"]) * (np.exp(lam) - 1) / lam
    s, o = np.zeros((len(u), p["H"], p["N"]), complex), np.zeros(v.shape)
    for t in reversed(range(u.shape[1])) if p["reverse"] else range(u.shape[1]):
        s = np.exp(lam) * s + v[:, t, :, None]
        o[:, t] = np.sum(C * s, axis=-1).real
    o = linear(w, "to_gate", o + w["dss.param_D"] * v) * gelu(linear(w, "to_u.0", x))
    return {"y": linear(w, "to_out", o) + u}


def weights(p, draw):
    D, H, N, F = p["D"], p["H"], p["N"], p["expand"] * p["D"]
    return {"dss.Lambda_real": draw.between(-3, 0, N), "dss.Lambda_imag": draw.between(-1, 1, N), "dss.C_real": draw(H, N),
            "dss.C_imag": draw(H, N), "dss.param_D": draw(H), **draw.norm("norm", D, "both"), **draw.norm("dss.norm", H, "both"),
            **draw.linear("to_u.0", D, F, False), **draw.linear("to_v.0", D, H, False), **draw.linear("to_gate", H, F, False),
            **draw.linear("to_out", F, D)}


def variant(**changes):
    return dict(D=8, H=4, N=6, expand=4, reverse=False, imag_exp=True) | changes


VARIANTS = [variant(), variant(D=6, H=5, N=7, expand=2, reverse=True, imag_exp=False), variant(D=5, H=17, N=3, expand=1, imag_exp=False)]
LAYERS = {"GSS": Layer(gss, VARIANTS, weights, lambda p, draw, b, L: {"u": draw(b, L, p["D"])},
                       lambda p: ("scan", "conv", "chunk") if p["reverse"] else ("step", "scan", "conv", "chunk"))}
