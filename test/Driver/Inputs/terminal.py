"""Runs a command with its output and errors on a terminal, and prints what the terminal received, with ESC for escapes and a
line for each carriage return: terminal.py COMMAND... Exits as the command does."""

import os
import pty
import sys

os.environ["TERM"] = "xterm-256color"
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
received = b""
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:  # the command has ended, and its terminal with it
        break
    if not data:
        break
    received += data
_, status = os.waitpid(child, 0)
text = received.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
sys.stdout.write(text.replace("\x1b", "ESC"))
sys.exit(os.waitstatus_to_exitcode(status))
