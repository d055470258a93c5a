#!/usr/bin/env python3
"""Compares the order of forms that the cost model predicts with the measured one.

    benchmarks/mode_order.py [--ssmc build/bin/ssmc] [--only WORD] [--seconds 0.15] [--write]

For one layer of each class and several lengths. `ssmc bench` lets the modes take turns, so
a disturbed machine disturbs all. Times are over that of the sequential form, `predicted /
measured`. What is chosen is right if it takes at most a tenth more than the fastest form;
exit status 1 if a choice is not. --write puts the table into docs/Performance.md; with
--only, which takes several words with commas between, the rows of those layers.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "experiments"))
import page  # noqa: E402: lies beside the experiments

LAYERS = [
    # class, spec, layer, parameters
    ("I", "s4d", "S4D", dict(H=256, N=64)),
    ("Id", "s4", "S4", dict(H=256, N=64)),
    ("I", "dss", "DSS", dict(H=256, N=64)),
    ("I", "mega", "MegaEMA", dict(D=256, N=16)),
    ("I", "lru", "LRU", dict(H=64, N=256)),
    ("I", "s5", "S5", dict(H=64, P=256)),
    ("D0", "retnet", "Retention", dict(heads=4, K=128, V=128)),
    ("D1", "mamba2", "SSD", dict(H=8, P=64, N=128)),
    ("D2", "gla", "GLAScan", dict(H=4, K=128, V=128)),
    ("D3", "mamba", "SelectiveScan", dict(E=512, N=16)),
    ("D0d", "deltanet", "DeltaRule", dict(H=4, K=128, V=128)),
    ("D1d", "gdn", "GatedDeltaRule", dict(H=4, K=128, V=128)),
    ("D2d", "rwkv7", "RWKV7Scan", dict(H=8, K=64)),
    ("kernel", "hyena", "Hyena", dict(D=64, l_max=16384)),
    ("kernel", "tnn", "TNO", dict(heads=8, e=32, causal="true")),
]
LENGTHS = [64, 512, 4096, 16384]
FORMS = ["scan", "chunk", "conv", "quadratic"]
MARGIN = 1.1


def measure(args, spec, layer, parameters):
    command = [args.ssmc, "bench", ROOT / "examples" / f"{spec}.ssm", "--layer", layer,
               "--init", "1", "--threads", "1", "--json", "--seconds", args.seconds,
               "--lengths", ",".join(map(str, LENGTHS))]
    for name, value in parameters.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
    return {(f["mode"], f["length"]): f for f in json.loads(done.stdout)}


def rows_of(kind, layer, figures):
    for length in LENGTHS:
        found = {form: figures[form, length] for form in FORMS if (form, length) in figures}
        first = next(iter(found.values()))

        def share(key, figure):
            return f"{figure[key] / first[key]:.2g}" if first[key] else "-"

        auto = figures["auto", length]
        chosen = [form for form in found
                  if found[form]["predicted_clocks"] == auto["predicted_clocks"] != 0]
        fastest = min(found, key=lambda form: found[form]["seconds"])
        over = auto["seconds"] / found[fastest]["seconds"]
        cells = [f"{share('predicted_clocks', found[form])} / {share('seconds', found[form])}"
                 if form in found else "" for form in FORMS]
        yield [kind, layer, str(length), *cells, chosen[0] if chosen else "", fastest,
               f"{over:.2f}"], over <= MARGIN


def write(head, rows, measured):
    """Rows of other layers stay, and so does what says where they were measured."""
    place = ROOT / "docs" / "Performance.md", "table of benchmarks/mode_order.py"
    text = page.machine()
    if len(measured) < len(LAYERS):
        old, behind = page.get(*place)
        order = [layer for _, _, layer, _ in LAYERS]
        old = [row + [""] * (len(head) - len(row)) for row in old
               if row[1] in order and row[1] not in measured]
        rows = sorted(old + rows, key=lambda row: order.index(row[1]))  # keeps that of lengths
        text = f"{behind}\n\n{', '.join(measured)}: {text}"
    page.put(*place, page.table(head, rows) + "\n" + text)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ssmc", default="build/bin/ssmc")
    parser.add_argument("--seconds", type=float, default=0.15)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    rows, measured, wrong = [], [], 0
    for kind, spec, layer, parameters in LAYERS:
        if not any(word in layer for word in args.only.split(",")):
            continue
        measured.append(layer)
        for row, is_right in rows_of(kind, layer, measure(args, spec, layer, parameters)):
            rows.append(row)
            wrong += not is_right
            print(*(cell or "-" for cell in row), sep="  ", flush=True)
    head = ["class", "layer", "tokens", *FORMS, "chosen", "fastest", "auto / fastest"]
    print(page.table(head, rows))
    if args.write:
        write(head, rows, measured)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
