#!/usr/bin/env python3
"""Kernels in PTX as C for the fake driver, so that threads that work together are tested where no GPU is.

  ptx_to_c.py kernels.ptx > kernels.c
  cc -O1 -shared -fPIC -o kernels.so kernels.c emulated_warps.c -lm
  SSMRT_CUDA_DRIVER=libfake_cuda.so FAKE_CUDA_KERNELS=kernels.so run_gpu layer.so ...

Every thread of a block is a coroutine; shuffles, barriers and the instructions of tensor cores wait for the others. It
knows the instructions that this compiler's kernels have, and says which one it does not know.
"""
import re
import sys

WIDTH = {"p": "int", "rs": "uint16_t", "r": "uint32_t", "rd": "uint64_t"}
FLOATS = {"f32": "float", "f64": "double"}
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
BINARY = {"add": "+", "sub": "-", "and": "&", "or": "|", "xor": "^", "div": "/", "rem": "%"}
MATH = {"ex2": "exp2", "lg2": "log2", "sqrt": "sqrt", "rsqrt": "1 / sqrt", "rcp": "1 / ", "sin": "sin", "cos": "cos",
        "tanh": "tanh"}


def ctype(kind):
    if kind in FLOATS:
        return FLOATS[kind]
    sign = "int" if kind[0] == "s" else "uint"
    return f"{sign}{kind[1:]}_t"


