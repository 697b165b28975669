"""The APIs of one moment, found by the spellings in which clients write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provider.protocol.client import Resource
from provider.protocol.resources import canonical_resource, loose_resource


class Catalogue:
    """This server itself and the registered APIs. ``apis`` are the latter, in the order of their names."""

    def __init__(self, own: Resource, apis: Iterable[Resource]) -> None:
        self.apis = tuple(apis)
        self._exact: Mapping[str, Resource] = {canonical_resource(it.uri): it for it in (*self.apis, own)}
        self._alike: dict[str, list[Resource]] = {}
        for it in self._exact.values():
            self._alike.setdefault(loose_resource(it.uri), []).append(it)

    def find(self, uri: str) -> Resource | None:
        """The one that ``uri`` means: the one of this name, or else the only one that differs from it in no more than a
        slash at the end or the port that goes without saying. Raises ``invalid_target``."""
        alike = self.alike(uri)
        return self._exact.get(canonical_resource(uri)) or (alike[0] if len(alike) == 1 else None)

    def alike(self, uri: str) -> list[Resource]:
        """All that a client might mean by ``uri``. Raises ``invalid_target``."""
        return self._alike.get(loose_resource(uri), [])
