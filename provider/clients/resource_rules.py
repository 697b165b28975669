"""What an operator may say of an API: its name, its scopes and what they allow in words, its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provider.protocol.client import ACCESS_TOKEN_TYPES, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.resources import canonical_resource
from provider.protocol.scopes import IDENTITY_SCOPES, checked_scope
from provider.protocol.text import is_name, one_line
from provider.protocol.uri_schemes import SCRIPT_SCHEMES

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MIN_TOKEN_SECONDS, MAX_TOKEN_SECONDS = 30, 900
MAX_NAME = 255
DESCRIPTION_LANGUAGES = ("en", "ko")
MAX_DESCRIPTION = 200


def checked_resource(said: Resource) -> Resource:
    """The API as it is stored. Raises ``OAuthError`` (``invalid_target``, ``invalid_scope``) or ``ValueError``."""
    name, scope, admin_scope = one_line(said.name), checked_scope(said.scope), checked_scope(said.admin_scope)
    if said.token_alg not in ALGORITHMS:
        raise ValueError(f"token_alg must be one of {', '.join(ALGORITHMS)}")
    if said.token_typ not in ACCESS_TOKEN_TYPES:
        raise ValueError(f"token_typ must be one of {', '.join(ACCESS_TOKEN_TYPES)}")
    if not is_name(name, MAX_NAME):
        raise ValueError(f"a resource needs a name of 1 to {MAX_NAME} printable characters")
    seconds = said.access_token_seconds
    if seconds is not None and not MIN_TOKEN_SECONDS <= seconds <= MAX_TOKEN_SECONDS:
        raise ValueError(f"access tokens live {MIN_TOKEN_SECONDS} to {MAX_TOKEN_SECONDS} seconds")
    if set(scope) & set(IDENTITY_SCOPES):
        raise OAuthError.invalid_scope(f"{', '.join(IDENTITY_SCOPES)} belong to this server.")
    if not set(admin_scope) <= set(scope):
        raise ValueError("admin scopes must be among the scopes")
    if not set(said.scope_groups) <= set(scope):
        raise ValueError("only the resource's own scopes can be reserved for groups")
    if canonical_resource(said.uri).partition(":")[0] in SCRIPT_SCHEMES:
        raise OAuthError.invalid_target("The resource must be an https URI, or another name such as a URN.")
    if not set(said.descriptions) <= set(scope):
        raise ValueError("only the resource's own scopes can be described")
    descriptions = {name: _checked_words(said.descriptions[name]) for name in scope if said.descriptions.get(name)}
    reserved = {name: tuple(dict.fromkeys(groups)) for name, groups in said.scope_groups.items() if groups}
    made = replace(said, name=name, scope=scope, admin_scope=admin_scope)
    return replace(made, descriptions=descriptions, scope_groups=reserved)


def _checked_words(words: Mapping[str, str]) -> dict[str, str]:
    """What one scope allows, by language: a sentence of one line, which pages show as plain text."""
    if not set(words) <= set(DESCRIPTION_LANGUAGES):
        raise ValueError(f"a scope is described in these languages: {', '.join(DESCRIPTION_LANGUAGES)}")
    said = {language: one_line(words[language]) for language in DESCRIPTION_LANGUAGES if language in words}
    if not all(is_name(sentence, MAX_DESCRIPTION) for sentence in said.values()):
        raise ValueError(f"a scope is described in 1 to {MAX_DESCRIPTION} printable characters")
    return said
