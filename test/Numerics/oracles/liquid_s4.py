"""Liquid-S4: the kernel of S4's oracle, the liquid terms with numpy's transforms; the recurrence itself token by token."""
import itertools
import math

import numpy as np

from .common import Layer, as_complex, gelu, glu, linear
from .s4 import doubled, kernel, low_rank
from .s4d import convolve


def products(u, L, p):
    count = next((s for s in range(2, L) if math.comb(s, p) >= L), 1)
    rows = list(itertools.combinations(range(L - count, L), p))[-L:]
    us = np.zeros_like(u)
    for t, row in enumerate(rows):
        us[:, t] = np.prod([u[:, k] for k in row], axis=0)
    return us


def liquid(p, w, u):
    L, own = p["L"], {name[14:]: value for name, value in w.items() if name.startswith("kernel.kernel.")}
    B = as_complex(own["B"]).reshape(p["H"], -1)
    if p["mode"] == "nplr":
        lam, P = -np.exp(own["inv_w_real"]) + 1j * own["w_imag"], as_complex(own["P"])
    else:
        lam, P = -np.exp(own["inv_A_real"]) + 1j * own["A_imag"], 0 * B[None]
    A = low_rank(doubled(lam), doubled(P))
    K = kernel(A, doubled(B), doubled(as_complex(own["C"])), np.exp(own["log_dt"]), L)
    y = convolve(K[:1], u)[:, :, 0] + w["D"] * u
    if p["bidirectional"]:
        y = y + convolve(K[1:], u, ahead=True)[:, :, 0]
    step, C0 = np.exp(w["kernel.log_dt"])[:, None], doubled(as_complex(w["kernel.C"]))
    G = step * doubled(as_complex(w["kernel.B"])) / (1 - step / 2 * doubled(as_complex(w["kernel.w"])))
    sigma = np.real(G.sum(-1))
    buffer = np.concatenate([K[0], K[1][:, ::-1]], axis=-1) if p["bidirectional"] else K[0]
    us = u
    for degree in range(2, p["degree"] + 1):
        us = products(u, L, degree) if p["allcombs"] else us * np.pad(us, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        f = {"none": lambda x: x, "tanh": np.tanh, "lecun": lambda x: 1.7159 * np.tanh(0.666 * x)}[p["contract"]](us)
        G, buffer = G * G.sum(-1, keepdims=True), buffer * sigma[:, None]
        if p["liquid"] == "polyb":
            y = y + f[:, ::-1] * np.real((C0[0] * G).sum(-1))
            if p["bidirectional"]:
                y = y + f * np.real((C0[1] * G).sum(-1))
        else:
            spectrum = np.fft.rfft(f[:, ::-1], 2 * L, axis=1) * np.fft.fft(buffer, L + 1, axis=-1).T
            y = y + np.fft.irfft(spectrum, 2 * L, axis=1)[:, :L]
    return {"y": y}


def block(p, w, u):
    return {"y": glu(linear(w, "output_linear.0", gelu(liquid(p, w, u)["y"])))}


def scan(p, w, u):
    step, lam = np.exp(w["log_step"]), as_complex(w["Lambda"])
    a = lam * step
    if p["disc"] == "zoh":
        decay, gain = np.exp(a), np.expm1(a) / lam
    else:
        decay, gain = (1 + a / 2) / (1 - a / 2), step / (1 - a / 2)
    x, y = np.zeros((u.shape[0], p["P"]), complex), np.zeros_like(u)
    for t in range(u.shape[1]):
        v = u[:, t] @ (gain[:, None] * as_complex(w["B"])).T
        x = (decay + v) * x + v
        y[:, t] = np.real(x @ as_complex(w["C"]).T) + w["D"] * u[:, t]
    return {"y": y, "final_state": np.stack([x.real, x.imag], axis=-1)}


def liquid_weights(p, draw):
    H, n, g = p["H"], p["N"] // 2, 2 if p["bidirectional"] else 1
    re, im = ("inv_w_real", "w_imag") if p["mode"] == "nplr" else ("inv_A_real", "A_imag")
    own = {"log_dt": draw.between(-3, -1, H), "C": draw(g, H, n, 2), re: draw.between(-1, 0.5, H, n),
           im: draw.between(0, 10, H, n)}
    own |= {"B": draw(1, H, n, 2), "P": draw(1, H, n, 2)} if p["mode"] == "nplr" else {"B": draw(H, n, 2)}
    return {"kernel.kernel." + name: value for name, value in own.items()} | {
        "kernel.log_dt": draw.between(-3, -1, H), "kernel.B": draw(H, n, 2), "kernel.C": draw(g, H, n, 2),
        "kernel.w": draw.between(-2, 0, H, n, 2), "D": draw(1, H)}


def block_weights(p, draw):
    return liquid_weights(p, draw) | draw.linear("output_linear.0", p["H"], 2 * p["H"])


def scan_weights(p, draw):
    return {"Lambda": np.stack([draw.between(-1, -0.1, p["P"]), draw.between(-3, 3, p["P"])], axis=-1),
            "B": draw(p["P"], p["H"], 2, std=0.3), "C": draw(p["H"], p["P"], 2), "D": draw(p["H"]),
            "log_step": draw.between(-3, -1, p["P"])}


def inputs(p, draw, b, L):
    return {"u": draw(b, p.get("L", L), p["H"])}


def variant(**changes):
    return dict(H=3, N=6, L=20, liquid="kb", mode="nplr", degree=2, allcombs=True, bidirectional=False, contract="none") | changes


VARIANTS = [variant(), variant(mode="diag", degree=3, bidirectional=True), variant(allcombs=False, contract="lecun", L=7),
            variant(liquid="polyb", degree=4, contract="tanh", N=8), variant(liquid="polyb", bidirectional=True, allcombs=False),
            variant(L=65, degree=3, bidirectional=True, H=17)]
LAYERS = {
    "LiquidS4": Layer(liquid, VARIANTS, liquid_weights, inputs, lambda p: ("conv",)),
    "LiquidS4Block": Layer(block, VARIANTS[:3], block_weights, inputs, lambda p: ("conv",)),
    "LiquidScan": Layer(scan, [dict(H=4, P=6, disc="zoh"), dict(H=3, P=17, disc="bilinear")], scan_weights, inputs),
}
