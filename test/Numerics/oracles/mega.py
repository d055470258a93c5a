"""Mega: damped moving averages per channel, h_t = q h_(t-1) + p beta x_t, and attention over chunks, pair by pair of tokens."""
import numpy as np

from .common import Layer, erf, layer_norm, linear, long_conv, rms_norm, sigmoid, silu


def average(q, write, read, x, taps):
    """q, write, read: [D, N]; x: [b, t, D]. The kernel's first `taps` lags, all if 0."""
    lags = np.arange(min(taps or x.shape[1], x.shape[1]))
    kernel = np.einsum("dn,dnj->jd", read * write, q[..., None] ** lags)
    return long_conv(kernel, x) / np.sqrt(q.shape[1])


def ema(p, w, x, prefix=""):
    D, v = x.shape[2], w[prefix + "omega"] * x
    damping = sigmoid(w[prefix + "delta"][..., 0])
    decay = 1 - damping * sigmoid(w[prefix + "alpha"][..., 0])
    write, read = damping * w[prefix + "beta"][..., 0], w[prefix + "gamma"]
    v = v + average(decay[:D], write[:D], read[:D], x, p["truncation"])
    if p["bidirectional"]:
        v = v + average(decay[D:], write[D:], read[D:], x[:, ::-1], p["truncation"])[:, ::-1]
    return silu(v)


def norm(kind, w, name, x):
    if kind == "layernorm":
        return layer_norm(x, 1e-5, w[name + ".weight"], w[name + ".bias"])
    if kind == "batchnorm":
        return w[name + ".weight"] * (x - w[name + ".running_mean"]) / np.sqrt(w[name + ".running_var"] + 1e-5) + w[name + ".bias"]
    return rms_norm(x, 1e-5, w[name + (".scalar" if kind == "scalenorm" else ".weight")])


def rotary(v, t):
    """v at the places t: [places, len(v)]."""
    half = len(v) // 2
    angle = t[:, None] * 10000.0**(-np.arange(half) / half)
    a, b = v[:half], v[half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], axis=1)


def bias(p, w, prefix, t, s):
    """Of token t on the tokens s."""
    if p["bias"] == "simple":
        return w[prefix + "rel_pos_bias.rel_pos_bias"][p["max_positions"] - 1 + s - t]
    return rotary(w[prefix + "rel_pos_bias.beta"][0], s) @ rotary(w[prefix + "rel_pos_bias.alpha"][0], np.array([t]))[0]


def attend(p, w, prefix, q, k, v):
    out, c = np.zeros(q.shape[:2] + v.shape[2:]), p["chunk"] or q.shape[1]
    for t in range(q.shape[1]):
        begin = t // c * c
        end = t + 1 if p["causal"] else min(begin + c, q.shape[1])
        score = np.einsum("bz,bsz->bs", q[:, t], k[:, begin:end])
        by_place = bias(p, w, prefix, t, np.arange(begin, end))
        if p["attention"] == "softmax":
            score = np.exp(score / np.sqrt(q.shape[2]) + by_place)
            score = score / score.sum(axis=1, keepdims=True)
        else:
            score = score / (end - begin) + by_place
            score = (1 + erf((score - 0.707107) / (0.282095 * np.sqrt(2)))) / 2 if p["attention"] == "laplace" else np.maximum(score, 0)**2
        out[:, t] = np.einsum("bs,bse->be", score, v[:, begin:end])
    return out


def mega(p, w, x, prefix=""):
    D, Z, E = p["D"], p["Z"], p["E"]
    inner = {key[len(prefix):]: value for key, value in w.items() if key.startswith(prefix)}
    xn = norm(p["norm"], inner, "norm.norm", x) if p["prenorm"] else x
    v = silu(linear(inner, "v_proj", xn))
    u, z, r, hx = np.split(linear(inner, "mx_proj", ema(p, inner, xn, "move.")), np.cumsum([D, Z, E]), axis=-1)
    q, k = (silu(z) * inner["gamma"][i] + inner["beta"][i] for i in range(2))
    h = silu(hx + linear(inner, "h_proj", silu(r) * attend(p, inner, "", q, k, v)))
    y = x + sigmoid(u) * (h - x)
    return y if p["prenorm"] else norm(p["norm"], inner, "norm.norm", y)


