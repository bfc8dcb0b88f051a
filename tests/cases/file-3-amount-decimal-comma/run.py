import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
from payments.counter import bank_list
db, _ = fresh(); t = services(db, Clock())
r = bank_list.read_list(t, HERE/"list.csv", actor="bert"); print(r); print("orders:", orders(db))
# right: "1,200.00" is 1200 yuan; "20,00" and "1,0,0" are no amounts written with thousands: told, not booked.
verdict(orders(db) == [("2400101002", 120000, "PAID")], "commas that do not stand between thousands")
