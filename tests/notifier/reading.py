"""Reads an email's HTML as a reader's program would."""

from html.parser import HTMLParser

Attributes = dict[str, str]
# Elements that have no end tag.
VOID = {"br", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """`tags`: every start tag with its attributes; `texts`: every text of the body, with the elements around it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.texts: list[tuple[str, list[tuple[str, Attributes]]]] = []
        self._open: list[tuple[str, Attributes]] = []
        self.feed(html)
        assert self._open == [], "an element is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs})
        self.tags.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag, "elements overlap"

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if words and any(tag == "body" for tag, _ in self._open):
            self.texts.append((words, list(self._open)))


def words_of(html: str) -> str:
    """All words of the body, the hidden preview line before them."""
    return " ".join(words for words, _ in Page(html).texts)