def layer(p, w, x):
    m = mega(p, w, x, "mega_layer.")
    n = norm(p["norm"], w, "nffn.norm.norm", m) if p["prenorm"] else m
    y = m + linear(w, "nffn.fc2", silu(linear(w, "nffn.fc1", n)))
    return y if p["prenorm"] else norm(p["norm"], w, "nffn.norm.norm", y)


def ema_weights(p, draw, prefix=""):
    rows = p["D"] * (2 if p["bidirectional"] else 1)
    shapes = {name: (rows, p["N"], 1) for name in ("delta", "alpha", "beta")} | {"gamma": (rows, p["N"]), "omega": (p["D"],)}
    return {prefix + name: draw(*shape) for name, shape in shapes.items()}


def norm_weights(p, draw, name):
    kind, D = p["norm"], p["D"]
    if kind == "scalenorm":
        return {name + ".scalar": 1 + 0.1 * draw(1)}
    w = {name + ".weight": 1 + 0.1 * draw(D)}
    if kind in ("layernorm", "batchnorm"):
        w[name + ".bias"] = 0.1 * draw(D)
    if kind == "batchnorm":
        w |= {name + ".running_mean": 0.1 * draw(D), name + ".running_var": np.float32(1 + 0.1 * draw(D)**2).astype(float)}
    return w


def mega_weights(p, draw, prefix=""):
    D, Z, E = p["D"], p["Z"], p["E"]
    w = {prefix + name: value for name, value in {
        **draw.linear("v_proj", D, E, True), **draw.linear("mx_proj", D, 2 * D + Z + E, True), **draw.linear("h_proj", E, D, True)}.items()}
    w |= {prefix + "gamma": draw(2, Z), prefix + "beta": draw(2, Z)}
    w |= ema_weights(p, draw, prefix + "move.") | norm_weights(p, draw, prefix + "norm.norm")
    if p["bias"] == "simple":
        return w | {prefix + "rel_pos_bias.rel_pos_bias": draw(2 * p["max_positions"] - 1)}
    return w | {prefix + "rel_pos_bias.alpha": draw(1, Z), prefix + "rel_pos_bias.beta": draw(1, Z)}


def layer_weights(p, draw):
    return (mega_weights(p, draw, "mega_layer.") | norm_weights(p, draw, "nffn.norm.norm")
            | draw.linear("nffn.fc1", p["D"], p["ffn"], True) | draw.linear("nffn.fc2", p["ffn"], p["D"], True))


def variant(**changes):
    return dict(D=6, Z=4, E=8, N=3, chunk=8, max_positions=8, bidirectional=False, causal=True, attention="softmax",
                bias="simple", norm="layernorm", prenorm=True, truncation=0) | changes


EMA = [dict(D=5, N=3, bidirectional=b, truncation=m) for b, m in ((False, 0), (True, 0), (False, 3), (True, 4))]
MEGA = [variant(), variant(chunk=0, max_positions=65, attention="laplace", norm="rmsnorm"),
        variant(chunk=5, attention="relu2", bias="rotary", norm="scalenorm", prenorm=False), variant(chunk=1, norm="batchnorm"),
        variant(chunk=0, bias="rotary", causal=False, bidirectional=True), variant(chunk=7, causal=False, attention="relu2", truncation=5)]
LAYER = [variant(ffn=10), variant(ffn=7, prenorm=False, chunk=0, bias="rotary", attention="laplace", norm="rmsnorm")]


def modes(p):
    whole = p["bidirectional"] or not p.get("causal", True)
    return (() if whole else ("step",)) + ("scan", "chunk")


def inputs(p, draw, b, L):
    return {"x": draw(b, L, p["D"])}


def result(run):
    return lambda p, w, x: {"y": run(p, w, x)}


LAYERS = {"MegaEMA": Layer(result(ema), EMA, ema_weights, inputs, modes), "Mega": Layer(result(mega), MEGA, mega_weights, inputs, modes),
          "MegaLayer": Layer(result(layer), LAYER, layer_weights, inputs, modes)}
