#!/usr/bin/env python3
"""Check the shape of the specs: at most 40 lines a layer (comments and blank lines apart) and 100 columns a line.

  check_specs.py [--list] [FILE.ssm ...]        (default: examples/ and the standard library)
"""
import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES, COLUMNS = 40, 100


def layers(text):
    """Yield (name, first line, lines of code) of each layer and model."""
    name, first, count = None, 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        declaration = re.match(r"(?:layer|model|fn) (\w+)", line)
        code = line.strip() and not line.lstrip().startswith("//")
        if declaration:
            if name:
                yield name, first, count
            name, first, count = declaration.group(1), number, 0
        if code and name and (declaration or line[0] in " }"):
            count += 1
    if name:
        yield name, first, count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the length of every layer")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    files = args.files or sorted((ROOT / "examples").glob("*.ssm")) + sorted((ROOT / "lib/Frontend/Library").glob("*.ssm"))
    errors = 0
    for path in files:
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS:
                print(f"{path}:{number}: error: {len(line)} columns, at most {COLUMNS} are wanted")
                errors += 1
        for name, first, count in layers(text):
            if args.list:
                print(f"{count:3d}  {path.name}: {name}")
            if count > LINES:
                print(f"{path}:{first}: error: {name} has {count} lines, at most {LINES} are wanted")
                errors += 1
    if not files:
        print("no spec found")
    return 1 if errors or not files else 0


if __name__ == "__main__":
    sys.exit(main())
