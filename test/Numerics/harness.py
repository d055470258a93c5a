"""What the numerics programs share: running `ssmc run` on files, comparing, counting."""
import concurrent.futures
import os
import subprocess
import sys

import arrays


def text(value):
    """A parameter's value as `--set` takes it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def failure(process):
    lines = (process.stderr.strip() or process.stdout.strip() or "no message").splitlines()
    line = next((l for l in lines if "error" in l), lines[0])
    kind = "crash" if process.returncode < 0 or process.returncode >= 126 else "refused"
    return f"{kind} (exit {process.returncode}): {line[:200]}"


def ssmc_run(ssmc, source, layer, params, weights, inputs, outputs, mode="default", seconds=120):
    """Runs one case on files; inputs and outputs are name -> path. Returns None, or what went wrong."""
    command = [str(ssmc), "run", str(source)]
    if layer:
        command += ["--layer", layer]
    for name, value in params.items():
        command += ["--set", f"{name}={text(value)}"]
    if weights:
        command += ["--weights", str(weights)]
    for name, path in inputs.items():
        command += ["--input", f"{name}={path}"]
    for name, path in outputs.items():
        command += ["--output", f"{name}={path}"]
    if mode != "default":
        command += ["--mode", mode]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"no answer in {seconds} s"
    return None if process.returncode == 0 else failure(process)


def compare(path, shape, reference, tolerance):
    """Returns (error message or None, relative error)."""
    try:
        found_shape, found = arrays.load_npy(path)
    except (OSError, ValueError) as error:
        return f"unreadable output: {error}", None
    if tuple(found_shape) != tuple(shape):
        return f"shape {found_shape}, wanted {tuple(shape)}", None
    error = arrays.relative_error(found, reference)
    return (None if error <= tolerance else f"error {error:.2e}, at most {tolerance:.0e} is wanted"), error


def run_all(jobs, verbose=False):
    """Runs jobs, name -> function that returns None or a message; prints failures and the sum. Returns the exit status."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        for name, future in futures.items():
            try:
                message = future.result()
            except Exception as error:  # a broken test is a failed test
                message = f"{type(error).__name__}: {error}"
            failed += message is not None
            if message is not None or verbose:
                print(f"{name}: {message or 'passed'}", flush=True)
    print(f"{len(jobs) - failed} passed, {failed} failed")
    return 0 if jobs and not failed else 1


def need(ssmc):
    if not os.access(ssmc, os.X_OK):
        print(f"{ssmc}: no such program; build it first\n0 passed, 1 failed")
        sys.exit(1)
