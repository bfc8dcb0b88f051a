"""The applications that are measured; each has `create_app()` for the server and reads `BENCH_*`."""
