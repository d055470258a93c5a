"""Line plots as SVG, without dependencies: one or more panels beside each other, axes linear or logarithmic."""
import math
from xml.sax.saxutils import escape

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]  # Okabe and Ito
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 320, 62, 18, 30, 46


def spaced(low, high, log):
    """Ticks from low to high: powers of two or ten if log, else at most seven round numbers."""
    if log:
        base = 10 if high / low > 1e6 else 2
        first, last = math.floor(math.log(low, base) + 1e-9), math.ceil(math.log(high, base) - 1e-9)
        step = max(1, math.ceil((last - first) / 7))
        return [float(base) ** k for k in range(first, last + step, step)]
    raw = (high - low) / 6 or 1.0
    scale = 10 ** math.floor(math.log10(raw))
    step = next(m * scale for m in (1, 2, 5, 10) if m * scale >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    return [round(k * step, 12) for k in range(first, math.ceil(high / step - 1e-9) + 1)]


def label(value):
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    if value >= 1024 and value == int(value) and int(value) % 1024 == 0:
        return f"{int(value) // 1024}K"
    return f"{value:g}"


class Panel:
    """Series of points (x, y) under a title; axes are named, and logarithmic where said."""

    def __init__(self, title, x, y, log_x=False, log_y=False):
        self.title, self.x, self.y, self.log_x, self.log_y = title, x, y, log_x, log_y
        self.series, self.marks = [], []

    def line(self, name, points, dashed=False):
        points = [(x, y) for x, y in points if not (self.log_x and x <= 0 or self.log_y and y <= 0)]
        self.series.append((name, points, dashed))

    def mark(self, x, text):
        """A vertical line."""
        self.marks.append((x, text))

    def draw(self, offset):
        xs = [x for _, points, _ in self.series for x, _ in points]
        ys = [y for _, points, _ in self.series for _, y in points]
        x_ticks, y_ticks = spaced(min(xs), max(xs), self.log_x), spaced(min(ys), max(ys), self.log_y)

        def place(value, ticks, log, low, high):
            f = math.log if log else float
            a, b = f(ticks[0]), f(ticks[-1])
            return low + (f(value) - a) / ((b - a) or 1) * (high - low)

        def at(x, y):
            return (place(x, x_ticks, self.log_x, offset + LEFT, offset + WIDTH - RIGHT),
                    place(y, y_ticks, self.log_y, HEIGHT - BOTTOM, TOP))

        out = [f'<text x="{offset + (LEFT + WIDTH - RIGHT) / 2:.0f}" y="18" text-anchor="middle" font-weight="bold">{escape(self.title)}</text>']
        for tick in x_ticks:
            x, _ = at(tick, y_ticks[0])
            out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
                       f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{label(tick)}</text>')
        for tick in y_ticks:
            _, y = at(x_ticks[0], tick)
            out.append(f'<path d="M{offset + LEFT} {y:.1f}H{offset + WIDTH - RIGHT}" stroke="#ddd"/>'
                       f'<text x="{offset + LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{label(tick)}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2
        out.append(f'<text x="{offset + (LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(self.x)}</text>'
                   f'<text transform="translate({offset + 14} {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(self.y)}</text>')
        for x, text in self.marks:
            px, _ = at(x, y_ticks[0])
            out.append(f'<path d="M{px:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#666" stroke-dasharray="2 3"/>'
                       f'<text x="{px + 4:.1f}" y="{HEIGHT - BOTTOM - 6}" fill="#666">{escape(text)}</text>')
        for i, (name, points, dashed) in enumerate(self.series):
            colour, dash = COLOURS[i % len(COLOURS)], ' stroke-dasharray="6 4"' if dashed else ""
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
            if len(points) <= 20:
                out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in (at(*point) for point in points)]
            y = TOP + 14 + 15 * i
            out.append(f'<path d="M{offset + LEFT + 8} {y - 4}h18" stroke="{colour}" stroke-width="1.6"{dash}/>'
                       f'<text x="{offset + LEFT + 31}" y="{y}">{escape(name)}</text>')
        return out


def write(path, panels):
    width = WIDTH * len(panels)
    body = [line for i, panel in enumerate(panels) for line in panel.draw(i * WIDTH)]
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
                    'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n")
