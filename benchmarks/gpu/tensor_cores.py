#!/usr/bin/env python3
"""Prints, in MLIR, a product of bf16 matrices on Hopper's tensor cores: c[M, N] = a[M, K] times the transpose of
b[N, K], sums in f32, M a multiple of 128, N of 256, K of 64. One warpgroup fetches tiles by TMA into a ring of
stages, two multiply them (wgmma 64 x 256 x 16, both operands in shared memory with rows of 128 bytes, swizzled).

docs/experiments/tensor-cores.md has the commands that make a kernel of it, and what came out.
"""

from hopper import arrive, binary, compare, element, emit, fresh, i32, lines, make_pair, op, shared, wait, when, wide

TILE_M, TILE_N, TILE_K, STAGES = 128, 256, 64, 4
STAGE_A, STAGE_B = TILE_M * TILE_K * 2, TILE_N * TILE_K * 2
SUMS = TILE_N // 2  # of a thread
STRUCT = f"!llvm.struct<({', '.join(['f32'] * SUMS)})>"
GROUP = 8  # rows of tiles that are multiplied one after the other with the same columns, for the sake of L2


def barrier(which, stage):
    """A stage is full, a stage is empty."""
    return shared(binary("mul", stage, 8), which * STAGES * 8, "barriers")


def descriptor(offset):
    """Of a tile whose rows have 128 bytes, swizzled; eight rows are 1024 bytes."""
    address = op(f"llvm.ptrtoint {shared(offset)} : !llvm.ptr<3> to i32")
    return binary("or", wide(binary("lshr", binary("and", address, 0x3FFFF), 4)), 1 << 62 | 64 << 32 | 1 << 16, "i64")


def stage_and_parity(step):
    return binary("urem", step, STAGES), binary("and", binary("udiv", step, STAGES), 1)


def produce(is_first, steps, tiles):
    """`tiles`: of each operand its tensor map, the first row, and where its stages begin and how large they are."""
    emit("    nvvm.setmaxregister decrease 40")
    emit(f"    scf.if {is_first} {{")
    emit(f"    scf.for %step = {i32(0)} to {steps} step {i32(1)} : i32 {{")
    stage, parity = stage_and_parity("%step")
    wait(barrier(1, stage), binary("xor", parity, 1))
    full = barrier(0, stage)
    emit(f"    nvvm.mbarrier.arrive.expect_tx {full}, {i32(STAGE_A + STAGE_B)} : !llvm.ptr<3>, i32")
    depth = binary("mul", "%step", TILE_K)
    for tensor, first, offset, size in tiles:
        place = op(f"llvm.addrspacecast {shared(binary('mul', stage, size), offset)} : !llvm.ptr<3> to !llvm.ptr<7>")
        emit(f"    nvvm.cp.async.bulk.tensor.shared.cluster.global {place}, {tensor}, {full}, box[{depth}, {first}]"
             " : !llvm.ptr<7>, !llvm.ptr")
    emit("    }")
    emit("    }")


