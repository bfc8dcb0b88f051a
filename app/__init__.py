"""The top: the only folder that knows everyone. Configuration, wiring, web application, worker, commands."""
