#!/usr/bin/env python3
"""Check that one name goes from flag to test (docs/AddingAPass.md):

  pass `ssm-fuse-scans` <-> `FuseScansPass` <-> FuseScans.cpp <-> fuse-scans.mlir <-> DEBUG_TYPE "ssm-fuse-scans"
  conversion `convert-ssm-to-scf` <-> `ConvertSSMToSCFPass` <-> lib/Conversion/SSMToSCF/SSMToSCF.cpp <-> test/Conversion/SSMToSCF/

and that every pass has a summary and a description. Prints what is wrong and the sum.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def kebab(name):
    """FuseScans -> fuse-scans, LowerToCPU -> lower-to-cpu, SSMToSCF -> ssm-to-scf."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def passes(table):
    """Yield (name without Pass, flag, body) of the passes defined in a Passes.td, or what one includes."""
    for match in re.finditer(r'^def (\w+) ?: ?(?:\w*Pass)<"([^"]+)".*?\{(.*?)^\}', table.read_text(), re.M | re.S):
        yield match.group(1).removesuffix("Pass"), match.group(1), match.group(2), match.group(3)


def tests_under(folder):
    folder = ROOT / "test" / folder
    return {path.stem for path in folder.rglob("*.mlir")} if folder.is_dir() else set()


def check_pass(table, name, definition, flag, body, errors):
    if not definition.endswith("Pass"):
        errors.append(f"the name of {definition} should end in Pass")
    for field in ("summary", "description"):
        if not re.search(rf"let {field} =", body):
            errors.append(f"{definition} has no {field}")
    conversion = flag.startswith("convert-")
    if conversion:
        folder = name.removeprefix("Convert")
        if flag != f"convert-{kebab(folder)}":
            errors.append(f"{definition} has flag {flag}, wanted convert-{kebab(folder)}")
        source = ROOT / "lib/Conversion" / folder / f"{folder}.cpp"
        if not (ROOT / f"include/ssmc/Conversion/{folder}.h").exists():
            errors.append(f"{definition} has no include/ssmc/Conversion/{folder}.h")
        if not tests_under(f"Conversion/{folder}"):
            errors.append(f"{definition} has no test in test/Conversion/{folder}")
    else:
        place = table.parent.relative_to(ROOT)
        # Passes of the CPU came first and have no prefix of their own.
        prefix = "nvptx" if place.name == "NVPTX" else "ssm"
        if flag not in (f"{prefix}-{kebab(name)}", f"ssmc-{kebab(name)}"):
            errors.append(f"{definition} has flag {flag}, wanted {prefix}-{kebab(name)}")
        if place.parts[:2] == ("include", "ssmc"):
            place = pathlib.Path("lib", *place.parts[2:])
        source = ROOT / place / f"{name}.cpp"
        tests = pathlib.Path(*place.parts[1:]) if place.parts[0] == "lib" else place
        found = tests_under(tests)
        if not any(test == kebab(name) or test.startswith(kebab(name) + "-") for test in found):
            errors.append(f"{definition} has no test/{tests}/{kebab(name)}.mlir")
    if not source.exists():
        errors.append(f"{definition} has no {source.relative_to(ROOT)}")
        return
    debug = re.search(r'#define DEBUG_TYPE "([^"]+)"', source.read_text())
    if debug and debug.group(1) != flag:
        errors.append(f"{source.relative_to(ROOT)} has DEBUG_TYPE {debug.group(1)}, wanted {flag}")


def main():
    count = failed = 0
    tables = sorted(path for top in ("dialects", "include", "lib") for path in (ROOT / top).rglob("*Passes.td"))
    for table in tables:
        for name, definition, flag, body in passes(table):
            errors = []
            check_pass(table, name, definition, flag, body, errors)
            for error in errors:
                print(f"{table.relative_to(ROOT)}: {error}")
            count, failed = count + 1, failed + bool(errors)
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
