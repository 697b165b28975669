"""What every application compiles when it is made, compiled once in this process: tests make thousands of applications.

Templates by their source, and what builds addresses of a route by the route. Servers in processes of their own do it all.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

_BUILDERS: dict[tuple[str, tuple[tuple[bool, str], ...], bool], Callable[..., Any]] = {}
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


def compile_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    """In place of the method of ``Rule``. What it returns is a function of the rule's text and parts, bound later."""
    if rule.defaults:
        return _compile_builder(rule, append_unknown)
    key = (rule.rule, tuple(rule._trace), append_unknown)
    if key not in _BUILDERS:
        _BUILDERS[key] = _compile_builder(rule, append_unknown)
    return _BUILDERS[key]
