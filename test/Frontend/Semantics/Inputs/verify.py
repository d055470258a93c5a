#!/usr/bin/env python3
"""Compiles every layer of a spec alone and compares what is said with what the text expects.

usage: verify.py FILE.ssm

A line with `// expected-error {{text}}` (or expected-note, expected-warning) wants a diagnostic on itself, with `@+N` or
`@-N` on the line so many lines off, whose message contains the text. Every diagnostic must be expected, so nothing follows
from an error that was reported; layers whose errors are expected must exit with 1, others with 0.
"""
import re
import subprocess
import sys

EXPECTED = re.compile(r"expected-(error|note|warning)(?:@([+-]\d+))? \{\{(.*?)\}\}")
SHOWN = re.compile(r"^(.*?):(\d+):(\d+): (error|note|warning): (.*)$", re.M)


def main(path):
    lines = open(path).read().split("\n")
    expected, layers, begin = [], [], 1
    for number, line in enumerate(lines, 1):
        layer = re.match(r"(?:layer|model) (\w+)", line)
        if layer:
            layers.append((layer.group(1), number))
        for kind, offset, text in EXPECTED.findall(line):
            expected.append((number + int(offset or 0), kind, text))
    failures = []
    for index, (layer, begin) in enumerate(layers):
        end = layers[index + 1][1] if index + 1 < len(layers) else len(lines) + 1
        # What stands outside of layers belongs to the layer before it, or else to the first.
        wanted = [e for e in expected if (begin <= e[0] < end or index == 0 and e[0] < begin)]
        run = subprocess.run(["ssmc", "compile", path, "--layer", layer, "--emit=ssm", "--no-cache"],
                             capture_output=True, text=True, timeout=60)
        status = 1 if any(kind == "error" for _, kind, _ in wanted) else 0
        if run.returncode != status:
            failures.append(f"{layer}: exit status {run.returncode}, wanted {status}\n{run.stderr}")
        for place, line, _, kind, message in SHOWN.findall(run.stderr):
            if kind == "note" and place != path:
                continue  # at a declaration of the library
            match = next((e for e in wanted if e[:2] == (int(line), kind) and e[2] in message), None)
            if match:
                wanted.remove(match)
            else:
                failures.append(f"{layer}: line {line}: not expected: {kind}: {message}")
        failures += [f"{layer}: line {line}: missing: {kind}: {text}" for line, kind, text in wanted]
    print("\n".join(failures))
    print(f"{len(layers)} layers, {len(expected)} diagnostics expected, {len(failures)} failures")
    return 1 if failures or not expected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
