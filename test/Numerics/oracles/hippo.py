"""HiPPO: the matrices entry by entry, and their systems one solve (or one exponential) a token."""
import numpy as np

from .common import Layer

PI = np.pi


def hippo(N, measure):
    A, B = np.zeros((N, N)), np.zeros(N)
    for n in range(N):
        B[n] = {"legs": np.sqrt(2*n + 1), "legt": np.sqrt(2*n + 1) / 2, "lagt": 1,
                "fout": 1 if n == 0 else np.sqrt(2) if n % 2 == 0 else 0}[measure]
        for k in range(N):
            both = np.sqrt((2*n + 1) * (2*k + 1))
            if measure == "legs":
                A[n, k] = -both if n > k else -(n + 1) if n == k else 0
            elif measure == "legt":
                A[n, k] = -both / 2 * (1 if k <= n else (-1)**(k - n))
            elif measure == "lagt":
                A[n, k] = -1 if n > k else -0.5 if n == k else 0
            elif n // 2 == k // 2 and n != k:
                A[n, k] = PI * (n // 2) * (1 if n % 2 else -1)
    return (A - np.outer(B, B) if measure == "fout" else A), B


def exponential(A):
    """The series of exp(A / 2^s), squared s times."""
    halvings = max(0, int(np.ceil(np.log2(max(np.abs(A).sum(1).max(), 1e-300)))) + 4)
    A = A.astype(np.longdouble) / 2**halvings
    total = term = np.eye(len(A), dtype=np.longdouble)
    for k in range(1, 20):
        term = term @ A / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total.astype(np.float64)


def discretized(A, B, dt, disc):
    N = len(A)
    if disc == "zoh":  # no inverse of A, which may have none
        both = np.zeros((N + 1, N + 1))
        both[:N, :N], both[:N, N] = A * dt, B * dt
        both = exponential(both)
        return both[:N, :N], both[:N, N]
    part = {"forward": 0, "bilinear": 0.5, "backward": 1}[disc]
    M = np.eye(N) - part * dt * A
    return np.linalg.solve(M, np.eye(N) + (1 - part) * dt * A), dt * np.linalg.solve(M, B)


def run(systems, u, N):
    c, state = np.zeros(u.shape + (N,)), np.zeros((u.shape[0], u.shape[2], N))
    for t, (A, B) in enumerate(systems):
        state = state @ A.T + u[:, t, :, None] * B
        c[:, t] = state
    return c


def matrices(p, w):
    A, B = hippo(p["N"], p["measure"])
    return {"A": A, "B": B}


def lti(p, w, u):
    system = discretized(*hippo(p["N"], p["measure"]), p["dt"], p["disc"])
    return {"c": run([system] * u.shape[1], u, p["N"])}


def legs(p, w, u):
    A, B = hippo(p["N"], "legs")
    L = u.shape[1]
    step = (lambda k: np.log((k + 1) / k)) if p["disc"] == "zoh" else (lambda k: 1 / k)
    c = run([discretized(A, B, step(t + 1), p["disc"]) for t in range(L)], u, p["N"])
    x = 2 * (np.arange(L) / max(L - 1, 1)) - 1
    values = [np.polynomial.legendre.legval(x, np.eye(p["N"])[n]) * np.sqrt(2*n + 1) for n in range(p["N"])]
    # At length 1 the reconstruction is zero up to rounding (of N > 1): nothing to compare.
    return {"c": c, "recon": np.einsum("bhn,nt->bth", c[:, -1], np.array(values).reshape(p["N"], L))}


def none(*_):
    return {}


def inputs(p, draw, b, L):
    return {"u": draw(b, L, p["H"])}


MEASURES = ("legs", "legt", "lagt", "fout")
LAYERS = {
    "HippoMatrices": Layer(matrices, [dict(N=N, measure=m) for m in MEASURES for N in (2, 8)], none, none, lambda p: ()),
    "HippoLTI": Layer(lti, [dict(H=2, N=8, measure=m, disc=d, dt=0.05) for m in MEASURES
                            for d in ("bilinear", "zoh", "backward")]
                      + [dict(H=1, N=3, measure="lagt", disc="forward", dt=0.1)], none, inputs,
                      lambda p: ("step", "scan", "chunk", "conv")),
    "HippoLegS": Layer(legs, [dict(H=2, N=7, disc=d) for d in ("bilinear", "zoh", "backward")]
                       + [dict(H=3, N=1, disc="forward"), dict(H=1, N=33, disc="bilinear")], none, inputs, lambda p: ("scan",), shortest=2),
}
