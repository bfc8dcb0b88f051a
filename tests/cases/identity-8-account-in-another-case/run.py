import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
# Whole way: chat with a typed account, and binding with what the identity server calls the person.
from chat import *
res = {}
for i, w in enumerate(("T20080015", "t20080015", "Ｔ２００８００１５", " T20080015 ")):
    o = f"oCase-ca-{int(time.time())}-{i}"; push(text(o, "给他人充值".encode())); s, out, _ = push(text(o, w.encode())); a = says(out); s, out2, _ = push(text(o, w.encode())); b = says(out2)
    res[w] = "请核对户名" in b; print(repr(w), "->", a[:40].replace("\n", " "), "|", b[:40].replace("\n", " "))
db, _ = fresh((("T20080015", "周建国"),)); t = services(db, Clock())
from payments import binding
for name in ("T20080015", "t20080015"):
    try: binding.bind_account(t, openid="oX", account_no=name); r = "bound"
    except Exception as e: r = repr(e)
    print("identity server says", name, "->", r); res["bind " + name] = r == "bound"
# A CAS in front of a directory lets the person type the number in either case and hands it on as typed. Right: the same account.
verdict(all(res.values()), "not found: " + ", ".join(k for k, v in res.items() if not v))
