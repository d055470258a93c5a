"""An angle over many tokens: remainders.py make FILE TOKENS; remainders.py check FOLDER TOLERANCE"""

import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "Numerics"))
import arrays  # noqa: E402


def main(verb, path, number):
    path = pathlib.Path(path)
    if verb == "make":
        draw = random.Random(3)
        arrays.save_npy(path, (1, int(number), 3), [draw.uniform(0, 2) for _ in range(3 * int(number))], "f4")
        return
    x = arrays.load_npy(path / "x.npy")[1]
    y, z = (arrays.load_npy(path / name)[1] for name in ("y.npy", "z.npy"))
    angles, error = [0.0] * 3, 0.0
    for i, step in enumerate(x):
        angles[i % 3] += step
        error = max(error, abs(y[i] - math.cos(angles[i % 3])), abs(z[i] - math.sin(angles[i % 3])))
    print(f"an angle of {angles[0]:.0f}, errors up to {error:.1e}")
    sys.exit(not error <= float(number))


main(*sys.argv[1:])
