"""What the command says when there are no credentials."""

from __future__ import annotations


class CloudError(Exception):
    """One line for people, without a secret in it. ``code`` is a short name for programs."""

    def __init__(self, words: str, code: str = "error") -> None:
        super().__init__(words)
        self.code = code
