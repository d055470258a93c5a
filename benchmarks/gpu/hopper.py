"""Writes MLIR for Hopper, line by line: values, tiles in shared memory, products of a warpgroup (wgmma), barriers."""

BOX = 64 * 128  # bytes of a tile: 64 rows of 64 numbers of two bytes

lines = []
emit = lines.append
number = 0


def fresh():
    """A name for a value."""
    global number
    number += 1
    return f"%v{number}"


def op(text):
    result = fresh()
    emit(f"    {result} = {text}")
    return result


def i32(value):
    return op(f"llvm.mlir.constant({value} : i32) : i32")


def i64(value):
    return op(f"llvm.mlir.constant({value} : i64) : i64")


def f32(value):
    return op(f"llvm.mlir.constant({value:e} : f32) : f32")


def binary(which, a, b, kind="i32"):
    """Of two values; a number stands for a constant."""
    constant = {"i32": i32, "i64": i64, "f32": f32}.get(kind)
    a, b = (constant(v) if isinstance(v, (int, float)) else v for v in (a, b))
    return op(f"llvm.{which} {a}, {b} : {kind}")


def add(a, b):
    return binary("add", a, b)


def mul(a, b):
    return binary("mul", a, b)


def fmul(a, b):
    return binary("fmul", a, b, "f32")


def compare(which, a, b, kind="i32"):
    a, b = ({"i32": i32, "i64": i64}[kind](v) if isinstance(v, int) else v for v in (a, b))
    return op(f'llvm.icmp "{which}" {a}, {b} : {kind}')


def select(condition, a, b, kind="i32"):
    return op(f"llvm.select {condition}, {a}, {b} : i1, {kind}")


def wide(value):
    return op(f"llvm.zext {value} : i32 to i64")


def exp2(value):
    return op(f'llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"({value}) : (f32) -> f32')


def shared(offset, further=0, base="tiles"):
    """`further` is a number."""
    start = op(f"llvm.mlir.addressof @{base} : !llvm.ptr<3>")
    place = op(f"llvm.getelementptr {start}[{offset}] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8")
    return op(f"llvm.getelementptr {place}[{further}] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8") if further else place


def load_shared(offset, further, kind):
    return op(f"llvm.load {shared(offset, further)} : !llvm.ptr<3> -> {kind}")


def load_pair(offset, further):
    pair = load_shared(offset, further, "vector<2xf32>")
    return [op(f"llvm.extractelement {pair}[{i32(e)} : i32] : vector<2xf32>") for e in range(2)]


def element(base, index, kind):
    return op(f"llvm.getelementptr {base}[{index}] : (!llvm.ptr, i64) -> !llvm.ptr, {kind}")


def make_pair(low, high):
    pair = op("llvm.mlir.undef : vector<2xf32>")
    for e, value in enumerate((low, high)):
        pair = op(f"llvm.insertelement {value}, {pair}[{i32(e)} : i32] : vector<2xf32>")
    return pair


def pack(low, high):
    """Two f32 as bf16 in an i32."""
    narrow = op(f"llvm.fptrunc {make_pair(low, high)} : vector<2xf32> to vector<2xbf16>")
    return op(f"llvm.bitcast {narrow} : vector<2xbf16> to i32")


def shuffled(kind, value, lane, limit, type_="f32"):
    return op(f"nvvm.shfl.sync {kind} {i32(-1)}, {value}, {i32(lane)}, {i32(limit)} : {type_} -> {type_}")


def uniform(value):
    """Of a value that is the same in a warp: the assembler sees that it is."""
    return shuffled("idx", value, 0, 31, "i32")


def wait(pointer, parity):
    emit(f"    nvvm.mbarrier.try_wait.parity {pointer}, {parity}, {i32(10000000)} : !llvm.ptr<3>, i32, i32")


def arrive(pointer):
    op(f"nvvm.mbarrier.arrive {pointer} : !llvm.ptr<3> -> i64")


def when(condition, *body):
    emit(f"    scf.if {condition} {{")
    for each in body:
        each()
    emit("    }")


