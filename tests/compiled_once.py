"""What applications and engines compile when they are new, compiled once in this process: tests make thousands of either.

Templates by their source, rules of addresses by their text, statements by the kind of database. Servers in processes of
their own do it all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import CodeType
from typing import Any

import sqlalchemy
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Dialect, Engine
from werkzeug.routing import Rule

_RULES: dict[tuple[Any, ...], Rule] = {}
_BUILDERS: dict[tuple[Any, ...], Callable[..., Any]] = {}
_STATEMENTS: dict[tuple[Any, ...], Any] = {}
_compile = Rule.compile
_compile_builder = Rule._compile_builder


class CompiledTemplates(BytecodeCache):
    """By the name of a template and the source that it was compiled from."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._known.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._known[bucket.key, bucket.checksum] = bucket.code


_COMPILED = CompiledTemplates()


def share_templates(app: Flask) -> None:
    app.jinja_env.bytecode_cache = _COMPILED


def compile_rule(rule: Rule) -> None:
    """In place of the method of ``Rule``. The same text gives the same, but for the map that its converters know."""
    key = (rule.rule, rule.subdomain, rule.host, rule.merge_slashes, _defaults(rule))
    known = _RULES.get(key)
    if known is None:
        _compile(rule)
        _RULES[key] = rule
        return
    rule._parts, rule._trace, rule.arguments = known._parts[:], known._trace[:], set(known.arguments)
    rule._converters = {name: copy.copy(converter) for name, converter in known._converters.items()}
    for converter in rule._converters.values():
        converter.map = rule.map
    rule._build = rule._compile_builder(False).__get__(rule, None)
    rule._build_unknown = rule._compile_builder(True).__get__(rule, None)


def compile_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    """In place of the method of ``Rule``. What it returns is a function of the rule's text and parts, bound later."""
    key = (rule.rule, tuple(rule._trace), append_unknown, _defaults(rule))
    if key not in _BUILDERS:
        _BUILDERS[key] = _compile_builder(rule, append_unknown)
    return _BUILDERS[key]


def _defaults(rule: Rule) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((rule.defaults or {}).items()))


class CompiledStatements(dict[Any, Any]):
    """In place of an engine's own cache: by what is known of its database instead of by the engine's dialect."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return _STATEMENTS.get(self._shared(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        _STATEMENTS[self._shared(key)] = compiled

    def _shared(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        # The version is known from the first connection on, and decides what may be written.
        kind = self._dialect
        known = (type(kind), getattr(kind, "server_version_info", None), getattr(kind, "is_mariadb", None))
        return (known, *key[1:])


def create_engine(*arguments: Any, **options: Any) -> Engine:
    """In place of SQLAlchemy's."""
    engine = sqlalchemy.create_engine(*arguments, **options)
    engine._compiled_cache = CompiledStatements(engine.dialect)
    return engine