class Kernel:
    def __init__(self, name, shared):
        self.name, self.shared = name, shared
        self.lines, self.params = [], 0

    def operand(self, text, kind):
        """A C expression of the type `kind`."""
        text = text.strip()
        if text.startswith("0f") or text.startswith("0d"):
            bits = f"0x{text[2:]}ull"
            return f"bits_{kind}({bits})" if kind in FLOATS else f"({ctype(kind)}){bits}"
        if text.startswith("%") and "." in text:
            return f"({ctype(kind)})special(self, \"{text[1:]}\")"
        if text.startswith("%"):
            name = text[1:]
            if kind in FLOATS:
                return f"as_{kind}({name})"
            return name if kind == "pred" else f"({ctype(kind)}){name}"
        if kind == "pred": # a constant
            return str(int(text != "0"))
        if re.fullmatch(r"-?(0x[0-9A-Fa-f]+|\d+)U?", text):
            return f"({ctype(kind)}){text}" + ("ll" if kind[-2:] == "64" else "")
        if text in DYNAMIC:
            return "(uint64_t)(uintptr_t)dynamic_shared()"
        if text in self.shared or text in KNOWN:
            return f"(uint64_t)(uintptr_t)&{text}"
        raise ValueError(f"operand {text}")

    def assign(self, target, kind, value):
        name = target.strip()[1:]
        if kind in FLOATS:
            self.emit(f"{name} = of_{kind}({value});")
        else:
            self.emit(f"{name} = ({ctype(kind) if kind != 'pred' else 'int'})({value});")

    def emit(self, text):
        self.lines.append("  " + text)

    def address(self, text):
        inner = text.strip()[1:-1]
        base, _, offset = inner.partition("+")
        return f"({self.operand(base, 'u64')} + ({offset or 0}))"

    def instruction(self, text):
        guard = ""
        match = re.match(r"@(!?)%(p\d+|\w+_pred)\s+(.*)", text)
        if match:
            guard, text = f"if ({match[1]}{match[2]}) ", match[3]
        name, _, rest = text.partition(" ")
        name, rest = name.strip(), rest.strip()
        start = len(self.lines)
        self.translate(name.split("."), [part.strip() for part in re.split(r",\s*(?![^{\[]*[}\]])", rest)] if rest else [])
        if guard:
            body = " ".join(line.strip() for line in self.lines[start:])
            self.lines[start:] = [f"  {guard}{{ {body} }}"]

    def translate(self, parts, args):
        op, kind = parts[0], parts[-1]
        if op == "bra":
            return self.emit(f"goto {args[0].replace('$', 'L_')};")
        if op == "ret":
            return self.emit("return;")
        if op in ("mov", "cvta"):
            if kind in ("b16", "b32", "b64", "u64", "u32", "f32", "f64", "pred") and "{" in args[0] + args[1]:
                return self.pack(args, kind)
            if args[1].startswith("%") and args[1][1:].split(".")[0] in ("tid", "ctaid", "ntid", "nctaid", "laneid"):
                return self.emit(f"{args[0][1:]} = special(self, \"{args[1][1:]}\");")
            if kind in FLOATS and args[1].startswith("%"):
                kind = "b" + kind[1:]
            return self.assign(args[0], kind, self.operand(args[1], kind))
        if op in ("ld", "st"):
            return self.memory(parts, args)
        if op.startswith("prefetch") or op in ("fence", "setmaxnreg", "griddepcontrol"):
            return None
        if op == "setp":
            return self.compare(parts, args)
        if op == "selp":
            return self.assign(args[0], kind, f"{args[3][1:]} ? {self.operand(args[1], kind)} : {self.operand(args[2], kind)}")
        if op == "cvt":
            return self.convert(parts, args)
        if op in ("fma", "mad"):
            a, b, c = (self.operand(arg, kind) for arg in args[1:])
            if kind in FLOATS:
                return self.assign(args[0], kind, f"__builtin_fma{'f' if kind == 'f32' else ''}({a}, {b}, {c})")
            return self.wide(parts, args, kind, c=args[3])
        if op == "mul" and kind in ("bf16x2", "f16x2"):
            a, b = (self.operand(arg, "u32") for arg in args[1:])
            return self.emit(f"{args[0][1:]} = multiply_pairs({a}, {b}, {int(kind == 'f16x2')});")
        if op == "mul" and kind not in FLOATS:
            return self.wide(parts, args, kind)
        if op in ("shl", "shr"):
            bits = int(kind[1:])
            return self.assign(args[0], kind, f"{self.operand(args[2], 'u32')} >= {bits} ? 0 : "
                               f"{self.operand(args[1], kind)} {'<<' if op == 'shl' else '>>'} {self.operand(args[2], 'u32')}")
        if op == "not":
            return self.assign(args[0], kind, f"{'!' if kind == 'pred' else '~'}{self.operand(args[1], kind)}")
        if op in ("neg", "abs"):
            value = self.operand(args[1], kind)
            return self.assign(args[0], kind, f"-{value}" if op == "neg" else f"{value} < 0 ? -{value} : {value}")
        if op in ("min", "max"):
            a, b = (self.operand(arg, kind) for arg in args[1:])
            if kind in FLOATS:
                return self.assign(args[0], kind, f"f{op}({a}, {b})")
            return self.assign(args[0], kind, f"{a} {'<' if op == 'min' else '>'} {b} ? {a} : {b}")
        if op == "copysign":
            sign, size = (self.operand(arg, kind) for arg in args[1:])
            return self.assign(args[0], kind, f"copysign({size}, {sign})")
        if op in BINARY or op == "mul":
            kind = "pred" if kind == "pred" else kind
            return self.assign(args[0], kind, f"{self.operand(args[1], kind)} {BINARY.get(op, '*')} {self.operand(args[2], kind)}")
        if op in MATH:
            return self.assign(args[0], kind, f"{MATH[op]}({self.operand(args[1], kind)})")
        if op == "bfe":
            a, b, c = (self.operand(arg, "u64") for arg in args[1:])
            return self.assign(args[0], kind, f"({a} >> {b}) & ((1ull << {c}) - 1)")
        if op in ("bar", "barrier"):
            if parts[1] != "warp" and len(args) == 2:
                return self.emit(f"wait_some(self, {self.operand(args[0], 'u32')}, {self.operand(args[1], 'u32')});")
            return self.emit("wait_warp(self);" if parts[1] == "warp" else "wait_block(self);")
        if op == "shfl":
            return self.shuffle(parts, args)
        if op == "redux":
            return self.emit(f"{args[0][1:]} = largest(self, {self.operand(args[1], 'u32')});")
        if op == "ldmatrix":
            targets = [arg.strip()[1:] for arg in args[0][1:-1].split(",")]
            self.emit(f"load_matrices(self, {self.address(args[1])}, {len(targets)}, {int('trans' in parts)});")
            for i, target in enumerate(targets):
                self.emit(f"{target} = self->results[{i}];")
            return None
        if op == "stmatrix":
            sources = [self.operand(arg, "u32") for arg in args[1].strip("{}").split(",")]
            return self.emit(f"store_matrices(self, {self.address(args[0])}, (uint32_t[]){{{', '.join(sources)}}}, "
                             f"{len(sources)}, {int('trans' in parts)});")
        if op == "mbarrier":
            return self.barrier(parts, args)
        if op == "wgmma":
            return self.multiply_warpgroup(parts, args) if parts[1] == "mma_async" else None
        if op == "movmatrix":
            return self.emit(f"{args[0][1:]} = transpose(self, {self.operand(args[1], 'u32')});")
        if op == "mma":
            return self.multiply_wide(args) if kind == "f64" else self.multiply(args, int("f16" in parts))
        if op == "prmt":
            a, b, c = (self.operand(arg, "u32") for arg in args[1:])
            return self.assign(args[0], "b32", f"permute({a}, {b}, {c})")
        if op == "cp" and parts[1] == "async":
            if parts[2 + (parts[2] == "bulk")] in ("commit_group", "wait_group", "wait_all"):
                return None
            target, source = self.address(args[0]), self.address(args[1])
            if len(args) > 3:  # zeros after what is there
                self.emit(f"memset((void *){target}, 0, {args[2]});")
            return self.emit(f"memcpy((void *){target}, (void *){source}, {self.operand(args[-1], 'u32')});")
        raise ValueError("instruction " + ".".join(parts))

    def pack(self, args, kind):
        if "{" in args[0]:
            parts = [part.strip() for part in args[0].strip("{}").split(",")]
            bits = int(kind[1:]) // len(parts)
            for i, part in enumerate(parts):
                if part != "_":
                    self.emit(f"{part[1:]} = ({self.operand(args[1], 'u64' if kind[-2:] == '64' else 'u32')}) >> {bits * i};")
            return
        parts = [part.strip() for part in args[1].strip("{}").split(",")]
        bits = int(kind[1:]) // len(parts)
        value = " | ".join(f"((uint64_t)(uint{bits}_t){part[1:] if part[0] == '%' else part} << {bits * i})"
                           for i, part in enumerate(parts))
        self.emit(f"{args[0][1:]} = {value};")

    def memory(self, parts, args):
        kind = parts[-1]
        vector = next((int(part[1:]) for part in parts if part in ("v2", "v4")), 1)
        bits = int(kind[1:])
        if parts[1] == "param":
            name = args[1].strip("[]")
            match = re.match(r".*_param_(\d+)$", name)
            return self.emit(f"memcpy(&{args[0][1:]}, arguments[{match[1]}], {bits // 8});")
        load = parts[0] == "ld"
        place, values = (args[1], args[0]) if load else (args[0], args[1])
        names = [part.strip() for part in values.strip("{}").split(",")] if vector > 1 else [values]
        if vector > 1:
            self.emit(f"check_alignment({self.address(place)}, {vector * bits // 8});")
        for i, name in enumerate(names):
            at = f"({self.address(place)} + {i * bits // 8})"
            if load:
                self.emit(f"{name[1:]} = *(uint{bits}_t *){at};")
            else:
                value = f"of_{kind}({self.operand(name, kind)})" if kind in FLOATS else self.operand(name, "u" + str(bits))
                self.emit(f"*(uint{bits}_t *){at} = {value};")

    def compare(self, parts, args):
        kind, test = parts[-1], parts[1]
        a, b = (self.operand(arg, kind) for arg in args[1:3])
        if test == "nan":
            value = f"{a} != {a} || {b} != {b}"
        elif test == "num":
            value = f"{a} == {a} && {b} == {b}"
        elif kind in FLOATS and test.endswith("u") and test[:-1] in COMPARE:
            value = f"!({a} == {a} && {b} == {b}) || {a} {COMPARE[test[:-1]]} {b}"
        else:
            value = f"{a} {COMPARE[test]} {b}"
        self.emit(f"{args[0].split('|')[0][1:]} = {value};")

    def convert(self, parts, args):
        to, source = parts[-2], parts[-1]
        if to in ("bf16x2", "f16x2"):
            high, low = (self.operand(arg, "f32") for arg in args[1:])
            round = "to_" + to[:-2]
            return self.emit(f"{args[0][1:]} = (uint32_t){round}({high}) << 16 | {round}({low});")
        if to == "bf16":
            return self.emit(f"{args[0][1:]} = to_bf16({self.operand(args[1], 'f32')});")
        if to == "f16":
            return self.emit(f"{args[0][1:]} = to_f16({self.operand(args[1], 'f32')});")
        if source == "f16":
            return self.emit(f"{args[0][1:]} = of_f32(from_f16({args[1][1:]}));")
        if source == "bf16":
            return self.emit(f"{args[0][1:]} = (uint32_t){args[1][1:]} << 16;")
        value = self.operand(args[1], source)
        if "rni" in parts:
            value = f"rint({value})"
        return self.assign(args[0], to, f"({ctype(to)})({value})")

    def wide(self, parts, args, kind, c=None):
        bits = int(kind[1:])
        a, b = (self.operand(arg, kind) for arg in args[1:3])
        if parts[1] == "wide":
            target = kind[0] + str(2 * bits)
            value = f"({ctype(target)}){a} * ({ctype(target)}){b}"
            kind = target
        elif parts[1] == "hi":
            value = f"(uint64_t)((__int128)({a}) * ({b}) >> {bits})"
        else:
            value = f"{a} * {b}"
        if c is not None:
            value += f" + {self.operand(c, kind)}"
        self.assign(args[0], kind, value)

    def shuffle(self, parts, args):
        target, _, in_range = args[0].partition("|")
        value, lane, clamp, mask = (self.operand(arg, "u32") for arg in args[1:])
        self.emit(f"{target[1:]} = shuffle(self, {value}, {lane}, \"{parts[2]}\", {clamp}, {mask});")
        if in_range:
            self.emit(f"{in_range[1:]} = self->isInRange;")

    def multiply_wide(self, args):
        """m8n8k4, or m16n8k16 as two times four of them."""
        groups = [[part.strip() for part in group.strip().strip("{}").split(",")] for group in args]
        left, right, sums = ([self.operand(part, "f64") for part in group] for group in groups[1:])
        halves = len(left) // len(right)
        for half in range(halves):
            self.emit(f"self->wide_sums[0] = {sums[2 * half]}; self->wide_sums[1] = {sums[2 * half + 1]};")
            for i, factor in enumerate(right):
                self.emit(f"multiply_wide(self, {left[i * halves + half]}, {factor});")
            # Operands are read before a result is there: it may be in the same registers.
            self.emit(f"self->wide_results[{2 * half}] = self->wide_sums[0]; self->wide_results[{2 * half + 1}] = self->wide_sums[1];")
        for i, target in enumerate(groups[0]):
            self.emit(f"{target[1:]} = of_f64(self->wide_results[{i}]);")

    def multiply(self, args, is_f16):
        groups = [[part.strip() for part in group.strip()[1:-1].split(",")] for group in args]
        values = ", ".join([self.operand(part, "u32") for part in groups[1] + groups[2]])
        sums = ", ".join(self.operand(part, "f32") for part in groups[3])
        self.emit(f"multiply(self, (uint32_t[]){{{values}}}, (float[]){{{sums}}}, {is_f16});")
        for i, target in enumerate(groups[0]):
            self.emit(f"{target[1:]} = self->results[{i}];")

    def barrier(self, parts, args):
        """Of shared memory."""
        if parts[1] == "init":
            return self.emit(f"init_barrier({self.address(args[0])}, {args[1]});")
        if parts[1] == "arrive":
            return self.emit(f"arrive({self.address(args[1])});")
        return self.emit(f"{args[0][1:]} = try_wait(self, {self.address(args[1])}, {self.operand(args[2], 'u32')});")

    def multiply_warpgroup(self, parts, args):
        """At once: nobody writes operands before they wait."""
        columns = int(re.fullmatch(r"m64n(\d+)k16", parts[4])[1])
        sums, left = ([part.strip() for part in group.strip()[1:-1].split(",")] for group in args[:2])
        values = ", ".join(self.operand(part, "f32") for part in sums)
        registers = ", ".join(self.operand(part, "u32") for part in left)
        self.emit(f"{{ float sums[] = {{{values}}}; multiply_warpgroup(self, {columns}, sums, (uint32_t[]){{{registers}}}, "
                  f"{args[2][1:]}, {self.operand(args[3], 'pred')}, {args[6]});")
        for i, target in enumerate(sums):
            self.emit(f"{target[1:]} = of_f32(sums[{i}]);")
        self.emit("}")


