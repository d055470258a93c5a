#!/usr/bin/env python3
"""Compares the order of modes that the cost model predicts with the measured one.

    benchmarks/mode_order.py [build/bin/ssmc]

For one layer of each class at published sizes and several lengths. `ssmc bench` lets the
modes take turns, so a disturbed machine disturbs all. Two modes whose times differ by
less than 10 % are no order. Exit status 1 if a prediction is the wrong way round.
"""

import json
import subprocess
import sys

LAYERS = [
    ("Mamba", "examples/mamba.ssm", "SelectiveScan", dict(E=1536, N=16)),
    ("Mamba-2", "examples/mamba2.ssm", "SSD", dict(H=24, P=64, N=128)),
    ("RetNet", "examples/retnet.ssm", "Retention", dict(heads=16, K=128, V=128)),
    ("GLA", "examples/gla.ssm", "GLAScan", dict(H=16, K=128, V=128)),
]
LENGTHS = [1, 64, 512, 2048]
MARGIN = 1.1


def measure(ssmc, source, layer, parameters):
    command = [ssmc, "bench", source, "--layer", layer, "--threads", "1", "--json",
               "--lengths", ",".join(map(str, LENGTHS)), "--seconds", "0.6"]
    for name, value in parameters.items():
        command += ["--set", f"{name}={value}"]
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {(f["mode"], f["length"]): f for f in figures}


def main():
    ssmc = sys.argv[1] if len(sys.argv) > 1 else "build/bin/ssmc"
    wrong = 0
    print("clocks a token: predicted / measured (of a core with two 512-bit units)")
    for name, source, layer, parameters in LAYERS:
        figures = measure(ssmc, source, layer, parameters)
        for length in LENGTHS:
            found = {m: figures[m, length] for m in ("step", "scan", "chunk", "auto")
                     if (m, length) in figures}
            # A clock of such a core does 64 operations.
            measured = {m: f["seconds"] * f["limit_flop_per_second"] / 64 / length
                        for m, f in found.items()}
            predicted = {m: f["predicted_clocks"] / length for m, f in found.items()}
            text = ", ".join(f"{m} {predicted[m]:.0f}/{measured[m]:.0f}" for m in found)
            verdict = "only one form"
            if "chunk" in found:
                ratio = measured["chunk"] / measured["scan"]
                if 1 / MARGIN < ratio < MARGIN:
                    verdict = "no difference"
                elif (ratio > 1) == (predicted["chunk"] > predicted["scan"]):
                    verdict = "right"
                else:
                    verdict, wrong = "WRONG", wrong + 1
            print(f"{name:8} {length:5}  {verdict:14} {text}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
