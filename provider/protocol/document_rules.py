"""Client-id metadata documents: which URLs can be a client's id, and what a document must say (draft-02 §3, §4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from provider.protocol.client import PRIVATE_KEY_JWT, PUBLIC

MAX_CHARACTERS = 512
DOCUMENT_METHODS = (PUBLIC, PRIVATE_KEY_JWT)
_URL = re.compile(r"https://[A-Za-z0-9._~:\[\]-]+/(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_PLURAL = ("token_endpoint_auth_methods_supported", "token_endpoint_auth_methods")


def looks_like_document_url(client_id: str) -> bool:
    """Whether a ``client_id`` claims to be a URL. The ids that we make never do."""
    return client_id.startswith(("https:", "http:"))


def document_url_problem(client_id: str) -> str | None:
    """Why ``client_id`` can't be the URL of a metadata document, None when it can (draft-02 §3)."""
    if len(client_id) > MAX_CHARACTERS:
        return "The client_id is too long."
    if not client_id.startswith("https://") or not _URL.fullmatch(client_id):
        return "A client_id that is a URL must be https with a host and a path, and without user and fragment."
    try:
        parts = urlsplit(client_id)
        port = parts.port
    except ValueError:
        return "The client_id is no valid URL."
    if not parts.hostname or port == 0:
        return "The client_id is no valid URL."
    if any(unquote(segment) in (".", "..") for segment in parts.path.split("/")):
        return "A client_id that is a URL must not have dot segments."
    return None


def document_problem(client_id: str, document: object) -> str | None:
    """Why a document is not valid for its URL, None when it is (draft-02 §4.1, §4.3). Its other members are checked as
    those of a registration are."""
    if not isinstance(document, Mapping):
        return "The metadata document is no JSON object."
    if document.get("client_id") != client_id:
        return "The client_id in the metadata document is not its URL."
    if not document.get("client_name") or not document.get("redirect_uris"):
        return "The metadata document names no application, or no redirect URI."
    if any(name in document for name in ("client_secret", "client_secret_expires_at")):
        return "A metadata document must not have a secret."
    if document_method(document) is None:
        return "The authentication method in a metadata document must be none or private_key_jwt."
    return None


def document_method(document: Mapping[str, Any]) -> str | None:
    """How the client proves itself: what it prefers, else the best of what it offers, else not at all. None: not allowed."""
    said = document.get("token_endpoint_auth_method")
    if said is not None:
        return said if said in DOCUMENT_METHODS else None
    offered = offered_methods(document)
    if not offered:
        return None if any(document.get(name) for name in _PLURAL) else PUBLIC
    return PRIVATE_KEY_JWT if PRIVATE_KEY_JWT in offered else PUBLIC


def offered_methods(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The methods of the plural member that some documents have beside the singular one, as far as we accept them."""
    for name in _PLURAL:
        said = document.get(name)
        if isinstance(said, list):
            return tuple(method for method in DOCUMENT_METHODS if method in said)
    return ()
