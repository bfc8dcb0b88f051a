"""QR codes as inline SVG: no picture files, no third party."""

from __future__ import annotations

import segno
from markupsafe import Markup

from web import targets
from web.current import services


def code(url: str, title: str) -> Markup:
    """An SVG with a white quiet zone, readable on dark pages too; `title` is what a screen reader says."""
    drawn = segno.make(url, error="m").svg_inline(
        scale=5, border=4, dark="#000", light="#fff", title=title, svgclass="qr", omitsize=True
    )
    # Drawn by segno from attributes only; the address ends up as path data, never as markup.
    return Markup(drawn.replace("<svg ", '<svg role="img" ', 1))  # noqa: S704 - see above


def page_url() -> str:
    """Return the public address of the page that is asked for now, as it may be passed on."""
    return services().site.link(targets.shareable())


def page_code() -> Markup:
    """Return the QR code of the page that is asked for now."""
    return code(page_url(), "本页二维码")
