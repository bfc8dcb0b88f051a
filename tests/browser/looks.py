"""How a page looks: pictures for people, and what a browser can judge by itself."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Frame

ROOT = Path(__file__).parent.parent.parent
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}


def shots_folder() -> Path:
    """Where the pictures go for people to look at; git does not keep them."""
    folder = ROOT / "var" / "shots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def too_wide(frame: Frame, name: str) -> list[str]:
    """A complaint when the page can be scrolled sideways."""
    extra = frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{name}: {extra} px too wide"] if extra > 0 else []


def broken_figures(frame: Frame, name: str) -> list[str]:
    """A complaint for each sum and account that is cut in two: half of it can be read as something else."""
    broken: list[str] = frame.evaluate(
        """() => [...document.querySelectorAll(".sum, .payee.num")].filter((node) => {
          const range = document.createRange();
          range.selectNodeContents(node.lastChild);
          return range.getClientRects().length > 1;
        }).map((node) => node.textContent)"""
    )
    return [f"{name}: {text} is broken into lines" for text in broken]


def complaints(frame: Frame, name: str) -> list[str]:
    """What axe finds."""
    frame.evaluate(Axe().axe_script)
    violations = frame.evaluate("rules => axe.run(rules)", RULES)["violations"]
    return [f"{name}: {v['id']} {[node['html'][:120] for node in v['nodes'][:3]]}" for v in violations]
