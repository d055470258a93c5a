#!/usr/bin/env python3
"""Write the files of a new pass, conversion or op, in the places and under the names that docs/ asks for.

  new.py pass ssm FuseScans            ssm -> ssm, in dialects/ssm/Transforms
  new.py pass upstream TileReductions  upstream dialects only, in lib/Transforms
  new.py pass cpu LowerScan            the CPU target, in lib/Target/CPU
  new.py conversion Linalg             lib/Conversion/SSMToLinalg
  new.py op resize                     ssm.resize: ODS entry, verifier, tests

Nothing that exists is overwritten. The result builds and its tests pass; the text to write is where it says "Describe".
"""
import argparse
import pathlib
import re
import sys

from check_names import kebab

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Stop(Exception):
    pass


def create(path, text):
    path = ROOT / path
    if path.exists():
        raise Stop(f"{path.relative_to(ROOT)} exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip("\n"))
    print(f"  new      {path.relative_to(ROOT)}")


def edit(path, pattern, text, after=False, last=False):
    """Insert text before (or after) the first (or last) line that matches the pattern."""
    path = ROOT / path
    content = path.read_text()
    found = list(re.finditer(pattern, content, re.M))
    if not found:
        raise Stop(f"{path.relative_to(ROOT)}: nothing matches '{pattern}'")
    match = found[-1 if last else 0]
    at = match.end() if after else match.start()
    path.write_text(content[:at] + text + content[at:])
    print(f"  changed  {path.relative_to(ROOT)}")


def banner(name, what, language=""):
    head = f"//===- {name} - {what} "
    tail = f"-*- {language} -*-===//" if language else "===//"
    return head + "-" * max(3, 80 - len(head) - len(tail)) + tail


PLACES = {  # folder, table, header, namespace, library
    "ssm": ("dialects/ssm/Transforms", "dialects/ssm/Transforms/Passes.td", "ssm/Transforms/Passes.h", "mlir::ssm"),
    "upstream": ("lib/Transforms", "include/ssmc/Transforms/Passes.td", "ssmc/Transforms/Passes.h", "ssmc"),
    "cpu": ("lib/Target/CPU", "lib/Target/CPU/Passes.td", "Target/CPU/Passes.h", "ssmc"),
}


def definition(name, flag):
    return f"""
def {name}Pass : Pass<"{flag}"> {{
  let summary = "Describe {flag} in one line";
  let description = [{{
    Describe what is rewritten, into what, and when not. Example:

    ```mlir
    func.func @before() {{
      return
    }}
    ```
  }}];
}}
"""


def pass_source(name, flag, header, namespace, includes=""):
    return f"""{banner(name + ".cpp", "Describe the pass")}
//
// Describe what it does and what it does not.
//
//===----------------------------------------------------------------------===//

#include "{header}"
{includes}
#include "llvm/Support/DebugLog.h"

#define DEBUG_TYPE "{flag}"

namespace {namespace} {{
#define GEN_PASS_DEF_{name.upper()}PASS
#include "{header}.inc"
}} // namespace {namespace}

using namespace mlir;

namespace {{
struct {name}Pass : public {namespace}::impl::{name}PassBase<{name}Pass> {{
  void runOnOperation() override {{
    LDBG() << "on " << getOperation()->getName();
  }}
}};
}} // namespace
"""


def new_pass(place, name):
    folder, table, header, namespace = PLACES[place]
    if not (ROOT / table).exists() and (ROOT / folder / "Passes.td").exists():
        table, header = f"{folder}/Passes.td", f"{folder.removeprefix('lib/')}/Passes.h"
    flag = f"ssm-{kebab(name)}"
    create(f"{folder}/{name}.cpp", pass_source(name, flag, header, namespace))
    edit(table, r"^#endif", definition(name, flag).lstrip("\n") + "\n", last=True)
    edit(f"{folder}/CMakeLists.txt", r"^\s*ssmc_add_library\(\w+", f" {name}.cpp", after=True)
    tests = folder.removeprefix("lib/")
    create(f"test/{tests}/{kebab(name)}.mlir", f"""
// RUN: ssm-opt --{flag} %s | FileCheck %s

// CHECK-LABEL: func.func @unchanged
func.func @unchanged() {{
  return
}}
""")


def new_conversion(target):
    name, flag = f"SSMTo{target}", f"convert-{kebab('SSMTo' + target)}"
    guard = f"SSMC_CONVERSION_{name.upper()}_H"
    create(f"include/ssmc/Conversion/{name}.h", f"""
{banner(name + ".h", f"The ssm dialect to {target}", "C++")}

#ifndef {guard}
#define {guard}

#include "mlir/Pass/Pass.h"

namespace mlir {{
class RewritePatternSet;
}} // namespace mlir

namespace ssmc {{
#define GEN_PASS_DECL_CONVERT{name.upper()}PASS
#include "ssmc/Conversion/Passes.h.inc"

/// Describe the patterns.
void populate{name}ConversionPatterns(mlir::RewritePatternSet &patterns);
}} // namespace ssmc

#endif // {guard}
""")
    create(f"lib/Conversion/{name}/{name}.cpp", f"""
{banner(name + ".cpp", f"The ssm dialect to {target}")}
//
// Only the pass; put the patterns of each family of ops in a file of its name.
//
//===----------------------------------------------------------------------===//

#include "ssmc/Conversion/{name}.h"

#include "ssm/IR/SSM.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

#define DEBUG_TYPE "{flag}"

namespace ssmc {{
#define GEN_PASS_DEF_CONVERT{name.upper()}PASS
#include "ssmc/Conversion/Passes.h.inc"
}} // namespace ssmc

using namespace mlir;

//===----------------------------------------------------------------------===//
// Populate
//===----------------------------------------------------------------------===//

void ssmc::populate{name}ConversionPatterns(RewritePatternSet &patterns) {{}}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {{
struct Convert{name}Pass
    : public ssmc::impl::Convert{name}PassBase<Convert{name}Pass> {{
  void runOnOperation() override {{
    RewritePatternSet patterns(&getContext());
    ssmc::populate{name}ConversionPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }}
}};
}} // namespace
""")
    create(f"lib/Conversion/{name}/CMakeLists.txt", f"""
ssmc_add_library({name} {name}.cpp
                 DEPENDS SSMCConversionIncGen LINK SSMIR)
""")
    create(f"test/Conversion/{name}/{kebab(name)}.mlir", f"""
// RUN: ssm-opt --{flag} %s | FileCheck %s --implicit-check-not=' ssm.'

// CHECK-LABEL: func.func @nothing_to_convert
func.func @nothing_to_convert() {{
  return
}}
""")
    edit("include/ssmc/Conversion/Passes.td", r"^#endif", definition(f"Convert{name}", flag).lstrip("\n") + "\n", last=True)
    edit("include/ssmc/Conversion/Passes.h", r'^#include "ssmc/Conversion/\w+\.h"\n', f'#include "ssmc/Conversion/{name}.h"\n', after=True, last=True)
    edit("lib/Conversion/CMakeLists.txt", r"\Z", f"add_subdirectory({name})  # describe it\n")
    cmake = (ROOT / "tools/CMakeLists.txt").read_text()
    if "SSMToSCF" in cmake:
        edit("tools/CMakeLists.txt", r"\bSSMToSCF\b", f" {name}", after=True)
    else:
        print(f"  to do    link {name} where SSMToSCF is linked (ssm-opt and the pipeline)")


def new_op(mnemonic):
    name = "".join(part.capitalize() for part in mnemonic.split("_"))
    create(f"test/dialects/ssm/IR/{mnemonic.replace('_', '-')}.mlir", f"""
// RUN: ssm-opt %s | ssm-opt | FileCheck %s
// RUN: ssm-opt --mlir-print-op-generic %s | ssm-opt | FileCheck %s

// CHECK-LABEL: func.func @{mnemonic}
func.func @{mnemonic}(%x: tensor<4xf32>) -> tensor<4xf32> {{
  // CHECK: ssm.{mnemonic} %{{{{.*}}}} : tensor<4xf32>
  %y = ssm.{mnemonic} %x : tensor<4xf32>
  return %y : tensor<4xf32>
}}
""")
    create(f"test/dialects/ssm/IR/{mnemonic.replace('_', '-')}-invalid.mlir", f"""
// RUN: ssm-opt --split-input-file --verify-diagnostics %s

func.func @{mnemonic}_c1_rank(%x: tensor<f32>) -> tensor<f32> {{
  // expected-error @below {{{{(C1) input: found rank 0, wanted at least 1}}}}
  %y = ssm.{mnemonic} %x : tensor<f32>
  return %y : tensor<f32>
}}
""")
    edit("dialects/ssm/IR/SSMOps.td", r"^#endif", f"""def SSM_{name}Op : SSM_Op<"{mnemonic}", [Pure, SameOperandsAndResultType]> {{
  let summary = "Describe ssm.{mnemonic} in one line";
  let description = [{{
    Describe the formula, every operand, and what happens at the edges.

    Constraints:
    * (C1) the input has at least one dimension.

    ```mlir
    func.func @{mnemonic}(%x: tensor<4xf32>) -> tensor<4xf32> {{
      %y = ssm.{mnemonic} %x : tensor<4xf32>
      return %y : tensor<4xf32>
    }}
    ```
  }}];
  let arguments = (ins AnyRankedTensor:$input);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}}

""", last=True)
    source = ROOT / "dialects/ssm/IR/SSMOps.cpp"
    source.write_text(source.read_text().rstrip("\n") + f"""

//===----------------------------------------------------------------------===//
// {name}Op
//===----------------------------------------------------------------------===//

LogicalResult {name}Op::verify() {{
  if (getInput().getType().getRank() == 0) // {mnemonic}_c1
    return emitOpError("(C1) input: found rank 0, wanted at least 1");
  return success();
}}
""")
    print("  changed  dialects/ssm/IR/SSMOps.cpp")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    a_pass = kinds.add_parser("pass")
    a_pass.add_argument("place", choices=PLACES)
    a_pass.add_argument("name", help="verb and noun, as in FuseScans")
    conversion = kinds.add_parser("conversion")
    conversion.add_argument("target", help="as in Linalg, for SSMToLinalg")
    op = kinds.add_parser("op")
    op.add_argument("mnemonic", help="lower snake case, as in resize")
    args = parser.parse_args()
    word = args.mnemonic if args.kind == "op" else args.target if args.kind == "conversion" else args.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*" if args.kind == "op" else r"[A-Z][A-Za-z0-9]*", word):
        parser.error(f"'{word}' is not a name of the form wanted here; see --help")
    try:
        if args.kind == "pass":
            new_pass(args.place, word.removesuffix("Pass"))
        elif args.kind == "conversion":
            new_conversion(word)
        else:
            new_op(word)
    except Stop as stop:
        print(f"new.py: error: {stop}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
