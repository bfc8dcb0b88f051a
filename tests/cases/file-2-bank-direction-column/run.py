import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
from payments.counter import bank_list
db, _ = fresh(); t = services(db, Clock())
r = bank_list.read_list(t, HERE/"list.csv", actor="bert"); print(r); print("orders:", orders(db))
# right: the second row is money that LEFT our account (借): not booked, but told.
verdict(all(a != "2400101002" for a, *_ in orders(db)), "an outgoing transfer (借) must not be credited")
