#!/usr/bin/env python3
"""Compare every layer with its oracle in NumPy on seeded values, and the oracles with the stored cases. Needs NumPy.

  run.py [--ssmc build/bin/ssmc] [--only s4d,mamba] [--layers S4D,Mamba] [--modes default,step,scan,chunk,conv] [--lengths 1,2,7]
         [--tolerance 1e-5] [--oracles-only] [--keep DIR] [--verbose]
"""
import argparse
import importlib
import json
import pathlib
import sys
import tempfile
import zlib

import numpy as np

import arrays
import harness
from oracles.common import Draw

HERE = pathlib.Path(__file__).resolve().parent
SYSTEMS = sorted(path.stem for path in (HERE / "oracles").glob("*.py") if path.stem not in ("__init__", "common"))
SHAPES = [(1, 1), (3, 2), (1, 7), (3, 33), (1, 65)]  # batch, length


def flat(x):
    return x.shape, x.reshape(-1).tolist()


def as_array(pair):
    shape, values = pair
    array = np.array(values).reshape(shape)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def check_oracle(system, folder):
    """An oracle against a stored case; both are float64."""
    def run():
        case = json.loads((folder / "case.json").read_text())
        layer = importlib.import_module(f"oracles.{system}").LAYERS[case["layer"]]
        weights = arrays.load_safetensors(folder / case["weights"]) if case.get("weights") else {}
        inputs = {name: as_array(arrays.load_npy(folder / entry["file"])) for name, entry in case["inputs"].items()}
        outputs = layer.run(case["params"], {name: as_array(pair) for name, pair in weights.items()}, **inputs)
        for name, entry in case["outputs"].items():
            shape, reference = arrays.load_npy(folder / entry["file"])
            if outputs[name].shape != tuple(shape):
                return f"{name}: shape {outputs[name].shape}, stored {shape}"
            # RetNet's original divides its state by a normaliser that the norm cancels only up to its eps.
            error = arrays.relative_error(flat(outputs[name])[1], reference)
            if error > (1e-7 if system == "retnet" else 1e-11):
                return f"{name}: error {error:.1e} against the stored case"
        return None
    return run


class Case:
    """One set of parameters, weights and inputs with the oracle's outputs, written to files when first needed."""

    def __init__(self, root, name, layer, params, batch, length):
        self.folder = root / name
        self.folder.mkdir(parents=True)
        draw = Draw(zlib.crc32(name.encode()))
        weights = layer.weights(params, draw)
        inputs = layer.inputs(params, draw, batch, length)
        self.outputs = {key: flat(np.asarray(value)) for key, value in layer.run(params, weights, **inputs).items()}
        self.weights = self.folder / "weights.safetensors" if weights else None
        if weights:
            arrays.save_safetensors(self.weights, {key: flat(value) for key, value in weights.items()})
        self.inputs = {}
        for key, value in inputs.items():
            self.inputs[key] = self.folder / f"{key}.npy"
            arrays.save_npy(self.inputs[key], *flat(value), "i8" if value.dtype.kind == "i" else "f4")


def check_layer(case, ssmc, source, name, params, mode, tolerance):
    def run():
        outputs = {key: case.folder / f"{key}.{mode}.npy" for key in case.outputs}
        message = harness.ssmc_run(ssmc, source, name, params, case.weights, case.inputs, outputs, mode)
        for key, reference in case.outputs.items():
            if not message:
                message, _ = harness.compare(outputs[key], *reference, tolerance)
                message = message and f"{key}: {message}"
        return message
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ssmc", default="build/bin/ssmc")
    parser.add_argument("--examples", type=pathlib.Path, default=HERE.parent.parent / "examples")
    parser.add_argument("--only", default=",".join(SYSTEMS), help="systems, separated by commas")
    parser.add_argument("--layers", default="", help="layers, separated by commas")
    parser.add_argument("--modes", default="default,step,scan,chunk,conv")
    parser.add_argument("--lengths", default="")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the largest magnitude (default 1e-5)")
    parser.add_argument("--oracles-only", action="store_true", help="only compare the oracles with the stored cases")
    parser.add_argument("--keep", type=pathlib.Path, help="write the cases here and leave them")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    if not args.oracles_only:
        harness.need(args.ssmc)
    systems, lengths = args.only.split(","), {int(n) for n in args.lengths.split(",") if n}
    jobs = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = args.keep or pathlib.Path(scratch)
        for system in systems:
            for path in sorted((HERE / "cases" / system).glob("*/case.json")):
                jobs[f"oracle of {system}/{path.parent.name}"] = check_oracle(system, path.parent)
            layers = importlib.import_module(f"oracles.{system}").LAYERS
            for name, layer in layers.items():
                if args.oracles_only or args.layers and name not in args.layers.split(","):
                    continue
                for number, params in enumerate(layer.variants):
                    for batch, length in SHAPES:
                        if length < layer.shortest or lengths and length not in lengths:
                            continue
                        label = f"{system}-{name}-{number}-{batch}x{length}"
                        case = Case(root, label, layer, params, batch, length)
                        for mode in ("default",) + tuple(layer.modes(params)):
                            if mode in args.modes.split(","):
                                jobs[f"{label} [{mode}]"] = check_layer(
                                    case, args.ssmc, args.examples / f"{system}.ssm", name, params, mode, args.tolerance)
        return harness.run_all(jobs, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
