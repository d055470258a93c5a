"""Writes a .npy file: npy.py FILE DTYPE EXTENT,EXTENT [VALUE...]. Values repeat; the default is a
ramp. DTYPE is numpy's, such as <f4 or <i8."""

import math
import struct
import sys

path, dtype, extents, *values = sys.argv[1:]
shape = tuple(int(extent) for extent in extents.split(",") if extent)
count = math.prod(shape)
code = {"<f4": "f", "<f8": "d", "<i8": "q", "<i4": "i"}[dtype]
convert = float if code in "fd" else int
data = [convert(v) for v in values] or [(i % 17 - 8) / 8 if code in "fd" else i % 7 for i in range(count)]
data = [data[i % len(data)] for i in range(count)]
header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    file.write(struct.pack(f"<{count}{code}", *data))
