"""Draws what a terminal showed (`tmux capture-pane -p -e`, on standard input) as SVG."""

import html
import re
import sys

WIDTH, HEIGHT, SIZE = 8.4, 18, 14
INK, PAPER = "#d8dee9", "#1b1f27"
COLORS = ["#3b4252", "#ef6b73", "#8fca7a", "#e6c36a", "#6f9fe8", "#c792ea", "#6cc7d9", "#e5e9f0"]


def spans(line):
    """The pieces of a line, each with the column where it begins and its style."""
    color, bold, dim, column = INK, False, False, 0
    for escape, text in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b]+)", line):
        if text:
            yield column, text, color, bold, dim
            column += len(text)
            continue
        codes = [int(code or 0) for code in escape.split(";")]
        while codes:
            match codes.pop(0):
                case 0:
                    color, bold, dim = INK, False, False
                case 1:
                    bold = True
                case 2:
                    dim = True
                case 22:
                    bold = dim = False
                case 39:
                    color = INK
                case 38 if codes[:1] == [5]:
                    color, codes = COLORS[codes[1] % 8], codes[2:]
                case code if 30 <= code <= 37:
                    color = COLORS[code - 30]


lines = sys.stdin.read().rstrip("\n").split("\n")
plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
width = max(map(len, plain)) * WIDTH + 24
height = len(lines) * HEIGHT + 24
print(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
    f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE}">'
)
print(f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>')
for row, line in enumerate(lines):
    for column, text, color, bold, dim in spans(line):
        if not text.strip():
            continue
        lead = len(text) - len(text.lstrip())
        text = text.strip()
        weight = ' font-weight="bold"' if bold else ""
        faint = ' opacity="0.6"' if dim else ""
        print(
            f'<text x="{12 + (column + lead) * WIDTH:.1f}" y="{12 + row * HEIGHT + SIZE}" '
            f'textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs" '
            f'xml:space="preserve" fill="{color}"{weight}{faint}>{html.escape(text)}</text>'
        )
print("</svg>")
