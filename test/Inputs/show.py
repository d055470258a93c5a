"""Prints dtype, shape and the first values of .npy files."""

import ast
import struct
import sys

for path in sys.argv[1:]:
    raw = open(path, "rb").read()
    size = struct.unpack("<H", raw[8:10])[0]
    header = ast.literal_eval(raw[10 : 10 + size].decode())
    code = {"f4": "f", "f8": "d", "i8": "q", "i4": "i"}[header["descr"][1:]]
    values = [v[0] for v in struct.iter_unpack("<" + code, raw[10 + size :])]
    shown = " ".join(str(v) if isinstance(v, int) else f"{v:.5g}" for v in values[:64])
    print(header["descr"], header["shape"], shown)
