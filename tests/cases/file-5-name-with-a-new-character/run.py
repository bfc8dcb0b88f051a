import sys; sys.path.insert(0, str(__import__("pathlib").Path(__file__).resolve().parents[1]))
from common import *
from billing.embedded.accounts import same_name
from payments.counter import bank_list
rare = chr(0x2EC0B)
db, _ = fresh(PEOPLE + (("2400101031", f"王{rare}明"),))
r = import_accounts(db, HERE/"accounts.csv", now=NOON); print("import:", r)
t = services(db, Clock())
b = bank_list.read_list(t, HERE/"bank.csv", actor="bert"); print("bank list, right name:", b)
o = bank_list.read_list(t, HERE/"bank-other.csv", actor="bert"); print("bank list, name without the character:", o)
print("same_name(王?明, 王明) =", same_name(f"王{rare}明", "王明"))
from payments.payouts import approval
db2, _ = fresh((("2400101032", f"王{rare}"),)); t2 = services(db2, Clock()); t2.billing.credit("2400101032", 5000, key="cTEST0001")
try: approval.request(t2, account_no="2400101032", payee="王", bank_name="某某银行桂林分行", bank_account="6222000000000000018", actor="anna"); paid = True
except Exception as e: paid = False
print("payout of the account of 王? accepted for a card of 王:", paid)
# right: 3 accounts opened; the transfer with the right name credited; 王明 is another name -> queued.
verdict(r.opened == 3 and b.credited == 1 and o.credited == 0 and not same_name(f"王{rare}明", "王明") and not paid, "a name with a character of GB 18030-2022 / Unicode 15.1")
