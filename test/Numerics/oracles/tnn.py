"""TNN as direct sums over the lags, the network evaluated at every relative position."""
import numpy as np

from .common import Layer, gelu, layer_norm, linear, long_conv, sigmoid, silu, under

ACTIVATIONS = {"none": lambda x: x, "relu": lambda x: np.maximum(x, 0), "silu": silu, "gelu": gelu, "sigmoid": sigmoid,
               "exp": np.exp, "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
               "leak": lambda x: np.where(x > 0, x, 0.01 * x)}


def norm(kind, w, name, x):
    if kind == "layernorm":
        return layer_norm(x, 1e-5, w[name + ".weight"], w[name + ".bias"])
    y = x / (np.linalg.norm(x, axis=-1, keepdims=True) / np.sqrt(x.shape[-1]) + 1e-8)
    return y * w[name + ".scale"] if kind == "rmsnorm" else y


def rpe(p, w, x):
    act = ACTIVATIONS[p["rpe_act"]]
    x = linear(w, "pos_proj", x[:, None])
    for i in range(p["rpe_layers"]):
        z = linear(w, f"layers.{i}.2", act(norm(p["norm_type"], w, f"layers.{i}.0", x)))
        x = x + z if p["residual"] else z
    return linear(w, "out.2", act(norm(p["norm_type"], w, "out.0", x)))


def tno(p, w, v):
    length = v.shape[1]
    first = 0 if p["causal"] else -(length - 1)
    j = np.arange(first, length, dtype=float)
    n = max(length - 1, 1)
    at = {"1": j, "2": j / n, "3": np.exp(j / n)}[str(p["par_type"])]
    decay = 1.0
    if p["use_multi_decay"]:
        decay = p["gamma"] + (1 - p["gamma"]) * sigmoid(w["gamma"][:, 0])
    elif p["use_decay"]:
        decay = w["gamma"][:, 0]
    a = rpe(p, under(w, "rpe"), at).reshape(len(j), p["heads"], p["e"])
    a = ACTIVATIONS[p["act_type"]](a * decay ** np.abs(j)[:, None, None])
    y = long_conv(a, v, first)
    return {"y": y / long_conv(a, np.ones_like(v), first) if p["normalize"] else y}


def gtu(p, w, x):
    e = int(p["expand_ratio"] * p["D"]) // p["heads"]
    v = silu(linear(w, "v_proj", x)).reshape(x.shape[:2] + (p["heads"], e))
    z = silu(linear(w, "u_proj", x)) * tno(p | dict(e=e), under(w, "toep"), v)["y"].reshape(x.shape[:2] + (-1,))
    return {"y": linear(w, "o", norm(p["norm_type"], w, "norm", z) if p["use_norm"] else z)}


def layer(p, w, x):
    mixer, mlp = under(w, "token_mixer"), under(w, "feature_mixer")
    p = p | dict(use_multi_decay=False, residual=False, par_type=1, act_type="none", normalize=False, use_norm=False)

    def token(x):
        return gtu(p, mixer, x)["y"]

    def feature(x):
        return linear(mlp, "l3", silu(linear(mlp, "l1", x)) * linear(mlp, "l2", x))

    for f, name in ((token, "token_norm"), (feature, "feature_norm")):
        x = x + f(norm(p["norm_type"], w, name, x)) if p["prenorm"] else norm(p["norm_type"], w, name, x + f(x))
    return {"y": x}


def norm_weights(p, draw, name, size):
    if p["norm_type"] == "layernorm":
        return draw.norm(name, size, "both")
    return {name + ".scale": draw.between(0.5, 1.5, size)} if p["norm_type"] == "rmsnorm" else {}


def tno_weights(p, draw, at=""):
    R, w = p["rpe_dim"], draw.linear(at + "rpe.pos_proj", 1, p["rpe_dim"])
    for i in range(p["rpe_layers"]):
        w |= norm_weights(p, draw, f"{at}rpe.layers.{i}.0", R) | draw.linear(f"{at}rpe.layers.{i}.2", R, R)
    w |= norm_weights(p, draw, at + "rpe.out.0", R) | draw.linear(at + "rpe.out.2", R, p["heads"] * p["e"])
    if p["use_decay"] or p.get("use_multi_decay"):
        w[at + "gamma"] = draw.between(0.8, 1, p["heads"], 1, p["e"])
    return w


def gtu_weights(p, draw, at=""):
    e = int(p["expand_ratio"] * p["D"]) // p["heads"]
    E, w = e * p["heads"], tno_weights(p | dict(e=e), draw, at + "toep.")
    for name, i, o in (("u_proj", p["D"], E), ("v_proj", p["D"], E), ("o", E, p["D"])):
        w |= draw.linear(at + name, i, o)
    return w | (norm_weights(p, draw, at + "norm", E) if p.get("use_norm") else {})


def layer_weights(p, draw):
    w = gtu_weights(p, draw, "token_mixer.")
    for name, i, o in (("l1", p["D"], p["glu_dim"]), ("l2", p["D"], p["glu_dim"]), ("l3", p["glu_dim"], p["D"])):
        w |= draw.linear("feature_mixer." + name, i, o)
    return w | norm_weights(p, draw, "token_norm", p["D"]) | norm_weights(p, draw, "feature_norm", p["D"])


def rpe_variant(**changes):
    return dict(rpe_dim=8, rpe_layers=3, rpe_act="relu", causal=False, use_decay=False, gamma=0.99,
                norm_type="simplermsnorm") | changes


def variant(**changes):
    return rpe_variant(use_multi_decay=False, residual=False, par_type=1, act_type="none", normalize=False) | changes


TNO = [variant(heads=2, e=3, causal=True, use_decay=True), variant(heads=1, e=5, normalize=True, act_type="sigmoid"),
       variant(heads=3, e=2, use_multi_decay=True, par_type=2, residual=True, rpe_act="silu", norm_type="layernorm"),
       variant(heads=2, e=2, causal=True, par_type=3, rpe_act="elu", rpe_layers=1),
       variant(heads=2, e=9, causal=True, normalize=True, act_type="exp", norm_type="rmsnorm")]
GTU = [variant(D=4, heads=2, expand_ratio=3, use_norm=True), variant(D=3, heads=1, expand_ratio=2, use_norm=False, causal=True)]
LAYER = [rpe_variant(D=4, heads=2, glu_dim=6, prenorm=True, expand_ratio=2, causal=True, use_decay=True),
         rpe_variant(D=4, heads=1, glu_dim=5, prenorm=False, expand_ratio=1, norm_type="layernorm")]


def modes(p):
    exact = str(p.get("par_type", 1)) != "1"
    return (("step",) if p["causal"] and not exact else ()) + ("conv", "chunk")


LAYERS = {
    "TNO": Layer(tno, TNO, tno_weights, lambda p, draw, b, L: {"v": draw(b, L, p["heads"], p["e"])}, modes),
    "GTU": Layer(gtu, GTU, gtu_weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, modes),
    "TNNLayer": Layer(layer, LAYER, layer_weights, lambda p, draw, b, L: {"x": draw(b, L, p["D"])}, modes),
}
