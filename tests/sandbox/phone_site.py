"""A tiny site behind the phone: answers pushes in plain mode, has one page that pays, takes notices."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

POLICY = "default-src 'self'; frame-ancestors 'none'"
WELCOME = (
    '欢迎！\n<a href="{origin}/h5/pay">去充值</a>\n'
    '<a href="weixin://bizmsgmenu?msgmenucontent=余额&amp;msgmenuid=7">查余额</a>\n'
    '<a href="javascript:alert(1)">坏链接</a> <b>粗</b> <img src=x onerror=alert(1)>'
)
PAGE = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>网费充值</title>
<script src="/h5/app.js" defer></script></head><body><h1>网费充值</h1>
<p id="client"></p><button id="pay" disabled>微信支付</button><button id="close">关闭</button>
<p id="result" data-testid="result"></p></body></html>"""
SCRIPT = """
const result = document.getElementById('result');
const invoke = () => fetch('/h5/params').then(r => r.json()).then(params =>
  WeixinJSBridge.invoke('getBrandWCPayRequest', params, answer => { result.textContent = answer.err_msg; }));
document.getElementById('pay').addEventListener('click', invoke);
document.getElementById('pay').disabled = false;
document.getElementById('close').addEventListener('click', () => WeixinJSBridge.call('closeWindow'));
document.addEventListener('WeixinJSBridgeReady', () => { result.textContent = 'ready'; });
"""
REPLY = (
    "<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[{sender}]]></FromUserName>"
    "<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content></xml>"
)


class PhoneSite:
    """Start, give it `params` (what the pay page asks for), stop."""

    def __init__(self) -> None:
        self.params: Callable[[], dict[str, str]] = dict
        self.pushed: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.notices = 0
        self.hurry = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.addresses.append(self.headers.get("X-Forwarded-For", ""))
                status, kind, body = outer.page(self.path)
                self._answer(status, kind, body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path.startswith("/wechatpay"):
                    outer.notices += 1
                    self._answer(200, "text/plain", "")
                else:
                    self._answer(200, "text/xml", outer.reply(body))

            def _answer(self, status: int, kind: str, body: str) -> None:
                raw = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def page(self, path: str) -> tuple[int, str, str]:
        pages = {
            "/": ("text/html", PAGE.replace("网费充值", "首页")),
            "/h5/pay": ("text/html", PAGE),
            "/h5/app.js": ("text/javascript", SCRIPT),
            "/favicon.ico": ("image/x-icon", ""),
        }
        if path == "/h5/params":
            return 200, "application/json", json.dumps(self.params())
        kind, body = pages.get(path, ("text/plain", "nothing here"))
        return 200 if path in pages else 404, kind, body

    def reply(self, body: bytes) -> str:
        message: Element = fromstring(body)
        fields = {child.tag: child.text or "" for child in message}
        self.pushed.append(fields)
        text = self._words(fields)
        names = {"to": fields["FromUserName"], "sender": fields["ToUserName"]}
        return REPLY.format(text=text, **names) if text else "success"

    def _words(self, fields: dict[str, str]) -> str:
        if fields.get("Event") == "subscribe":
            return WELCOME.format(origin=self.origin)
        if fields.get("Event") == "CLICK":
            return f"点了 {fields['EventKey']}"
        if fields.get("Content") == "慢":
            self.hurry.wait(4)
        if fields.get("MsgType") == "text":
            return f"收到：{fields['Content']}"
        return ""

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
