#!/usr/bin/env python3
"""Compiles every layer and model of the ```ssm examples of a page to LLVM IR, each example as a file of its own.

usage: compile_examples.py PAGE.md DIRECTORY
"""
import pathlib
import re
import subprocess
import sys


def main(page, directory):
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    examples = re.findall(r"^```ssm\n(.*?)^```", pathlib.Path(page).read_text(), re.S | re.M)
    compiled = failed = 0
    for number, text in enumerate(examples):
        source = folder / f"example-{number}.ssm"
        source.write_text(text)
        for layer in re.findall(r"^(?:layer|model) (\w+)", text, re.M):
            run = subprocess.run(["ssmc", "compile", source, "--layer", layer, "--emit=llvm", "--no-cache"],
                                 capture_output=True, text=True, timeout=120)
            compiled += 1
            if run.returncode:
                failed += 1
                print(f"{page}: example {number + 1}, layer {layer}:\n{run.stderr}")
    print(f"{len(examples)} examples, {compiled} layers, {failed} do not compile")
    return 1 if failed or not compiled else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
