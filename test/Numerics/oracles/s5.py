"""S5: x_t = Lbar x_(t-1) + Bbar u_t over P complex states for all features; steps may differ from token to token."""
import numpy as np

from .common import Layer, as_complex, dense, flax_norm, gelu_tanh, sigmoid, under


def states(p, lam, step, Bu):
    """step: [t, P] or [b, t, P]; Bu: [b, t, P]. Gives the states after each token."""
    if p["disc"] == "zoh":
        decay, drive = np.exp(lam * step), np.expm1(lam * step) / lam
    else:
        decay, drive = (1 + step / 2 * lam) / (1 - step / 2 * lam), step / (1 - step / 2 * lam)
    decay, drive = np.broadcast_to(decay, Bu.shape), np.broadcast_to(drive, Bu.shape)
    x, out = np.zeros(Bu.shape[::2], complex), np.zeros(Bu.shape, complex)
    for t in range(Bu.shape[1]):
        x = decay[:, t] * x + drive[:, t] * Bu[:, t]
        out[:, t] = x
    return out


def s5(p, w, u, dt=None):
    b, L, _ = u.shape
    re = np.minimum(w["Lambda_re"], -1e-4) if p["clip_eigs"] else w["Lambda_re"]
    lam, step = re + 1j * w["Lambda_im"], p["step_rescale"] * np.exp(w["log_step"][:, 0])
    Bu = u @ as_complex(w["B"]).T
    d = np.ones((b, L)) if dt is None else dt
    forward = states(p, lam, step * d[:, :, None], Bu)
    if p["bidirectional"]:
        late = np.concatenate([d[:, 1:], np.ones((b, min(L, 1)))], axis=1)
        backward = states(p, lam, (step * late[:, :, None])[:, ::-1], Bu[:, ::-1])[:, ::-1]
        z = forward @ as_complex(w["C1"]).T + backward @ as_complex(w["C2"]).T
    else:
        z = forward @ as_complex(w["C"]).T
    return {"y": (2 if p["conj_sym"] else 1) * z.real + w["D"] * u}


def block(p, w, u):
    norm = lambda x: flax_norm(w, "norm", p["norm"], x)
    z = s5(p, under(w, "seq"), norm(u) if p["prenorm"] else u)["y"]
    g = gelu_tanh(z)
    gate = sigmoid(dense(w, "out2", g)) if p["activation"] != "gelu" else 1
    r = u + gate * {"full_glu": lambda: dense(w, "out1", g), "half_glu2": lambda: z}.get(p["activation"], lambda: g)()
    return {"y": r if p["prenorm"] else norm(r)}


def weights(p, draw, at=""):
    H, P = p["H"], p["P"]
    w = {at + "Lambda_re": draw.between(-1, 0.01 if p["clip_eigs"] else -0.05, P), at + "Lambda_im": draw.between(-8, 8, P),
         at + "log_step": draw.between(-4, -1, P, 1), at + "B": draw(P, H, 2, std=H**-0.5), at + "D": draw(H)}
    return w | {at + name: draw(H, P, 2, std=P**-0.5) for name in (["C1", "C2"] if p["bidirectional"] else ["C"])}


def block_weights(p, draw):
    H, w = p["H"], {**weights(p, draw, "seq."), **draw.norm("norm", p["H"], p["norm"])}
    if p["activation"] == "full_glu":
        w |= draw.dense("out1", H, H)
    return w | (draw.dense("out2", H, H) if p["activation"] != "gelu" else {})


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"])}


def timed_inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"]), "dt": draw.between(0.2, 2, b, L)}


def variant(**changes):
    return dict(H=4, P=8, disc="zoh", conj_sym=True, bidirectional=False, clip_eigs=False, step_rescale=1.0) | changes


def block_variant(**changes):
    return variant(activation="full_glu", norm="layer", prenorm=True) | changes


VARIANTS = [variant(), variant(bidirectional=True, clip_eigs=True), variant(disc="bilinear", conj_sym=False, step_rescale=0.5, H=3, P=5),
            variant(disc="bilinear", bidirectional=True, H=7, P=3)]
MODES = lambda p: ("scan", "chunk", "conv") if p["bidirectional"] else ("step", "scan", "chunk", "conv")
VARIABLE_MODES = lambda p: ("scan",) if p["bidirectional"] else ("step", "scan")
LAYERS = {
    "S5": Layer(s5, VARIANTS + [variant(H=17, P=32)], weights, inputs, MODES),
    "S5Var": Layer(s5, VARIANTS, weights, timed_inputs, VARIABLE_MODES),
    "S5Block": Layer(
        block,
        [block_variant(), block_variant(activation="half_glu1", norm="batch", prenorm=False),
         block_variant(activation="half_glu2", norm="batch", disc="bilinear", conj_sym=False),
         block_variant(activation="gelu", prenorm=False, bidirectional=True)], block_weights, inputs, MODES),
}