def asm(text, constraints, operands, types, results):
    """`results` numbers, or one of a type."""
    single = isinstance(results, str)
    kind = results if single else f"!llvm.struct<({', '.join(['f32'] * results)})>"
    line = (f'llvm.inline_asm has_side_effects asm_dialect = att "{text}", "{constraints}" {", ".join(operands)}'
            f' : ({", ".join(types)}) -> {kind}')
    result = op(line)
    return result if single else [op(f"llvm.extractvalue {result}[{i}] : {kind}") for i in range(results)]


# Products. A tile is 64 rows of 128 bytes, swizzled; eight rows are 1024 bytes, tiles beside it are 8192 further.
ROWS, COLUMNS, HIGH = 1 << 16, BOX >> 4 << 16, 1 << 30 | 64


def descriptor(offset, leading=ROWS):
    """Its low word. `ROWS` where the sum runs along rows, `COLUMNS` where it runs along columns."""
    whole = op(f"llvm.ptrtoint {shared(offset)} : !llvm.ptr<3> to i32")
    return binary("or", binary("lshr", binary("and", whole, 0x3FFFF), 4), leading)


def along_rows(part):
    return part // 4 * (BOX >> 4) + part % 4 * 2


def along_columns(part):
    return part * (16 * 128 >> 4)


def multiply(columns, sums, left, right, right_step, parts, right_transposed):
    """Begins sums[64, columns] += left right, of `parts` times 16 terms. `sums` is None for zeros; `left` a list of the
    registers of each part; the right operand is in shared memory. In one piece of assembly: nothing comes between its
    products."""
    count = columns // 2
    operands = [r for part in left for r in part] + [right]
    types = ["i32"] * len(operands)
    text = ["{ .reg .pred zero, add; .reg .b32 low; .reg .b64 r; setp.ne.b32 zero, 0, 0; setp.eq.b32 add, 0, 0;",
            "wgmma.fence.sync.aligned;"]
    for part in range(parts):
        d = "{" + ", ".join(f"${i}" for i in range(count)) + "}"
        a = "{" + ", ".join(f"${count + 4 * part + i}" for i in range(4)) + "}"
        keep = "zero" if sums is None and part == 0 else "add"
        text.append(f"add.s32 low, ${count + 4 * parts}, {right_step(part)};"
                    f" mov.b64 r, {{low, {HIGH}}};"
                    f" wgmma.mma_async.sync.aligned.m64n{columns}k16.f32.bf16.bf16"
                    f" {d}, {a}, r, {keep}, 1, 1, {int(right_transposed)};")
    text.append("wgmma.commit_group.sync.aligned; }")
    constraints = ["=f"] * count + ["r"] * len(types)
    if sums is not None:
        constraints += [str(i) for i in range(count)]
        operands, types = operands + sums, types + ["f32"] * count
    return asm(" ".join(text), ",".join(constraints + ["~{memory}"]), operands, types, count)


def wait_products(left, sums):
    """Until all but `left` groups are done; `sums` can be read from the results only."""
    count = len(sums)
    constraints = ["=f"] * count + [str(i) for i in range(count)] + ["~{memory}"]
    return asm(f"wgmma.wait_group.sync.aligned {left};", ",".join(constraints), sums, ["f32"] * count, count)


def left_operand(sums):
    """The registers, part by part, of what products left in `sums`."""
    return [[pack(*sums[8 * part + 2 * i:8 * part + 2 * i + 2]) for i in range(4)] for part in range(len(sums) // 8)]


SHAPE = "shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>"


def load_matrices(offset, further, layout):
    kind = "!llvm.struct<(i32, i32, i32, i32)>"
    result = op(f"nvvm.ldmatrix {shared(offset, further)} {{num = 4 : i32, layout = #nvvm.mma_layout<{layout}>, {SHAPE}}}"
                f" : (!llvm.ptr<3>) -> {kind}")
    return [op(f"llvm.extractvalue {result}[{i}] : {kind}") for i in range(4)]


def store_matrix(offset, further, registers, layout):
    emit(f"    nvvm.stmatrix {shared(offset, further)}, {', '.join(registers)} {{layout = #nvvm.mma_layout<{layout}>, {SHAPE}}}"
         " : !llvm.ptr<3>, i32, i32, i32, i32")
