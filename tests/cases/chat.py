"""Pushes as WeChat sends them, to a running demo: DEMO=folder of the demo (var/demo), SITE=http://127.0.0.1:8000."""
import os, time, tomllib, itertools, urllib.request, urllib.parse, re
from common import *
from bot.crypto import MessageCipher, message_signature, url_signature
DEMO = Path(os.environ.get("DEMO", ROOT/"var"/"demo")); SITE = os.environ.get("SITE", "http://127.0.0.1:8000"); SIM = os.environ.get("SIM", "http://127.0.0.1:8001")
C = tomllib.load(open(DEMO/"config.toml", "rb"))["wechat"]
cipher = MessageCipher(C["encoding_aes_key"], C["app_id"])
n = itertools.count(int(time.time()*1000) * 1000)
def push(inner: bytes):
    """Returns (status, decrypted reply or plain body, seconds)."""
    ts, nonce = str(int(time.time())), "n%d" % next(n)
    enc = cipher.encrypt(inner)
    q = {"signature": url_signature(C["token"], ts, nonce), "timestamp": ts, "nonce": nonce, "encrypt_type": "aes", "msg_signature": message_signature(C["token"], ts, nonce, enc)}
    body = f"<xml><ToUserName><![CDATA[{C['original_id']}]]></ToUserName><Encrypt><![CDATA[{enc}]]></Encrypt></xml>".encode()
    r = urllib.request.Request(f"{SITE}/wechat?{urllib.parse.urlencode(q)}", data=body, headers={"Content-Type": "text/xml"})
    t = time.monotonic()
    try:
        with urllib.request.urlopen(r, timeout=8) as a: status, out = a.status, a.read().decode()
    except urllib.error.HTTPError as e: return e.code, e.read().decode(), time.monotonic()-t
    m = re.search(r"<Encrypt><!\[CDATA\[(.*?)\]\]>", out)
    return status, (cipher.decrypt(m[1]).decode() if m else out), time.monotonic()-t
def says(reply):
    m = re.search(r"<Content><!\[CDATA\[(.*)\]\]></Content>", reply, re.S); return m[1] if m else reply
def text(openid, content: bytes, msg_id=None, at=None, more=b""):
    mid = b"" if msg_id == "" else b"<MsgId>%d</MsgId>" % (msg_id or next(n))
    return (f"<xml><ToUserName><![CDATA[{C['original_id']}]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName><CreateTime>{at or int(time.time())}</CreateTime><MsgType><![CDATA[text]]></MsgType>".encode()
            + b"<Content><![CDATA[" + content + b"]]></Content>" + mid + more + b"</xml>")
def event(openid, event, key=None, at=None, more=""):
    k = "" if key is None else f"<EventKey><![CDATA[{key}]]></EventKey>"
    return f"<xml><ToUserName><![CDATA[{C['original_id']}]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName><CreateTime>{at or int(time.time())}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>{k}{more}</xml>".encode()
def person(openid):
    from models.db.engine import Database; from models.person import Person; from sqlalchemy import select
    db = Database(f"sqlite:///{DEMO/'campusnet.db'}")
    with db.reading() as s:
        p = s.scalar(select(Person).where(Person.openid == openid)); return None if p is None else (p.followed_at, p.unfollowed_at, p.scene)
