"""Small pictures as SVG text: elements, axes, lines and dots.

Takes numbers; gives markup whose colours are classes, so that the style sheet decides what is
light and dark, and no picture needs a style of its own. Knows nothing about what is drawn. All
text and all attributes are escaped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from zlib import crc32

from markupsafe import Markup, escape


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


def picture(title: str, says: str, *parts: object, **attributes: object) -> Markup:
    """A picture with a title, and a description for who can't see it."""
    number = crc32(f"{title} {says}".encode(errors="replace"))  # ids differ on one page
    names = f"t{number}", f"d{number}"
    return tag(
        "svg", tag("title", title, id=names[0]), tag("desc", says, id=names[1]), *parts,
        role="img", aria_labelledby=names[0], aria_describedby=names[1], **attributes,
    )  # fmt: skip


def text(x: object, y: float, words: str, anchor: str = "start", class_: str = "dim") -> Markup:
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: object, y1: float, x2: object, y2: float, class_: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def percent(share: float) -> str:
    """A place in a picture as wide as its page."""
    return f"{100 * share:.2f}%"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers in `[low, high]`: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def per_cent(share: float) -> str:
    """A share as the number beside an axis."""
    return f"{100 * share:g}%"


@dataclass(frozen=True)
class Frame:
    """A plot's area inside a picture that grows with its place, and the ranges of its axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 380
    height: int = 210
    left: int = 44
    bottom: int = 28
    top: int = 24
    right: int = 28

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies in the picture."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def line(self, points: Iterable[tuple[float, float]], class_: str) -> Markup:
        """Points joined by a line."""
        places = [self.at(a, b) for a, b in points]
        d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        return tag("path", d=d, class_=class_)

    def dots(self, points: Iterable[tuple[float, float]], class_: str) -> Markup:
        """Points, each a stroke without length that has round ends."""
        places = [self.at(a, b) for a, b in points]
        return tag("path", d="".join(f"M{a:.1f} {b:.1f}h0" for a, b in places), class_=class_)

    def axes(
        self, x_ticks: Sequence[tuple[float, str]], up: Callable[[float], str] = per_cent
    ) -> Markup:
        """Grid lines and numbers: what is given across, shares upwards unless told otherwise."""
        parts = []
        right, ground = self.width - self.right, self.height - self.bottom
        for value in ticks(*self.y, most=4):
            y = self.at(self.x[0], value)[1]
            parts.append(line(self.left, y, right, y, "grid"))
            parts.append(text(self.left - 6, y + 4, up(value), "end"))
        for value, name in x_ticks:
            x = self.at(value, self.y[0])[0]
            parts.append(line(x, ground, x, ground + 4, "axis"))
            parts.append(text(x, ground + 18, name, "middle"))
        parts.append(line(self.left, ground, right, ground, "axis"))
        return Markup("").join(parts)

    def drawn(self, title: str, says: str, *parts: object) -> Markup:
        """The picture."""
        return picture(
            title, says, *parts, viewBox=f"0 0 {self.width} {self.height}", class_="chart"
        )
