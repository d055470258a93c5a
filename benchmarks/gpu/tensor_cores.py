#!/usr/bin/env python3
"""Prints, in MLIR, a product of bf16 matrices on Hopper's tensor cores: c[M, N] = a[M, K] times the transpose of
b[N, K], sums in f32, M a multiple of 128, N of 256, K of 64. One warpgroup fetches tiles by TMA into a ring of
stages, two multiply them (wgmma 64 x 256 x 16, both operands in shared memory with rows of 128 bytes, swizzled).

docs/experiments/tensor-cores.md has the commands that make a kernel of it, and what came out.
"""

TILE_M, TILE_N, TILE_K, STAGES = 128, 256, 64, 4
STAGE_A, STAGE_B = TILE_M * TILE_K * 2, TILE_N * TILE_K * 2
SUMS = TILE_N // 2  # of a thread
STRUCT = f"!llvm.struct<({', '.join(['f32'] * SUMS)})>"
GROUP = 8  # rows of tiles that are multiplied one after the other with the same columns, for the sake of L2

lines = []
emit = lines.append
number = 0


def fresh(name="v"):
    global number
    number += 1
    return f"%{name}{number}"


def op(text, name="v"):
    result = fresh(name)
    emit(f"    {result} = {text}")
    return result


def i32(value):
    return op(f"llvm.mlir.constant({value} : i32) : i32", "c")


def binary(which, a, b, kind="i32"):
    return op(f"llvm.{which} {a}, {b} : {kind}")


def shared(base, bytes_):
    """The address `bytes_`, an i32, after a global in shared memory."""
    start = op(f"llvm.mlir.addressof @{base} : !llvm.ptr<3>", "p")
    return op(f"llvm.getelementptr {start}[{bytes_}] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8", "p")


def barrier(which, stage):
    slot = binary("add", binary("mul", stage, i32(8)), i32(which * STAGES * 8))
    return shared("barriers", slot)


def descriptor(address):
    """Of a tile whose rows have 128 bytes, swizzled; eight rows are 1024 bytes."""
    whole = op(f"llvm.ptrtoint {address} : !llvm.ptr<3> to i32")
    wide = op(f"llvm.zext {binary('lshr', binary('and', whole, i32(0x3FFFF)), i32(4))} : i32 to i64")
    fixed = op(f"llvm.mlir.constant({1 << 62 | 64 << 32 | 1 << 16} : i64) : i64")
    return binary("or", wide, fixed, "i64")


def wait(pointer, parity):
    emit(f"    nvvm.mbarrier.try_wait.parity {pointer}, {parity}, {i32(10000000)} : !llvm.ptr<3>, i32, i32")


def stage_and_parity(step):
    stage = binary("urem", step, i32(STAGES))
    return stage, binary("and", binary("udiv", step, i32(STAGES)), i32(1))


