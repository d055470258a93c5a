#!/usr/bin/env python3
"""Prints, in MLIR, the recurrence with a decay a head (Mamba-2) in chunks, on Hopper's tensor cores, in one kernel:

    state[b, h] = exp(dt a[h]) state[b, h] + dt x[b, l, h] B[b, l]^T        [P, N], f32
    y[b, l, h] = state[b, h] C[b, l]

x, y: [batch, length, heads, P] bf16; dt: [batch, length, heads] f32, at least 0; a: [heads] f32; B, C: [batch, length, N]
bf16; states: [batch, heads, P, N] f32. P = 64, chunks of 64 tokens; any batch, length and number of heads.

A block has a warpgroup that fetches chunks by TMA into a ring and sums the decays, and two that multiply; each of these
keeps the states of --heads heads in registers. With c the sums of dt a log2(e) of a chunk, all products are transposed: the
left operands come from registers, and of what is made on the way only P goes through shared memory, not the states:

    S^T [j, i] = B C^T                                       once for the heads of a warpgroup
    P^T [j, i] = S^T 2^(c_i - c_j + log2 dt_j) where j <= i  to shared memory, in bf16
    y^T [p, i] = 2^(c_i) (state C^T) + x^T P^T
    state [p, n] = 2^(c_63) state + (w x)^T B                w_j = 2^(c_63 - c_j + log2 dt_j)

Blocks are as many as the device runs at once. Each takes an equal run of the chunks of all groups of heads, so it may end
within a group: it begins with that group, leaves its state in memory, and the next block takes it up as its last one.

docs/experiments/chunked-scan.md has the commands that make a kernel of it, and what came out.
"""

import argparse

from hopper import (BOX, COLUMNS, add, along_columns, along_rows, arrive, asm, binary, compare, descriptor, element, emit,
                    exp2, f32, fmul, fresh, i32, left_operand, lines, load_matrices, load_pair, load_shared, make_pair, mul,
                    multiply, op, pack, select, shared, shuffled, store_matrix, uniform, wait, wait_products, when, wide)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--heads", type=int, choices=(1, 2), default=2, help="heads of a warpgroup")
parser.add_argument("--state", type=int, choices=(64, 128), default=128, help="N")
options = parser.parse_args()

