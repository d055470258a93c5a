"""RG-LRU: h_t = a_t h_(t-1) + sqrt(1 - a_t^2) i_t u_t, log a = -8 r softplus(a_param); documents start at segment_pos 0."""
import numpy as np

from .common import Layer, gelu_tanh, linear, sigmoid, softplus


def blocks(w, name, x, heads):
    """A block-diagonal map, [heads, in, out]."""
    x = x.reshape(x.shape[:2] + (heads, -1))
    return (np.einsum("bthi,hij->bthj", x, w[name + ".w"]) + w[name + ".b"]).reshape(x.shape[:2] + (-1,))


def rglru(p, w, x, segment_pos, initial_state=None, at=""):
    log_a = -8 * sigmoid(blocks(w, at + "a_gate", x, p["heads"])) * softplus(w[at + "a_param"])
    gate = sigmoid(blocks(w, at + "input_gate", x, p["heads"]))
    h, y = np.zeros((x.shape[0], x.shape[2])) if initial_state is None else initial_state, np.zeros_like(x)
    for t in range(x.shape[1]):
        start = (segment_pos[:, t] == 0)[:, None]
        m = np.where(start, 1.0, np.sqrt(-np.expm1(2 * log_a[:, t])))
        h = np.where(start, 0.0, np.exp(log_a[:, t])) * h + m * gate[:, t] * x[:, t]
        y[:, t] = h
    return {"y": y, "final_state": h}


def block(p, w, x, segment_pos):
    u, c = linear(w, "linear_x", x), np.zeros(x.shape[:2] + (p["lru_width"],))
    for b in range(u.shape[0]):
        for t in range(u.shape[1]):
            for j in range(min(p["d_conv"], t + 1)):
                if np.all(segment_pos[b, t - j + 1:t + 1] != 0):  # no document starts after the token read
                    c[b, t] += w["conv_1d.w"][p["d_conv"] - 1 - j] * u[b, t - j]
    h = rglru(p, w, c + w["conv_1d.b"], segment_pos, at="rg_lru.")["y"]
    return {"y": linear(w, "linear_out", h * gelu_tanh(linear(w, "linear_y", x)))}


def weights(p, draw, at="", width=None):
    E, heads = width or p["E"], p["heads"]
    k = E // heads
    w = {at + "a_param": draw.between(-6, 0, E)}
    for name in ("a_gate", "input_gate"):
        w |= {f"{at}{name}.w": draw(heads, k, k, std=k**-0.5), f"{at}{name}.b": draw(heads, k)}
    return w


def block_weights(p, draw):
    D, E = p["D"], p["lru_width"]
    return {**weights(p, draw, "rg_lru.", E), "conv_1d.w": draw(p["d_conv"], E, std=0.5), "conv_1d.b": draw(E, std=0.2),
            **draw.linear("linear_x", D, E), **draw.linear("linear_y", D, E), **draw.linear("linear_out", E, D)}


def positions(draw, b, L):
    """Documents of random lengths; the first may have begun before the sequence."""
    pos = np.zeros((b, L), np.int64)
    for row in pos:
        at = int(draw.rng.integers(0, 2)) * 3
        for t in range(L):
            row[t] = at
            at = 0 if draw.rng.random() < 0.15 else at + 1
    return pos


def inputs(p, draw, b, L):
    x = {"x": draw(b, L, p["E"]), "segment_pos": positions(draw, b, L)}
    return x | ({"initial_state": draw(b, p["E"])} if L % 2 else {})


LAYERS = {
    "RGLRU": Layer(rglru, [dict(E=8, heads=4), dict(E=15, heads=3)], weights, inputs),
    "RecurrentBlock": Layer(block, [dict(D=8, heads=2, lru_width=12, d_conv=4), dict(D=5, heads=1, lru_width=7, d_conv=2)],
                            block_weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"]), "segment_pos": positions(draw, b, L)}),
}
