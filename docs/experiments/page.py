"""Pages whose tables a program writes: the text between `<!-- NAME -->` and `<!-- end of NAME -->`."""
import pathlib


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    def line(cells):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |\n"
    return line(head) + "|" + "|".join("-" * (width + 2) for width in widths) + "|\n" + "".join(map(line, rows))


def machine():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"Measured on one core of: {line.split(':', 1)[1].strip()}.\n"
    return "Measured on a machine without a name.\n"


def marks(name):
    return f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"


def get(path, name):
    """The rows of the table that is there, without its head, and the text behind it."""
    begin, end = marks(name)
    lines = path.read_text().split(begin)[1].split(end)[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:], "\n".join(line for line in lines if not line.startswith("|")).strip()


def put(path, name, text):
    begin, end = marks(name)
    before, rest = path.read_text().split(begin)
    path.write_text(before + begin + "\n" + text + "\n" + end + rest.split(end)[1])
