"""What libraries compile at run time is compiled once for all tests of a process.

SQLAlchemy keeps statements for an engine, Jinja templates and Werkzeug routes for an application;
nearly every test has an engine and an application of its own. Compiling took a third of the
processor time of all tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine, create_engine
from werkzeug.routing import Rule

from models.db import engine as db

# More statements than one process has.
_STATEMENTS = 5000


class SharedStatements:
    """Engines of one kind share the dialect and what was compiled for it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str | None], Engine] = {}

    def engine(self, url: Any, **options: Any) -> Engine:
        """What `create_engine` makes, with the statements of earlier tests already compiled."""
        made = create_engine(url, query_cache_size=_STATEMENTS, **options)
        first = self._first.setdefault((made.dialect.name, options.get("isolation_level")), made)
        # A dialect learns of its server at the first connection.
        if first is not made and first.dialect.server_version_info is not None:
            made.dialect = first.dialect
            made.pool._dialect = first.dialect
            made._compiled_cache = first._compiled_cache
        return made


class SharedTemplates(BytecodeCache):
    """Compiled templates by file; Jinja compares the checksum of the text."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._known:
            bucket.bytecode_from_string(self._known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


def share(patch: pytest.MonkeyPatch) -> None:
    """From now on this process compiles each statement, template and route once."""
    patch.setattr(db, "create_engine", SharedStatements().engine)
    patch.setattr(Flask, "jinja_options", {"bytecode_cache": SharedTemplates()})
    routes: dict[Any, Any] = {}
    compile_builder = Rule._compile_builder

    def known_builder(rule: Rule, append_unknown: bool = True) -> Any:  # noqa: FBT001, FBT002 - as Werkzeug's own
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in routes:
            routes[key] = compile_builder(rule, append_unknown)
        return routes[key]

    patch.setattr(Rule, "_compile_builder", known_builder)
