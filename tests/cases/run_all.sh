#!/bin/sh
# Runs every case; chat-* and identity-8 need a running `make demo` (DEMO, SITE, SIM: see chat.py).
cd "$(dirname "$0")" || exit 1
P=$(cd ../.. && pwd)/.venv/bin/python
for d in */; do [ -f "$d/run.py" ] || continue; printf '%s  ' "${d%/}"; PYTHONPATH=.. timeout 120 "$P" "$d/run.py" 2>&1 | tail -1; done