def consume(half, inner, steps):
    """The sums of a warpgroup, that of the upper or lower `half` of the rows."""
    emit("    nvvm.setmaxregister increase 232")
    leads = compare("eq", inner, 0)
    sums, result = op(f"llvm.mlir.zero : {STRUCT}"), fresh()
    emit(f"    {result} = scf.for %step = {i32(0)} to {steps} step {i32(1)} iter_args(%sums = {sums})"
         f" -> ({STRUCT}) : i32 {{")
    stage, parity = stage_and_parity("%step")
    wait(barrier(0, stage), parity)
    a = descriptor(binary("add", binary("mul", stage, STAGE_A), binary("mul", half, 64 * TILE_K * 2)))
    b = descriptor(binary("add", binary("mul", stage, STAGE_B), STAGES * STAGE_A))
    emit("    nvvm.wgmma.fence.aligned")
    current = "%sums"
    for part in range(TILE_K // 16):
        # 16 numbers of a row are 32 bytes; descriptors count in 16.
        current = op(
            f"nvvm.wgmma.mma_async {binary('add', a, 2 * part, 'i64')}, {binary('add', b, 2 * part, 'i64')}, {current}, "
            f"#nvvm.shape<m = 64, n = {TILE_N}, k = 16>, D [<f32>, <one>], A [<bf16>, <one>, <row>], "
            f"B [<bf16>, <one>, <col>] : {STRUCT} -> {STRUCT}")
    emit("    nvvm.wgmma.commit.group.sync.aligned")
    # All but these: the stage before is free.
    emit("    nvvm.wgmma.wait.group.sync.aligned 1")
    when(binary("and", compare("ne", "%step", 0), leads, "i1"),
         lambda: arrive(barrier(1, stage_and_parity(binary("sub", "%step", 1))[0])))
    emit(f"    scf.yield {current} : {STRUCT}")
    emit("    }")
    emit("    nvvm.wgmma.wait.group.sync.aligned 0")
    return result


def store(sums, half, inner, first_row, first_column):
    """Where the sums of a thread are among rows and columns: pairs of a row, eight columns apart."""
    warp, lane = binary("udiv", inner, 32), binary("urem", inner, 32)
    own = binary("add", binary("mul", half, 64), binary("mul", warp, 16))
    top = binary("add", first_row, binary("add", own, binary("udiv", lane, 4)))
    left = binary("add", first_column, binary("mul", binary("urem", lane, 4), 2))
    for lower in range(2):
        row = wide(binary("add", top, 8 * lower))
        start = binary("add", binary("mul", row, wide("%n"), "i64"), wide(left), "i64")
        base = element("%c", start, "bf16")
        for j in range(TILE_N // 8):
            pair = make_pair(*(op(f"llvm.extractvalue {sums}[{4 * j + 2 * lower + e}] : {STRUCT}") for e in range(2)))
            narrow = op(f"llvm.fptrunc {pair} : vector<2xf32> to vector<2xbf16>")
            place = op(f"llvm.getelementptr {base}[{8 * j}] : (!llvm.ptr) -> !llvm.ptr, bf16")
            emit(f"    llvm.store {narrow}, {place} {{alignment = 4 : i64}} : vector<2xbf16>, !llvm.ptr")


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
    group, inner = binary("udiv", thread, 128), binary("urem", thread, 128)
    steps = binary("udiv", "%k", TILE_K)
    # The tile.
    width = binary("mul", binary("udiv", "%n", TILE_N), GROUP)
    rest = binary("urem", block, width)
    before = binary("mul", binary("udiv", block, width), GROUP)
    left = binary("sub", binary("udiv", "%m", TILE_M), before)
    rows = op(f"llvm.intr.umin({i32(GROUP)}, {left}) : (i32, i32) -> i32")
    first_row = binary("mul", binary("add", before, binary("urem", rest, rows)), TILE_M)
    first_column = binary("mul", binary("udiv", rest, rows), TILE_N)
    is_first = compare("eq", thread, 0)
    emit(f"    scf.if {is_first} {{")
    for stage in range(STAGES):
        emit(f"    nvvm.mbarrier.init {barrier(0, i32(stage))}, {i32(1)} : !llvm.ptr<3>, i32")
        emit(f"    nvvm.mbarrier.init {barrier(1, i32(stage))}, {i32(2)} : !llvm.ptr<3>, i32")
    emit("    nvvm.fence.mbarrier.init")
    emit("    }")
    emit("    nvvm.barrier0")
    emit(f"    scf.if {compare('eq', group, 0)} {{")
    produce(is_first, steps, [("%ma", first_row, 0, STAGE_A), ("%mb", first_column, STAGES * STAGE_A, STAGE_B)])
    emit("    } else {")
    half = binary("sub", group, 1)
    store(consume(half, inner, steps), half, inner, first_row, first_column)
    emit("    }")
    emit("    llvm.return")
    emit("  }")
    emit("}")


kernel()
print("\n".join(lines))
