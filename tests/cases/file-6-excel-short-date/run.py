import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
db, _ = fresh(); r = import_accounts(db, HERE/"accounts.csv", now=NOON); print(r)
verdict(r.opened == 1, "a date as Chinese Excel writes it back (2026/3/31); told by line, so friction only")
