"""Splits the weights of a model's folder into shards with an index: shard.py FOLDER TO COUNT.

Tensors go to the shards in turn, so that each has some of every layer.
"""

import json
import pathlib
import shutil
import struct
import sys

folder, to, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
raw = (folder / "model.safetensors").read_bytes()
(size,) = struct.unpack("<Q", raw[:8])
header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
header.pop("__metadata__", None)
to.mkdir(parents=True)
shutil.copy(folder / "config.json", to)
places, total = {}, 0
for shard in range(count):
    name = f"model-{shard + 1:05}-of-{count:05}.safetensors"
    entries, content = {"__metadata__": {"format": "pt"}}, b""
    for tensor in sorted(header)[shard::count]:
        begin, end = header[tensor]["data_offsets"]
        entries[tensor] = dict(header[tensor], data_offsets=[len(content), len(content) + end - begin])
        content += data[begin:end]
        places[tensor] = name
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    (to / name).write_bytes(struct.pack("<Q", len(text)) + text + content)
    total += len(content)
index = {"metadata": {"total_size": total}, "weight_map": places}
(to / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
