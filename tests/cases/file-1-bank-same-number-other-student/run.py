import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
from payments.counter import bank_list
db, _ = fresh(); clock = Clock(); t = services(db, clock)
r1 = bank_list.read_list(t, HERE/"day1.csv", actor="bert"); print("day 1:", r1)
clock.go(86400)
r2 = bank_list.read_list(t, HERE/"day2.csv", actor="bert"); print("day 2:", r2)
print("orders:", orders(db))
r3 = bank_list.read_list(t, HERE/"rounded-by-excel.csv", actor="bert"); print("one list, 20-digit numbers rounded by Excel:", r3)
# right: 王芳 is credited, or the row is told (fault) or queued. Wrong: counted as "known" and forgotten.
verdict(r2.known == 0 and r3.known == 0 and (r2.credited or r2.faults or r2.queued), "the transfer of another student under a number that was used before")
