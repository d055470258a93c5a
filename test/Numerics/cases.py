#!/usr/bin/env python3
"""Compare layers with stored results of independent fp64 computations (cases/<system>/<case>/).

  cases.py [--ssmc build/bin/ssmc] [--only s4d,mamba] [--modes all|default|step,scan] [--verbose]

case.json names the layer, its parameters, weights, inputs, outputs, tolerance, and the execution modes to try.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import arrays
import harness

HERE = pathlib.Path(__file__).resolve().parent
CHUNKED = {"deltanet", "gdn", "gla", "hgrn2", "lru", "mamba2", "mamba3", "mega", "retnet", "rwkv7", "s4d", "s5"}  # systems whose chunk mode exists


def modes_of(case):
    return ["default"] + [mode for mode in case["modes"] if mode in ("step", "scan", "conv") or mode == "chunk" and case["system"] in CHUNKED]


def job(ssmc, examples, folder, case, mode):
    def run():
        with tempfile.TemporaryDirectory() as scratch:
            outputs = {name: f"{scratch}/{name}.npy" for name in case["outputs"]}
            message = harness.ssmc_run(
                ssmc, examples / f"{case['system']}.ssm", case["layer"], case.get("params", {}),
                folder / case["weights"] if case.get("weights") else None,
                {name: folder / entry["file"] for name, entry in case["inputs"].items()}, outputs, mode)
            for name, entry in case["outputs"].items():
                if not message:
                    message, _ = harness.compare(outputs[name], *arrays.load_npy(folder / entry["file"]), case["tolerance"]["f32"])
                    message = message and f"{name}: {message}"
            return message
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ssmc", default="build/bin/ssmc")
    parser.add_argument("--examples", type=pathlib.Path, default=HERE.parent.parent / "examples")
    parser.add_argument("--only", default="", help="systems, separated by commas")
    parser.add_argument("--modes", default="all")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    harness.need(args.ssmc)
    jobs = {}
    for path in sorted((HERE / "cases").glob("*/*/case.json")):
        case = json.loads(path.read_text())
        if args.only and case["system"] not in args.only.split(","):
            continue
        for mode in modes_of(case):
            if args.modes == "all" or mode in args.modes.split(","):
                jobs[f"{case['system']}/{path.parent.name} [{mode}]"] = job(args.ssmc, args.examples, path.parent, case, mode)
    return harness.run_all(jobs, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
