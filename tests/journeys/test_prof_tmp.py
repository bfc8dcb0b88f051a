import time, tests.journeys.test_broadcast as t
orig=t.Operator.run
def run(self,*a):
    s=time.monotonic(); r=orig(self,*a); print(a[0], round(time.monotonic()-s,1), r[-300:], flush=True); return r
t.Operator.run=run
ok=t.kill_after_the_third_call
def k(*a):
    s=time.monotonic(); ok(*a); print("kill", round(time.monotonic()-s,1), flush=True)
t.kill_after_the_third_call=k
from tests.journeys.test_broadcast import *
