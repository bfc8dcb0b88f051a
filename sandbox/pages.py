"""The few pages that WeChat and the campus identity show themselves; plain HTML from 320 px."""

from __future__ import annotations

from html import escape

from flask import Response

POLICY = "default-src 'none'; style-src 'self'; form-action 'self' http: https:; base-uri 'none'"
STYLE_PATH = "/sim/pages.css"
STYLE = """
:root{color-scheme:light dark;--line:#c8ccd2;--link:#0b5cad;--go:#07713f;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--line:#555b63;--link:#8fc1ff;--go:#0a8a4d;--bad:#ff9a92}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.6 system-ui,"Noto Sans CJK SC",sans-serif}
main{max-width:24rem;margin:0 auto;padding:1rem}
h1{font-size:1.3rem;margin:.5rem 0}
label{display:block;margin:.8rem 0 .2rem}
input{width:100%;font:inherit;padding:.6rem;border:1px solid var(--line);border-radius:.4rem}
button{width:100%;margin-top:1.2rem;font:inherit;padding:.7rem;border:0;border-radius:.4rem}
button{background:var(--go);color:#fff}
li{margin:.6rem 0}
a{color:var(--link)}
.note{font-size:.9rem}
.bad{color:var(--bad)}
"""


def page(title: str, body: str, status: int = 200) -> Response:
    """One page; `body` is HTML, `title` is text."""
    html = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="{STYLE_PATH}"></head>'
        '<body><main><p class="note">模拟环境 · 不是真的微信或学校系统</p>'
        f"<h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    response = Response(html, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


def style() -> Response:
    """The style sheet of these pages."""
    return Response(STYLE, content_type="text/css; charset=utf-8")


def hidden(fields: dict[str, str]) -> str:
    """Hidden inputs for a form."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
