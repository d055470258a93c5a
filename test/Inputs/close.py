"""Fails unless two .npy files have one shape and close values: close.py FILE FILE TOLERANCE, relative
to the largest magnitude."""

import ast
import math
import struct
import sys


def read(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<H", raw[8:10])[0]
    header = ast.literal_eval(raw[10 : 10 + size].decode())
    code = {"<f4": "f", "<f8": "d"}[header["descr"]]
    return header["shape"], [v[0] for v in struct.iter_unpack("<" + code, raw[10 + size :])]


(shape, values), (other, others) = read(sys.argv[1]), read(sys.argv[2])
if shape != other:
    sys.exit(f"shapes {shape} and {other}")
largest = max(map(abs, values), default=0)
error = max((abs(a - b) for a, b in zip(values, others)), default=0)
if not math.isfinite(error) or error > float(sys.argv[3]) * largest:
    sys.exit(f"error {error:g} of values up to {largest:g}")
