#!/usr/bin/env python3
"""Compare models under examples/checkpoints with their golden.npz: logits of the prompt, and the greedy continuation.

  models.py [--ssmc build/bin/ssmc] [--only tiny-mamba] [--verbose] [DIR ...]
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import arrays
import harness

CHECKPOINTS = pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "checkpoints"
TOLERANCE = 2e-5  # of the largest logit: float32 through all the layers


def logits(ssmc, folder, mode):
    def run():
        golden = arrays.load_npz(folder / "golden.npz")
        with tempfile.TemporaryDirectory() as scratch:
            arrays.save_npy(f"{scratch}/ids.npy", *golden["prompt"], "i8")
            message = harness.ssmc_run(ssmc, folder, None, {}, None, {"ids": f"{scratch}/ids.npy"},
                                       {"logits": f"{scratch}/logits.npy"}, mode)
            return message or harness.compare(f"{scratch}/logits.npy", *golden["logits_f64"], TOLERANCE)[0]
    return run


def greedy(ssmc, folder):
    def run():
        golden = arrays.load_npz(folder / "golden.npz")
        shape, wanted = golden["greedy"]
        count = shape[1] - golden["prompt"][0][1]
        with tempfile.TemporaryDirectory() as scratch:
            arrays.save_npy(f"{scratch}/ids.npy", *golden["prompt"], "i8")
            process = subprocess.run(
                [ssmc, "generate", str(folder), "--prompt-tokens", f"{scratch}/ids.npy", "--output-tokens",
                 f"{scratch}/out.npy", "-n", str(count)], capture_output=True, text=True, timeout=300)
            if process.returncode:
                return harness.failure(process)
            found_shape, found = arrays.load_npy(f"{scratch}/out.npy")
            if tuple(found_shape) != tuple(shape):
                return f"shape {found_shape}, wanted {shape}"
            return None if list(found) == list(wanted) else "other tokens than the reference"
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ssmc", default="build/bin/ssmc")
    parser.add_argument("--only", default="", help="names of folders, separated by commas")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("folders", nargs="*", type=pathlib.Path, default=[CHECKPOINTS])
    args = parser.parse_args()
    harness.need(args.ssmc)
    jobs = {}
    for golden in sorted(g for folder in args.folders for g in folder.rglob("golden.npz")):
        folder = golden.parent
        if args.only and folder.name not in args.only.split(","):
            continue
        chunked = json.loads((folder / "config.json").read_text())["model_type"] == "mamba2"
        for mode in ["default", "step", "scan"] + ["chunk"] * chunked:
            jobs[f"{folder.name} logits [{mode}]"] = logits(args.ssmc, folder, mode)
        jobs[f"{folder.name} greedy"] = greedy(args.ssmc, folder)
    return harness.run_all(jobs, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
