#!/usr/bin/env python3
"""Opens each file in `ssm-lsp-server --ssm`, in the framing that editors use, and prints what is said of them.

usage: open_specs.py FILE.ssm...
"""
import json
import pathlib
import re
import subprocess
import sys


def frame(method, params, **more):
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def main(paths):
    session = frame("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=0)
    for path in map(pathlib.Path, paths):
        document = {"uri": path.resolve().as_uri(), "languageId": "ssm", "version": 1, "text": path.read_text()}
        session += frame("textDocument/didOpen", {"textDocument": document})
    session += frame("shutdown", None, id=1) + frame("exit", None)
    run = subprocess.run(["ssm-lsp-server", "--ssm"], input=session, capture_output=True, timeout=100)
    published = 0
    for part in re.split(rb"Content-Length: \d+\r\n\r\n", run.stdout):
        message = json.loads(part) if part.strip() else {}
        if message.get("method") != "textDocument/publishDiagnostics":
            continue
        published += 1
        for said in message["params"]["diagnostics"]:
            print(f"{message['params']['uri']}: line {said['range']['start']['line'] + 1}: {said['message']}")
    print(f"{published} of {len(paths)} files checked, exit status {run.returncode}")
    return run.returncode or published != len(paths)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