def kernel():
    map_type = "!llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant}"
    emit("module {")
    emit("  llvm.mlir.global external @tiles() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>")
    emit("  llvm.mlir.global internal @barriers() {addr_space = 3 : i32, alignment = 8 : i64}"
         f" : !llvm.array<{2 * STAGES} x i64>")
    emit(f"  llvm.func @matmul(%ma: {map_type}, %mb: {map_type}, %c: !llvm.ptr, %m: i32, %n: i32, %k: i32)")
    emit("      attributes {nvvm.kernel, nvvm.maxntid = array<i32: 384>, nvvm.minctasm = 1 : i32} {")
    thread = op("nvvm.read.ptx.sreg.tid.x : i32")
    block = op("nvvm.read.ptx.sreg.ctaid.x : i32")
    group = binary("udiv", thread, i32(128))
    inner = binary("urem", thread, i32(128))
    steps = binary("udiv", "%k", i32(TILE_K))
    # The tile.
    columns = binary("udiv", "%n", i32(TILE_N))
    width = binary("mul", columns, i32(GROUP))
    rest = binary("urem", block, width)
    before = binary("mul", binary("udiv", block, width), i32(GROUP))
    left = binary("sub", binary("udiv", "%m", i32(TILE_M)), before)
    rows = op(f"llvm.intr.umin({i32(GROUP)}, {left}) : (i32, i32) -> i32")
    first_row = binary("mul", binary("add", before, binary("urem", rest, rows)), i32(TILE_M))
    first_column = binary("mul", binary("udiv", rest, rows), i32(TILE_N))
    # Barriers: a stage is full, a stage is empty.
    is_first = op(f'llvm.icmp "eq" {thread}, {i32(0)} : i32')
    emit(f"    scf.if {is_first} {{")
    for stage in range(STAGES):
        emit(f"    nvvm.mbarrier.init {barrier(0, i32(stage))}, {i32(1)} : !llvm.ptr<3>, i32")
        emit(f"    nvvm.mbarrier.init {barrier(1, i32(stage))}, {i32(2)} : !llvm.ptr<3>, i32")
    emit("    nvvm.fence.mbarrier.init")
    emit("    }")
    emit("    nvvm.barrier0")
    is_producer = op(f'llvm.icmp "eq" {group}, {i32(0)} : i32')
    zero, one = i32(0), i32(1)
    emit(f"    scf.if {is_producer} {{")
    emit("    nvvm.setmaxregister decrease 40")
    emit(f"    scf.if {is_first} {{")
    emit(f"    scf.for %step = {zero} to {steps} step {one} : i32 {{")
    stage, parity = stage_and_parity("%step")
    wait(barrier(1, stage), binary("xor", parity, i32(1)))
    full = barrier(0, stage)
    emit(f"    nvvm.mbarrier.arrive.expect_tx {full}, {i32(STAGE_A + STAGE_B)} : !llvm.ptr<3>, i32")
    depth = binary("mul", "%step", i32(TILE_K))
    for tensor, first, offset, size in (("%ma", first_row, 0, STAGE_A),
                                        ("%mb", first_column, STAGES * STAGE_A, STAGE_B)):
        place = shared("tiles", binary("add", binary("mul", stage, i32(size)), i32(offset)))
        wide = op(f"llvm.addrspacecast {place} : !llvm.ptr<3> to !llvm.ptr<7>")
        emit(f"    nvvm.cp.async.bulk.tensor.shared.cluster.global {wide}, {tensor}, {full}, box[{depth}, {first}]"
             " : !llvm.ptr<7>, !llvm.ptr")
    emit("    }")
    emit("    }")
    emit("    } else {")
    emit("    nvvm.setmaxregister increase 232")
    half = binary("sub", group, i32(1))
    leads = op(f'llvm.icmp "eq" {inner}, {i32(0)} : i32')
    sums = op(f"llvm.mlir.zero : {STRUCT}", "s")
    result = fresh("s")
    emit(f"    {result} = scf.for %step = {zero} to {steps} step {one} iter_args(%sums = {sums})"
         f" -> ({STRUCT}) : i32 {{")
    stage, parity = stage_and_parity("%step")
    wait(barrier(0, stage), parity)
    at_a = binary("add", binary("mul", stage, i32(STAGE_A)), binary("mul", half, i32(64 * TILE_K * 2)))
    at_b = binary("add", binary("mul", stage, i32(STAGE_B)), i32(STAGES * STAGE_A))
    a, b = descriptor(shared("tiles", at_a)), descriptor(shared("tiles", at_b))
    emit("    nvvm.wgmma.fence.aligned")
    current = "%sums"
    for part in range(TILE_K // 16):
        # 16 numbers of a row are 32 bytes; descriptors count in 16.
        shift = op(f"llvm.mlir.constant({2 * part} : i64) : i64")
        current = op(
            f"nvvm.wgmma.mma_async {binary('add', a, shift, 'i64')}, {binary('add', b, shift, 'i64')}, {current}, "
            f"#nvvm.shape<m = 64, n = {TILE_N}, k = 16>, D [<f32>, <one>], A [<bf16>, <one>, <row>], "
            f"B [<bf16>, <one>, <col>] : {STRUCT} -> {STRUCT}", "s")
    emit("    nvvm.wgmma.commit.group.sync.aligned")
    # All but these: the stage before is free.
    emit("    nvvm.wgmma.wait.group.sync.aligned 1")
    has_before = op(f'llvm.icmp "ne" %step, {zero} : i32')
    frees = binary("and", has_before, leads, "i1")
    emit(f"    scf.if {frees} {{")
    before, _ = stage_and_parity(binary("sub", "%step", i32(1)))
    op(f"nvvm.mbarrier.arrive {barrier(1, before)} : !llvm.ptr<3> -> i64")
    emit("    }")
    emit(f"    scf.yield {current} : {STRUCT}")
    emit("    }")
    emit("    nvvm.wgmma.wait.group.sync.aligned 0")
    # Rows and columns of a thread's sums.
    warp, lane = binary("udiv", inner, i32(32)), binary("urem", inner, i32(32))
    own = binary("add", binary("mul", half, i32(64)), binary("mul", warp, i32(16)))
    top = binary("add", first_row, binary("add", own, binary("udiv", lane, i32(4))))
    left = binary("add", first_column, binary("mul", binary("urem", lane, i32(4)), i32(2)))
    for lower in range(2):
        row = op(f"llvm.zext {binary('add', top, i32(8 * lower))} : i32 to i64")
        start = binary("add", binary("mul", row, op("llvm.zext %n : i32 to i64"), "i64"),
                       op(f"llvm.zext {left} : i32 to i64"), "i64")
        base = op(f"llvm.getelementptr %c[{start}] : (!llvm.ptr, i64) -> !llvm.ptr, bf16", "p")
        for j in range(TILE_N // 8):
            pair = op("llvm.mlir.undef : vector<2xf32>")
            for e in range(2):
                value = op(f"llvm.extractvalue {result}[{4 * j + 2 * lower + e}] : {STRUCT}")
                pair = op(f"llvm.insertelement {value}, {pair}[{i32(e)} : i32] : vector<2xf32>")
            narrow = op(f"llvm.fptrunc {pair} : vector<2xf32> to vector<2xbf16>")
            place = op(f"llvm.getelementptr {base}[{8 * j}] : (!llvm.ptr) -> !llvm.ptr, bf16", "p")
            emit(f"    llvm.store {narrow}, {place} {{alignment = 4 : i64}} : vector<2xbf16>, !llvm.ptr")
    emit("    }")
    emit("    llvm.return")
    emit("  }")
    emit("}")


kernel()
print("\n".join(lines))
