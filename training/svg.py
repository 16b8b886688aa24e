"""Small pictures as SVG text: axes, dots, lines, bars.

Takes numbers; gives markup whose colours are classes, so that the page decides what is light
and dark. Knows nothing about what is drawn. All text and all attributes are escaped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """An element; `class_` is `class`, an underscore a hyphen, None leaves an attribute out."""
    said = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
        if value is not None
    )
    content = Markup("").join(escape(part) for part in inside)
    return Markup("<{0}{1}>{2}</{0}>").format(name, said, content)


def _short(value: object) -> object:
    """A coordinate with no more digits than an eye sees."""
    return f"{value:.6g}" if isinstance(value, float) else value


def scaled(width: int, height: int, says: str, *parts: object) -> Markup:
    """A picture that grows with its place; `says` tells it to who can't see it."""
    return tag(
        "svg", tag("title", says), *parts,
        viewBox=f"0 0 {width} {height}", role="img", class_="scaled",
    )  # fmt: skip


def stretched(height: int, says: str, *parts: object, class_: str = "stretched") -> Markup:
    """A picture as wide as its place, whose parts stand at percentages; text keeps its size."""
    return tag(
        "svg", tag("title", says), *parts, width="100%", height=height, role="img", class_=class_
    )


def text(x: object, y: float, words: str, anchor: str = "start", class_: str = "dim") -> Markup:
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: object, y1: float, x2: object, y2: float, class_: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers in `[low, high]`: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(int(first), int(last) + 1)]


def tick_text(value: float, unit: str = "") -> str:
    """A number on an axis: thousands as k, no needless zeros."""
    if unit == "%":
        return f"{100 * value:g}%"
    size = abs(value)
    for least, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= least:
            return f"{value / (1e3 if letter == 'k' else least):g}{letter}"
    return f"{value:g}".replace("-", "−")


@dataclass(frozen=True)
class Frame:
    """A plot's area inside a scaled picture, and the ranges of its axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 360
    height: int = 300
    left: int = 40
    bottom: int = 44
    top: int = 30
    right: int = 22

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies in the picture; outside the ranges it stands at their edge."""
        across = (min(max(x, self.x[0]), self.x[1]) - self.x[0]) / (self.x[1] - self.x[0])
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def line(self, x: Iterable[float], y: Iterable[float], class_: str) -> Markup:
        """Points joined by a line."""
        places = [self.at(a, b) for a, b in zip(x, y, strict=True)]
        d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        return tag("path", d=d, class_=class_)

    def dots(self, x: Iterable[float], y: Iterable[float], class_: str) -> Markup:
        """Points; see `dots`."""
        return dots((self.at(a, b) for a, b in zip(x, y, strict=True)), class_)

    def axes(
        self,
        x_says: str,
        y_says: str,
        x_unit: str = "",
        y_unit: str = "",
        x_ticks: Sequence[tuple[float, str]] | None = None,
    ) -> Markup:
        """Grid lines, numbers and what the axes mean."""
        named = x_ticks
        if named is None:
            named = [(v, tick_text(v, x_unit)) for v in ticks(*self.x)]
        parts = []
        right, floor = self.width - self.right, self.height - self.bottom
        for value in ticks(*self.y):
            y = self.at(self.x[0], value)[1]
            parts.append(line(self.left, y, right, y, "grid"))
            parts.append(text(self.left - 6, y + 4, tick_text(value, y_unit), "end"))
        for value, name in named:
            x = self.at(value, self.y[0])[0]
            parts.append(line(x, floor, x, floor + 4, "axis"))
            parts.append(text(x, floor + 17, name, "middle"))
        parts.append(line(self.left, floor, right, floor, "axis"))
        parts.append(text((self.left + right) / 2, self.height - 6, x_says, "middle", "ink"))
        parts.append(text(0, 12, y_says, "start", "ink"))
        return Markup("").join(parts)


def dots(places: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Many dots as one path of strokes without length and with round ends: 9 bytes a dot."""
    return tag("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in places), class_=class_)
