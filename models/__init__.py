"""Tables, states and sessions. The bottom layer: no Flask, no network, imports nothing of ours."""
