"""What the content security policy forbids is not written in the first place, and pages know no host."""

from __future__ import annotations

from html.parser import HTMLParser

from models.people.login_session import SubjectKind
from tests.web.browser_site import CAMPUS, every_page
from tests.web.world import OWN, World

VOID = {"meta", "link", "input", "br", "path", "circle", "rect", "line", "img"}


class Reader(HTMLParser):
    """Collects what is wrong with a page, and its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.wanted: list[str] = []
        self.headings = 0
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.headings += tag == "h1"
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.wanted += [value for name, value in attrs if name in ("for", "aria-labelledby") and value]
        self.faults += [f"{tag} {name}" for name in has if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and not has.get("src")):
            self.faults.append(f"inline {tag}")
        for name in ("href", "src", "action"):
            if "//" in (has.get(name) or ""):
                self.faults.append(f"{tag} leads to {has[name]}")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(f"unbalanced {tag}")


def test_no_page_holds_inline_code_or_a_foreign_address(world: World) -> None:
    pages = every_page(world)
    client = world.reader(address="203.0.113.7")
    campus = world.reader(address=CAMPUS)
    with campus.session_transaction() as session:
        session["portal"] = world.login(SubjectKind.PORTAL, OWN)
    for name, path in pages.items():
        html = (campus if path.startswith("/self/") else client).get(path).text
        page = Reader()
        page.feed(html)
        assert page.faults == [], name
        assert page.open == [], name
        assert page.headings == 1, name
        assert len(page.ids) == len(set(page.ids)), name
        assert {part for value in page.wanted for part in value.split()} <= set(page.ids), name
