"""What a browser would make of a page: its tags with their attributes, and its text."""

from __future__ import annotations

from html.parser import HTMLParser


class PageTags(HTMLParser):
    """tags: in their order, each with its attributes. text: all of it, styles and scripts included."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        """The values of one attribute in all tags of a kind."""
        return [attributes.get(name) for kind, attributes in self.tags if kind == tag]
