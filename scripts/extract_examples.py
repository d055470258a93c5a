#!/usr/bin/env python3
"""Prints the ```mlir blocks of a generated page, in the form that
`ssm-opt --split-input-file` takes.

usage: extract_examples.py PAGE.md
"""
import re
import sys
import textwrap


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    with open(sys.argv[1]) as page:
        blocks = re.findall(r"^ *```mlir\n(.*?)^ *```", page.read(), re.S | re.M)
    if not blocks:
        sys.exit(f"{sys.argv[1]}: found no ```mlir block, wanted at least one")
    print("// -----\n".join(textwrap.dedent(block) for block in blocks), end="")


if __name__ == "__main__":
    main()
