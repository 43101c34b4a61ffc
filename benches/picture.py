"""The curve of `many/clients-…` as an SVG picture: files a second against clients, both axes logarithmic."""

from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 72
COLOURS = {"direct": "#8a8a8a", "ferryline": "#0a6ebd"}


def curve(points, versions):
    """`points`: clients → (direct, ferryline), files a second."""
    if not points:
        raise SystemExit("benches/run: --picture wants a line of many/clients-… (-k many/clients)")
    numbers = sorted(points)
    values = [value for pair in points.values() for value in pair]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))

    def x(clients):
        span = log10(numbers[-1] / numbers[0]) or 1
        return LEFT + (WIDTH - LEFT - RIGHT) * log10(clients / numbers[0]) / span

    def y(rate):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(rate) - low) / (high - low or 1)

    parts = [text(WIDTH / 2, 20, "Files of 4 KiB a second, by the number of clients", size=15)]
    for power in range(low, high + 1):
        parts.append(line(LEFT, y(10**power), WIDTH - RIGHT, y(10**power)))
        parts.append(text(LEFT - 8, y(10**power) + 4, f"{10**power:g}", anchor="end"))
    for number in numbers:
        parts.append(line(x(number), TOP, x(number), HEIGHT - BOTTOM))
        parts.append(text(x(number), HEIGHT - BOTTOM + 18, number))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 36, "clients"))
    for index, (name, colour) in enumerate(COLOURS.items()):
        at = [(x(number), y(points[number][index])) for number in numbers]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for number, (left, top) in zip(numbers, at):
            parts.append(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.5" fill="{colour}"/>')
            # Above the upper curve, below the lower one.
            shift = -9 if (points[number][index], -index) >= (points[number][1 - index], index - 1) else 18
            parts.append(text(left, top + shift, f"{points[number][index]:.0f}", colour=colour))
        parts.append(line(LEFT + 12, TOP + 14 + 18 * index, LEFT + 36, TOP + 14 + 18 * index, colour, 2))
        parts.append(text(LEFT + 42, TOP + 18 + 18 * index, name, anchor="start", colour=colour))
    machine = versions.splitlines()[-1]
    parts.append(text(WIDTH / 2, HEIGHT - 12, machine, size=11, colour="#6a6a6a"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def text(x, y, what, anchor="middle", size=12, colour="#303030"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(str(what))}</text>'


def line(x1, y1, x2, y2, colour="#e0e0e0", width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'
