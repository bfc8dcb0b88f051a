import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
from net import *
db, acc, _ = books()
for name in ("2400101001@cmcc", "2400101001@telecom", "GUET\\2400101001", " 2400101001", "2400101001\u0000"):
    print(repr(name), take(acc, rec("stop", 600, 10**6, 10**9, session="s-" + str(abs(hash(name)) % 1000), account=name)))
print("days of 2400101001:", days(db)); 
# At GUET users log in as number, number@cmcc, @telecom, @unicom. Right: counted for 2400101001 (or a setting that says which suffixes are cut).
verdict(sum(sum(d[:2]) for d in days(db).values()) >= 2*(10**9 + 10**6), "traffic under the operator suffix belongs to the student")
