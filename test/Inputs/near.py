"""Fails unless two f32 .npy files differ by more than LEAST and less than MOST, relative to the largest value.

near.py A B LEAST MOST
"""

import struct
import sys


def load(path):
    raw = open(path, "rb").read()
    size = struct.unpack("<H", raw[8:10])[0]
    assert b"<f4" in raw[10 : 10 + size], path
    return [v[0] for v in struct.iter_unpack("<f", raw[10 + size :])]


a, b = load(sys.argv[1]), load(sys.argv[2])
least, most = map(float, sys.argv[3:5])
assert len(a) == len(b) > 0
difference = max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, a))
if not least < difference < most:
    sys.exit(f"they differ by {difference:.3g} of the largest value, wanted {least} to {most}")
