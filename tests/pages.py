"""A page as a reader's tools see it: its elements, headings, labels and numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    parts: "list[Element | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, as it is read."""
        said = [part if isinstance(part, str) else part.text for part in self.parts]
        return "".join(said)

    def all(self, *tags: str, class_: str = "") -> "list[Element]":
        """Elements inside with one of these tags, and with a class."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                classes = part.attributes.get("class", "").split()
                if (not tags or part.tag in tags) and (not class_ or class_ in classes):
                    found.append(part)
                found += part.all(*tags, class_=class_)
        return found

    def one(self, id_: str) -> "Element":
        """The element of that id."""
        return next(each for each in self.all() if each.attributes.get("id") == id_)

    def inside(self, tag: str) -> bool:
        """Whether an element around this one has that tag."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.inside(tag))

    @property
    def numbers(self) -> list[float]:
        """The exact values of the numbers inside."""
        return [float(each.attributes["value"]) for each in self.all("data")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = self.at = Element("page", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.parts.append(made)
        if tag not in VOID:
            self.at = made

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.parts.append(data)


def read_page(text: str) -> Element:
    """The page; every element must be closed in its turn."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.at is reader.page
    return reader.page


def faults(page: Element) -> list[str]:
    """What a person without a mouse or without sight would stumble over."""
    found = [*_ids(page), *_headings(page), *_unlabelled(page), *_untold(page)]
    found += ["a table has no caption" for table in page.all("table") if not table.all("caption")]
    found += ["an element has a style" for each in page.all() if "style" in each.attributes]
    found += [f"a link is empty: {a.attributes}" for a in page.all("a") if not a.text.strip()]
    return found


def _ids(page: Element) -> Iterator[str]:
    ids = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    yield from (f"two elements have the id {each}" for each in set(ids) if ids.count(each) > 1)
    for name in ("aria-labelledby", "aria-describedby"):
        wanted = [each.attributes[name] for each in page.all() if name in each.attributes]
        yield from (f"{name} names nothing: {each}" for each in wanted if each not in ids)


def _headings(page: Element) -> Iterator[str]:
    level = 0
    for heading in page.all("h1", "h2", "h3", "h4"):
        if int(heading.tag[1]) > level + 1:
            yield f"{heading.tag} {heading.text!r} comes after h{level}"
        level = int(heading.tag[1])
    if len(page.all("h1")) != 1:
        yield "there is not one h1"


def _unlabelled(page: Element) -> Iterator[str]:
    labelled = {each.attributes.get("for") for each in page.all("label")}
    for control in page.all("input", "select"):
        open_ = control.attributes.get("type") != "hidden" and not control.inside("label")
        if open_ and control.attributes.get("id") not in labelled:
            yield f"no label: {control.attributes}"


def _untold(page: Element) -> Iterator[str]:
    for drawn in page.all("svg"):
        seen = not drawn.inside("svg") and drawn.attributes.get("aria-hidden") != "true"
        if seen and not (drawn.all("title") and drawn.all("desc")):
            yield "a picture has no title and description"
