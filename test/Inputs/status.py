"""Runs a command and fails unless it exits with a given status: status.py 1 COMMAND..."""

import subprocess
import sys

found = subprocess.run(sys.argv[2:]).returncode
if found != int(sys.argv[1]):
    sys.exit(f"exit status {found}; wanted {sys.argv[1]}")