KNOWN, DYNAMIC = set(), set()


def name_scopes(text):
    """Blocks of assembly have registers and labels of their own: they get names that nobody else has."""
    count = 0

    def rename(match):
        nonlocal count
        count += 1
        body = match[1]
        for kind, names in re.findall(r"\.reg \.(\w+) ([^;]*);", body):
            for name in names.split(","):
                body = re.sub(rf"(?<![%\w.]){name.strip()}(?![\w.])", f"%{name.strip()}_{count}_{kind}", body)
        body = re.sub(r"\.reg [^;]*;", "", body)
        return re.sub(r"\bAGAIN\b", f"$AGAIN_{count}", body).replace(f"$AGAIN_{count}:", f"\n$AGAIN_{count}:\n")

    return re.sub(r"\{ (\.reg .*?) \}$", rename, text, flags=re.M)


def translate(text):
    out = ['#include "emulated_warps.h"', ""]
    text = name_scopes(re.sub(r"//[^\n]*", "", text))
    DYNAMIC.update(re.findall(r"^\s*\.extern \.shared .* (\w+)\[\];", text, re.M))
    for match in re.finditer(r"^\s*(?:\.visible )?\.(?:const|global)\s+\.align (\d+)\s+\.b8 (\w+)\[(\d+)\](?:\s*=\s*\{([^}]*)\})?;", text, re.M):
        KNOWN.add(match[2])
        values = match[4] or "0"
        out.append(f"static const uint8_t {match[2]}[{match[3]}] __attribute__((aligned({match[1]}))) = {{{values}}};")
    for match in re.finditer(r"^\s*\.shared\s+\.align (\d+)\s+\.b8 (\w+)\[(\d+)\];", text, re.M):
        KNOWN.add(match[2])
        out.append(f"static uint8_t {match[2]}[{match[3]}] __attribute__((aligned({match[1]})));")
    for match in re.finditer(r"\.entry (\w+)\((.*?)\)(.*?)\{(.*?)^\}", text, re.S | re.M):
        name, params, _, body = match.groups()
        out += kernel(name, params.count(".param"), body)
    return "\n".join(out) + "\n"


