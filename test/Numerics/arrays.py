"""Readers and writers of .npy, .npz and .safetensors in plain Python: the tests that only compare files need no NumPy.

An array is a pair (shape, values), the values flat in C order: an array.array, or a list of complex numbers.
"""
import array
import ast
import io
import json
import math
import pathlib
import struct
import zipfile

NPY_CODES = {"f4": "f", "f8": "d", "i8": "q", "i4": "i", "c8": "f", "c16": "d", "b1": "b"}
SAFETENSORS_CODES = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "BOOL": "b", "U8": "B"}


def parse_npy(raw):
    if raw[:6] != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    wide = raw[6] > 1
    size, start = struct.unpack_from("<I" if wide else "<H", raw, 8)[0], 12 if wide else 10
    header = ast.literal_eval(raw[start:start + size].decode("latin1"))
    kind = header["descr"].lstrip("<|=")
    if header["fortran_order"] and len(header["shape"]) > 1:
        raise ValueError("Fortran order")
    if kind not in NPY_CODES:
        raise ValueError(f"dtype {header['descr']}")
    values = array.array(NPY_CODES[kind], raw[start + size:])
    if kind[0] == "c":
        values = [complex(values[i], values[i + 1]) for i in range(0, len(values), 2)]
    if len(values) != math.prod(header["shape"]):
        raise ValueError(f"{len(values)} values for shape {header['shape']}")
    return header["shape"], values


def load_npy(path):
    return parse_npy(pathlib.Path(path).read_bytes())


def load_npz(path):
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): parse_npy(archive.read(name)) for name in archive.namelist()}


def save_npy(path, shape, values, kind):
    """kind: a dtype of NPY_CODES, such as 'f4'."""
    header = repr({"descr": ("|" if kind == "b1" else "<") + kind, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    out = io.BytesIO()
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1"))
    out.write(array.array(NPY_CODES[kind], values).tobytes())
    pathlib.Path(path).write_bytes(out.getvalue())


def load_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    start = 8 + struct.unpack_from("<Q", raw)[0]
    header = json.loads(raw[8:start])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = (tuple(entry["shape"]), array.array(SAFETENSORS_CODES[entry["dtype"]], raw[start + begin:start + end]))
    return tensors


def save_safetensors(path, tensors):
    """tensors: name -> (shape, values), written as F32."""
    header, blocks, offset = {}, [], 0
    for name, (shape, values) in tensors.items():
        block = array.array("f", values).tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + len(block)]}
        blocks.append(block)
        offset += len(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def relative_error(values, reference):
    """max |values - reference| / max |reference|; infinite where a value is not a number."""
    if not len(reference):
        return 0.0
    scale = max(max(map(abs, reference)), 1e-30)
    worst = max((abs(v - r) for v, r in zip(values, reference)), key=lambda e: math.inf if e != e else e)
    return worst / scale if math.isfinite(worst) else math.inf
