"""Reading an HTML page as strictly as a validator: what is open, what is referred to."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}
REFERS = {"src", "href", "action", "data", "poster", "xlink:href", "srcset"}


class Page(HTMLParser):
    """Elements, references and text of a page; complains of what is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if len(named) != len(attrs):
            self.faults.append(f"<{tag}> says an attribute twice")
        self.tags.append((tag, named))
        self.references += [str(v) for k, v in attrs if k in REFERS]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]

    @property
    def headings(self) -> list[int]:
        """The levels of the headings in order."""
        return [int(name[1]) for name, _ in self.tags if re.fullmatch("h[1-6]", name)]


def colours(css: str, begin: str) -> dict[str, str]:
    """The variables of the first `:root` after `begin`, by name."""
    block = css[css.index(begin) :]
    block = block[block.index(":root") :]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block[: block.index("}")]))


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of luminances, 1 to 21."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