Q, P, N = 64, 64, options.state
HEADS, WARPGROUPS, STAGES = options.heads, 2, 2
BLOCK_HEADS = HEADS * WARPGROUPS
BOXES = N // 64
AT_C, AT_B, AT_X = 0, BOXES * BOX, 2 * BOXES * BOX
AT_SCALES = AT_X + BLOCK_HEADS * BOX
SCALES = 4 * Q * 4  # bytes of a head: c; c - log2 dt; 2^c; w in bf16; of the second half 2^(c - c_31)
STAGE = AT_SCALES + -(-BLOCK_HEADS * SCALES // 1024) * 1024
AT_P, AT_Y = STAGES * STAGE, STAGES * STAGE + BLOCK_HEADS * BOX
TRANSFERRED = AT_SCALES
STATES, SUMS = N // 2, Q // 2  # of a thread: numbers of a state, of a product
SHARED = AT_Y + BLOCK_HEADS * BOX


def barrier(which, stage):
    """A stage is full, a stage is empty."""
    return shared(mul(stage, 8), which * STAGES * 8, "barriers")


def stage_and_parity(step):
    return binary("urem", step, STAGES), binary("and", binary("udiv", step, STAGES), 1)


class Walk:
    """The groups and chunks of this block, which producer and consumers walk alike."""

    def __init__(self, block):
        self.chunks = binary("udiv", add("%length", Q - 1), Q)
        self.groups = binary("udiv", add("%heads", BLOCK_HEADS - 1), BLOCK_HEADS)
        total = binary("mul", wide(mul("%batch", self.groups)), wide(self.chunks), "i64")
        grid = wide(op("nvvm.read.ptx.sreg.nctaid.x : i32"))
        self.begin, self.end = (
            op(f"llvm.trunc {binary('udiv', binary('mul', total, wide(b), 'i64'), grid, 'i64')} : i64 to i32")
            for b in (block, add(block, 1)))
        self.last = binary("udiv", binary("sub", self.end, 1), self.chunks)
        self.count = add(binary("sub", self.last, binary("udiv", self.begin, self.chunks)), 1)

    def group(self, k):
        """Batch, first head, first chunk, chunk to stop before, and the group's number."""
        group = binary("sub", self.last, k)
        start = mul(group, self.chunks)
        first = op(f"llvm.intr.smax({binary('sub', self.begin, start)}, {i32(0)}) : (i32, i32) -> i32")
        stop = op(f"llvm.intr.umin({binary('sub', self.end, start)}, {self.chunks}) : (i32, i32) -> i32")
        head = mul(binary("urem", group, self.groups), BLOCK_HEADS)
        return binary("udiv", group, self.groups), head, first, stop, group


def produce(walk, thread):
    """The warpgroup that fetches: a thread for all tensors, a warp for the decays of each head."""
    warp, lane = binary("udiv", thread, 32), binary("urem", thread, 32)
    emit("    nvvm.setmaxregister decrease 24")
    works = compare("ult", warp, BLOCK_HEADS)
    leads, is_first = compare("eq", lane, 0), compare("eq", thread, 0)
    zero, one = i32(0), i32(1)
    emit(f"    scf.if {works} {{")
    emit(f"    scf.for %k = {zero} to {walk.count} step {one} iter_args(%base = {zero}) -> (i32) : i32 {{")
    batch, head, first, stop, _ = walk.group("%k")
    own = add(head, warp)
    exists = compare("ult", own, "%heads")
    safe = select(exists, own, zero)
    rate = fmul(op(f"llvm.load {element('%a', wide(safe), 'f32')} : !llvm.ptr -> f32"), 1.4426950408889634)
    emit(f"    scf.for %chunk = {first} to {stop} step {one} : i32 {{")
    step = add("%base", binary("sub", "%chunk", first))
    stage, parity = stage_and_parity(step)
    token = mul("%chunk", Q)
    # Read before there is room for the chunk, so that nobody waits for it.
    dts = []
    for e in range(2):
        l = add(token, add(mul(lane, 2), e))
        valid = op(f"llvm.and {compare('ult', l, '%length')}, {exists} : i1")
        row = binary("add", binary("mul", wide(batch), wide("%length"), "i64"), wide(select(valid, l, zero)), "i64")
        place = binary("add", binary("mul", row, wide("%heads"), "i64"), wide(safe), "i64")
        value = op(f"llvm.load {element('%dt', place, 'f32')} : !llvm.ptr -> f32")
        dts.append(select(valid, value, f32(0.0), "f32"))
    wait(barrier(1, stage), binary("xor", parity, 1))
    full, at = barrier(0, stage), mul(stage, STAGE)

    def fetch():
        emit(f"    nvvm.mbarrier.arrive.expect_tx {full}, {i32(TRANSFERRED)} : !llvm.ptr<3>, i32")
        boxes = [(tensor, offset + i * BOX, [i32(64 * i), token, batch])
                 for tensor, offset in (("%mc", AT_C), ("%mb", AT_B)) for i in range(BOXES)]
        boxes += [("%mx", AT_X + i * BOX, [zero, add(head, i), token, batch]) for i in range(BLOCK_HEADS)]
        for tensor, offset, corner in boxes:
            place = op(f"llvm.addrspacecast {shared(at, offset)} : !llvm.ptr<3> to !llvm.ptr<7>")
            emit(f"    nvvm.cp.async.bulk.tensor.shared.cluster.global {place}, {tensor}, {full}, "
                 f"box[{', '.join(corner)}] : !llvm.ptr<7>, !llvm.ptr")

    when(is_first, fetch)
    # Sums of two tokens a lane.
    steps = [fmul(dt, rate) for dt in dts]
    total = binary("fadd", steps[0], steps[1], "f32")
    for distance in (1, 2, 4, 8, 16):
        below = shuffled("up", total, distance, 0)
        more = binary("fadd", total, below, "f32")
        total = select(compare("uge", lane, distance), more, total, "f32")
    before = select(leads, f32(0.0), shuffled("up", total, 1, 0), "f32")
    c = [binary("fadd", before, steps[0], "f32"), total]
    end = shuffled("idx", total, 31, 31)
    logs = [op(f'llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"({dt}) : (f32) -> f32') for dt in dts]
    sources = [binary("fsub", c[e], logs[e], "f32") for e in range(2)]
    weights = [exp2(binary("fsub", end, sources[e], "f32")) for e in range(2)]
    middle = shuffled("idx", total, 15, 31)
    factors = [exp2(binary("fsub", v, middle, "f32")) for v in c]
    start = add(at, add(AT_SCALES, mul(warp, SCALES)))

    def store_pair(values, offset, further):
        pair = make_pair(*values)
        emit(f"    llvm.store {pair}, {shared(offset, further)} : vector<2xf32>, !llvm.ptr<3>")

    pairs = add(start, mul(lane, 8))
    for row, values in enumerate((c, sources, [exp2(v) for v in c])):
        store_pair(values, pairs, row * Q * 4)
    # Of the second half: after the weights, whose numbers have half the size.
    when(compare("uge", lane, 16), lambda: store_pair(factors, pairs, 3 * Q * 4))
    emit(f"    llvm.store {pack(*weights)}, {shared(add(start, mul(lane, 4)), 3 * Q * 4)} : i32, !llvm.ptr<3>")
    emit(f"    nvvm.bar.warp.sync {i32(-1)} : i32")
    when(leads, lambda: arrive(full))
    emit("    }")
    emit(f"    scf.yield {add('%base', binary('sub', stop, first))} : i32")
    emit("    }")
    emit("    }")


class Consumer:
    """A warpgroup of those that multiply."""

    def __init__(self, walk, thread):
        self.walk = walk
        self.group = uniform(binary("sub", binary("udiv", thread, 128), 1))
        self.inner = binary("urem", thread, 128)
        self.warp, self.lane = uniform(binary("udiv", self.inner, 32)), binary("urem", thread, 32)
        self.row = add(mul(self.warp, 16), binary("udiv", self.lane, 4))  # of its sums, and 8 further
        self.column = mul(binary("urem", self.lane, 4), 2)  # and the next, of each eight
        self.named = add(self.group, 1)
        # Rows of S^T are tokens j, and only those up to a column's are kept: a warp has eight rows of the first half of a
        # chunk and eight of the second, so that all have as much to do.
        self.tokens = [add(mul(self.warp, 8), binary("udiv", self.lane, 4)),
                       add(mul(binary("sub", 7, self.warp), 8), binary("udiv", self.lane, 4))]
        # Where this lane's row of 16 bytes of four matrices of 8 x 8 is within a tile; the swizzle is an exclusive or of row
        # and column.
        matrix, r = binary("udiv", self.lane, 8), binary("urem", self.lane, 8)
        odd, upper = binary("and", matrix, 1), binary("lshr", matrix, 1)
        halves = [mul(add(mul(eighth, 8), r), 128) for eighth in (self.warp, binary("sub", 7, self.warp))]
        tiles, scales = mul(self.group, HEADS * BOX), mul(self.group, HEADS * SCALES)
        along = mul(binary("xor", matrix, r), 16)
        columns = mul(binary("xor", add(mul(self.warp, 2), odd), r), 16)
        self.places = {
            "b": add(select(compare("eq", odd, 0), *halves), mul(binary("xor", upper, r), 16)),
            "p0": add(add(halves[0], along), tiles),
            "p1": add(add(halves[1], binary("xor", along, 64)), tiles),
            "x": add(add(columns, mul(add(mul(upper, 8), r), 128)), tiles),
            "scale row0": add(scales, mul(self.tokens[0], 4)),
            "scale row1": add(scales, mul(self.tokens[1], 4)),
            "scale column": add(scales, mul(self.column, 4)),
            "weights": add(scales, mul(self.column, 2)),
        }

    def place(self, name):
        """In each chunk anew: what follows from it is not kept in registers from chunk to chunk."""
        return self.here[name]

    def begin(self):
        self.here = {name: asm("mov.b32 $0, $1;", "=r,r", [value], ["i32"], "i32")
                     for name, value in self.places.items()}

    def synchronise(self):
        emit(f"    nvvm.barrier id = {self.named} number_of_threads = {i32(128)}")

    def publish(self):
        """What was stored in shared memory is seen by products and by TMA."""
        emit("    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}")
        self.synchronise()

    def tile(self, at, head):
        return add(add(at, head * BOX), mul(self.group, HEADS * BOX))

    @staticmethod
    def at_scale(head, row):
        return AT_SCALES + head * SCALES + row * Q * 4

    def scale(self, at, which, head, row, further=0):
        """Where a thread's numbers of an array of scales begin."""
        return add(at, self.place("scale " + which)), self.at_scale(head, row) + further * 4

    def products_of_tokens(self, at, c_tile):
        """Begins S^T."""
        place = add(at, self.place("b"))
        rows = []
        for part in range(N // 16):
            rows.append(load_matrices(binary("xor", place, 32 * (part % 4)), AT_B + part // 4 * BOX, "row"))
        return multiply(Q, None, rows, c_tile, along_rows, N // 16, False)

    def mask(self, s):
        """S^T with zeros where the column's token is before the row's, but for rows of the second half with columns of the
        first, whose P^T is zero from the beginning."""
        zero = f32(0.0)
        for half in range(2):
            for b in range(4 * half, 4 * half + 4):
                for e in range(2):
                    i = 4 * b + 2 * half + e
                    s[i] = select(compare("sge", add(self.column, 8 * b + e), self.tokens[half]), s[i], zero, "f32")
        return s

    def decayed(self, s, at, head):
        """S^T times the decays, in bf16, to shared memory. From the first half to the second a decay is a product of two, to
        the middle and from there, both at most 1 but for dt: an exponential a row instead of one a number."""
        sources = [load_shared(*self.scale(at, f"row{i}", head, 1), "f32") for i in range(2)]
        middle = load_shared(add(at, mul(self.group, HEADS * SCALES)), self.at_scale(head, 0) + (Q // 2 - 1) * 4, "f32")
        to_middle = exp2(binary("fsub", middle, sources[0], "f32"))
        tile = AT_P + head * BOX

        def block(half, b, decays):
            return pack(*[fmul(s[4 * b + 2 * half + e], decays[e]) for e in range(2)])

        def direct(half, b):
            c = load_pair(*self.scale(at, "column", head, 0, 8 * b))
            # Where S^T is masked the difference may be large: times zero it has to be zero.
            differences = [binary("fsub", c[e], sources[half], "f32") for e in range(2)]
            bounded = [op(f"llvm.intr.minnum({d}, {f32(126.0)}) : (f32, f32) -> f32") for d in differences]
            return block(half, b, [exp2(d) for d in bounded])

        def by_middle(b):
            u = load_pair(*self.scale(at, "column", head, 3, Q // 2 + 8 * (b - 4)))
            return block(0, b, [fmul(to_middle, u[e]) for e in range(2)])

        store_matrix(self.place("p0"), tile, [direct(0, b) for b in range(4)], "row")
        store_matrix(binary("xor", self.place("p0"), 64), tile, [by_middle(b) for b in range(4, 8)], "row")
        store_matrix(self.place("p1"), tile, [direct(1, b) for b in range(4, 8)], "row")

    def head(self, state, at, head, c_tile, b_tile):
        """Leaves y in shared memory; the new state is still being summed."""
        y = multiply(Q, None, left_operand(state), c_tile, along_rows, N // 16, False)
        total = load_shared(add(at, mul(self.group, HEADS * SCALES)), self.at_scale(head, 3) - 4, "f32")
        state = [fmul(value, total) for value in state]
        y = wait_products(0, y)
        for b in range(Q // 8):
            pair = load_pair(*self.scale(at, "column", head, 2, 8 * b))
            for half in range(2):
                for e in range(2):
                    y[4 * b + 2 * half + e] = fmul(y[4 * b + 2 * half + e], pair[e])
        p_tile = descriptor(self.tile(i32(AT_P), head), COLUMNS)
        x_tile = add(at, self.place("x"))
        x = [load_matrices(x_tile, AT_X + head * BOX + part * 16 * 128, "col") for part in range(Q // 16)]
        y = multiply(Q, y, x, p_tile, along_columns, Q // 16, True)
        weighted = []
        for part in range(Q // 16):
            offset = self.at_scale(head, 3) + 16 * part * 2
            w = [load_shared(add(at, self.place("weights")), offset + 16 * i, "vector<2xbf16>") for i in range(2)]
            pairs = [op(f"llvm.bitcast {x[part][i]} : i32 to vector<2xbf16>") for i in range(4)]
            products = [binary("fmul", pairs[i], w[i // 2], "vector<2xbf16>") for i in range(4)]
            weighted.append([op(f"llvm.bitcast {v} : vector<2xbf16> to i32") for v in products])
        state = multiply(N, state, weighted, b_tile, along_columns, Q // 16, True)
        y = wait_products(1, y)
        for q in range(Q // 16):
            registers = [pack(*y[8 * q + 2 * i:8 * q + 2 * i + 2]) for i in range(4)]
            store_matrix(self.place("x"), AT_Y + head * BOX + q * 16 * 128, registers, "col")
        return state

    def chunk(self, states, step, chunk, batch, head):
        stage, parity = stage_and_parity(step)
        at = mul(stage, STAGE)
        self.begin()
        wait(barrier(0, stage), parity)
        c_tile, b_tile = descriptor(add(at, AT_C)), descriptor(add(at, AT_B), COLUMNS)
        s = self.products_of_tokens(at, c_tile)
        s = self.mask(wait_products(0, s))
        for h in range(HEADS):
            self.decayed(s, at, h)
        leads = compare("eq", self.inner, 0)
        # The tiles of y have been read: they are written after this barrier.
        when(leads, lambda: emit("    nvvm.cp.async.bulk.wait_group 0 {read}"))
        self.publish()
        states = [self.head(states[h], at, h, c_tile, b_tile) for h in range(HEADS)]
        self.publish()

        def store():
            for h in range(HEADS):
                corner = [i32(0), add(add(head, h), mul(self.group, HEADS)), mul(chunk, Q), batch]
                emit(f"    nvvm.cp.async.bulk.tensor.global.shared.cta %my, {shared(self.tile(i32(AT_Y), h))}, "
                     f"box[{', '.join(corner)}] : !llvm.ptr, !llvm.ptr<3>")
            emit("    nvvm.cp.async.bulk.commit.group")

        when(leads, store)
        states = wait_products(0, [v for state in states for v in state])
        when(compare("eq", self.lane, 0), lambda: arrive(barrier(1, stage)))
        return states

    def clear(self):
        """P^T, for the sake of the numbers that are never written."""
        zero = op("llvm.mlir.zero : vector<4xi32>")
        start = add(mul(self.group, HEADS * BOX), mul(self.inner, 16))
        for i in range(HEADS * BOX // 2048):
            emit(f"    llvm.store {zero}, {shared(start, AT_P + i * 2048)} : vector<4xi32>, !llvm.ptr<3>")

    def state_places(self, base, batch, head):
        """Of the pairs of a thread, in the order of its sums."""
        row = binary("add", binary("mul", wide(batch), wide("%heads"), "i64"), wide(head), "i64")
        at = binary("mul", row, P * N, "i64")
        inside = wide(add(mul(self.row, N), self.column))
        start = element(base, binary("add", at, inside, "i64"), "f32")
        return [op(f"llvm.getelementptr {start}[{8 * b + half * 8 * N}] : (!llvm.ptr) -> !llvm.ptr, f32")
                for b in range(N // 8) for half in range(2)]

    def load_states(self, base, batch, head):
        kinds = ", ".join(["f32"] * STATES)
        zero = f32(0.0)
        there = op(f'llvm.icmp "ne" {base}, {op("llvm.mlir.zero : !llvm.ptr")} : !llvm.ptr')
        values = []
        for h in range(HEADS):
            own = add(add(head, h), mul(self.group, HEADS))
            valid = binary("and", there, compare("ult", own, "%heads"), "i1")
            results = fresh()
            emit(f"    {results}:{STATES} = scf.if {valid} -> ({kinds}) {{")
            numbers = []
            for place in self.state_places(base, batch, own):
                pair = op(f"llvm.load {place} : !llvm.ptr -> vector<2xf32>")
                numbers += [op(f"llvm.extractelement {pair}[{i32(e)} : i32] : vector<2xf32>") for e in range(2)]
            emit(f"    scf.yield {', '.join(numbers)} : {kinds}")
            emit("    } else {")
            emit(f"    scf.yield {', '.join([zero] * STATES)} : {kinds}")
            emit("    }")
            values += [f"{results}#{i}" for i in range(STATES)]
        return values

    def store_states(self, values, batch, head):
        for h in range(HEADS):
            own = add(add(head, h), mul(self.group, HEADS))
            emit(f"    scf.if {compare('ult', own, '%heads')} {{")
            for i, place in enumerate(self.state_places("%final", batch, own)):
                pair = make_pair(*values[h * STATES + 2 * i:h * STATES + 2 * i + 2])
                emit(f"    llvm.store {pair}, {place} : vector<2xf32>, !llvm.ptr")
            emit("    }")

    def run(self):
        walk = self.walk
        emit("    nvvm.setmaxregister increase 240")
        zero, one = i32(0), i32(1)
        leads = compare("eq", self.inner, 0)
        self.clear()
        emit(f"    scf.for %k = {zero} to {walk.count} step {one} iter_args(%base = {zero}) -> (i32) : i32 {{")
        batch, head, first, stop, group = walk.group("%k")
        flag = element("%flags", wide(add(mul(group, WARPGROUPS), self.group)), "i32")
        resumes = compare("ne", first, 0)
        # The block before this one has begun with this group.
        emit(f"    scf.if {resumes} {{")
        emit("    scf.while : () -> () {")
        ready = op(f'llvm.load {flag} atomic syncscope("device") acquire {{alignment = 4 : i64}} : !llvm.ptr -> i32')
        emit(f"    scf.condition({compare('eq', ready, 0)})")
        emit("    } do {")
        emit("    scf.yield")
        emit("    }")
        emit("    }")
        states = self.load_states(select(resumes, "%final", "%initial", "!llvm.ptr"), batch, head)
        kinds = ", ".join(["f32"] * len(states))
        names = [f"%s{i}" for i in range(len(states))]
        carried = ", ".join(f"{name} = {value}" for name, value in zip(names, states))
        results = fresh()
        emit(f"    {results}:{len(states)} = scf.for %chunk = {first} to {stop} step {one} iter_args({carried})"
             f" -> ({kinds}) : i32 {{")
        step = add("%base", binary("sub", "%chunk", first))
        split = [names[h * STATES:(h + 1) * STATES] for h in range(HEADS)]
        new = self.chunk(split, step, "%chunk", batch, head)
        emit(f"    scf.yield {', '.join(new)} : {kinds}")
        emit("    }")
        self.store_states([f"{results}#{i}" for i in range(len(states))], batch, head)
        self.synchronise()

        def leave(value):
            emit(f'    llvm.store {i32(value)}, {flag} atomic syncscope("device") release {{alignment = 4 : i64}}'
                 " : i32, !llvm.ptr")

        # Flags are zero again when the kernel ends.
        when(binary("and", leads, resumes, "i1"), lambda: leave(0))
        when(binary("and", leads, compare("ne", stop, walk.chunks), "i1"), lambda: leave(1))
        emit(f"    scf.yield {add('%base', binary('sub', stop, first))} : i32")
        emit("    }")
        when(leads, lambda: emit("    nvvm.cp.async.bulk.wait_group 0"))


def kernel():
    map_type = "!llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant}"
    maps = ", ".join(f"%{name}: {map_type}" for name in ("mx", "mb", "mc", "my"))
    emit("module {")
    emit("  llvm.mlir.global external @tiles() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>")
    emit("  llvm.mlir.global internal @barriers() {addr_space = 3 : i32, alignment = 8 : i64}"
         f" : !llvm.array<{2 * STAGES} x i64>")
    emit(f"  // Heads of a block: {BLOCK_HEADS}; bytes of shared memory: {SHARED}; flags: a group of heads and warpgroup.")
    emit(f"  llvm.func @chunked_scan({maps}, %dt: !llvm.ptr, %a: !llvm.ptr, %initial: !llvm.ptr, %final: !llvm.ptr,")
    emit("      %flags: !llvm.ptr, %batch: i32, %length: i32, %heads: i32)")
    emit(f"      attributes {{nvvm.kernel, nvvm.maxntid = array<i32: {128 * (1 + WARPGROUPS)}>, nvvm.minctasm = 1 : i32}} {{")
    thread = op("nvvm.read.ptx.sreg.tid.x : i32")
    walk = Walk(op("nvvm.read.ptx.sreg.ctaid.x : i32"))

    def initialise():
        for stage in range(STAGES):
            for which, count in ((0, 1 + BLOCK_HEADS), (1, 4 * WARPGROUPS)):
                emit(f"    nvvm.mbarrier.init {barrier(which, i32(stage))}, {i32(count)} : !llvm.ptr<3>, i32")
        emit("    nvvm.fence.mbarrier.init")

    when(compare("eq", thread, 0), initialise)
    emit("    nvvm.barrier0")
    emit(f"    scf.if {compare('ult', thread, 128)} {{")
    produce(walk, thread)
    emit("    } else {")
    Consumer(walk, thread).run()
    emit("    }")
    emit("    llvm.return")
    emit("  }")
    emit("}")


kernel()
print("\n".join(lines))