def kernel(name, params, body):
    made = Kernel(name, set())
    declarations = []
    body = re.sub(r"\.shared\s+\.align (\d+)\s+\.b8 (\w+)\[(\d+)\];",
                  lambda m: made.shared.add(m[2]) or declarations.append(
                      f"  static uint8_t {m[2]}[{m[3]}] __attribute__((aligned({m[1]})));") or "", body)
    for match in re.finditer(r"\.reg \.\w+\s+%(\w+)<(\d+)>;", body):
        registers = ", ".join(f"{match[1]}{i} = 0" for i in range(int(match[2])))
        declarations.append(f"  {WIDTH[match[1]]} {registers};")
    body = re.sub(r"\.reg [^;]*;", "", body)
    for register, kind in sorted(set(re.findall(r"%(\w+_\d+_(pred|b32|b64))\b", body))):
        declarations.append(f"  {'int' if kind == 'pred' else f'uint{kind[1:]}_t'} {register} = 0;")
    for statement in re.split(r";|(?<=:)\s*\n", body):
        statement = " ".join(statement.split())
        while (match := re.match(r"(\$\w+):\s*(.*)", statement)):
            made.lines.append(f"{match[1].replace('$', 'L_')}:;")
            statement = match[2]
        if statement and not statement.startswith("."):
            made.instruction(statement)
    return [f"static void thread_{name}(Thread *self, void **arguments) {{", *declarations, *made.lines, "}", "",
            f"int fake_{name}_arguments = {params};",
            f"void fake_{name}(const fake_launch *launch, void **arguments) {{",
            f"  run_grid(launch, arguments, thread_{name});", "}", ""]


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(translate(file.read()))
