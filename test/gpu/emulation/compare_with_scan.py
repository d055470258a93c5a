#!/usr/bin/env python3
"""A layer's kernels for a GPU, in chunks where it has any, emulated, against its recurrence step by step in f64 on the CPU.

  compare_with_scan.py --build BUILD --scratch DIR SPEC.ssm LAYER PARAMETER=VALUE... --input x=-1:1:2x70x3x17 ...
      --weight w=-1:1:8x17 ... --output y ... [--tolerance 1e-6] [--option=--dtype=bf16 ...]

Inputs and weights are random numbers of a range, with a shape, and what those of the later half of a row are
multiplied with; `--init SEED` draws all weights. `--call=--split=N` or
`--call=--step` runs the sequence in two calls, or token by token. Prints the largest error of each output over the largest
number.
"""
import argparse
import math
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "Numerics"))
import arrays

HERE = ROOT / "test" / "gpu" / "emulation"
DRIVER = ROOT / "test" / "unit" / "Runtime"


def draw(text):
    """Name, shape and numbers of "name=low:high:shape[:growth]"."""
    name, rest = text.split("=")
    low, high, extents, *growth = rest.split(":")
    shape = tuple(int(extent) for extent in extents.split("x"))
    values = [random.uniform(float(low), float(high)) for _ in range(math.prod(shape))]
    if growth:
        row = math.prod(shape[1:])
        values = [value * float(growth[0]) if i % row >= row // 2 else value for i, value in enumerate(values)]
    return name, shape, values


def make_inputs(args):
    files = {}
    for name, shape, values in map(draw, args.input):
        files[name] = args.scratch / f"{name}.npy"
        arrays.save_npy(files[name], shape, values, "f4")
    return files


def make_weights(args):
    """Options that name the file of the weights."""
    if not args.weight:
        return []
    file = args.scratch / "weights.safetensors"
    arrays.save_safetensors(file, {name: (shape, values) for name, shape, values in map(draw, args.weight)})
    return ["--weights", str(file)]


def compile_kernels(args, layer):
    """Kernels as a library of functions for the fake driver."""
    kernels = args.scratch / "kernels"
    subprocess.run([*layer, "--emit=ptx", "-o", f"{kernels}.ptx"], check=True)
    with open(f"{kernels}.c", "w") as file:
        subprocess.run([sys.executable, HERE / "ptx_to_c.py", f"{kernels}.ptx"], stdout=file, check=True)
    subprocess.run([args.cc, "-O1", "-w", "-fno-strict-aliasing", "-ffp-contract=off", "-shared", "-fPIC", "-I", DRIVER,
                    "-I", HERE, "-o", f"{kernels}.so", f"{kernels}.c", HERE / "emulated_warps.c", "-lm"], check=True)
    return f"{kernels}.so"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--input", action="append")
    parser.add_argument("--weight", action="append", default=[])
    parser.add_argument("--output", action="append")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--mode", default="chunk")
    parser.add_argument("--reference", default="scan", help="the mode of the layer in f64")
    parser.add_argument("--init")
    parser.add_argument("--call", default="")
    parser.add_argument("source")
    parser.add_argument("layer")
    parser.add_argument("parameters", nargs="*")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    random.seed(7)
    files, weights = make_inputs(args), make_weights(args)
    ssmc = str(args.build / "bin" / "ssmc")
    spec = [args.source, "--layer", args.layer]
    for parameter in args.parameters:
        spec += ["--set", parameter]
    drawn = [f"--init={args.init}"] if args.init else []
    layer = [ssmc, "compile", *spec, "--target", "cuda", "--mode", args.mode, *args.option]
    subprocess.run([*layer, *drawn, *(["--embed-weights"] if drawn else []), "-o", args.scratch / "layer.so"], check=True)
    environment = dict(os.environ, SSMRT_CUDA_DRIVER=str(args.build / "lib" / "libssmrt-fake-cuda.so"),
                       FAKE_CUDA_KERNELS=compile_kernels(args, layer))
    inputs = [f"--input={name}={file}" for name, file in files.items()]
    run = [str(args.build / "bin" / "run_gpu"), str(args.scratch / "layer.so"), *filter(None, args.call.split("=")), *weights]
    for name, file in files.items():
        run += ["--input", f"{name}={file}"]
    for name in args.output:
        run += ["--output", f"{name}={args.scratch}/{name}.chunk.npy"]
    subprocess.run(run, check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run([ssmc, "run", *spec, *drawn, "--mode", args.reference, "--dtype", "f64", *weights, *inputs,
                    *[f"--output={name}={args.scratch}/{name}.scan.npy" for name in args.output]], check=True)
    failed = False
    for name in args.output:
        shape, values = arrays.load_npy(f"{args.scratch}/{name}.chunk.npy")
        expected, reference = arrays.load_npy(f"{args.scratch}/{name}.scan.npy")
        error = arrays.relative_error(values, reference) if shape == expected else math.inf
        failed |= not error <= args.tolerance
        print(f"{name}: error {error:.1e}, at most {args.tolerance:.0e} is wanted")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
