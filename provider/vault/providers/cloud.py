"""What is to be known of one cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from provider.vault.checks import one_of
from provider.vault.fields import CloudField, InvalidCloudField, checked

Mode = Literal["secret", "keyless"]
SUBJECTS = ("user-and-label", "user")
# What our token says of its bearer, so that a trust policy can name it: provider/vault/cloud_tokens.py.
SUBJECT = CloudField(
    "subject", one_of(*SUBJECTS), is_required=False, default=SUBJECTS[0], choices=SUBJECTS, is_advanced=True
)


def _as_typed(_mode: Mode, said: Mapping[str, str]) -> Mapping[str, str]:
    return said


def _nothing_more(_mode: Mode, _values: Mapping[str, str]) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class CloudProvider:
    """``name`` is what ``users.cloud_provider`` says. ``keyless`` is empty where the cloud does not take our tokens.

    ``derived`` are fields that nobody types: ``derive`` has their values from the others. It raises ``InvalidCloudField``
    for fields that do not go together. ``prefill`` has what is typed beside what follows from a choice.
    """

    name: str
    title: str
    secret: Sequence[CloudField]
    keyless: Sequence[CloudField] = ()
    derived: Mapping[Mode, Sequence[CloudField]] = field(default_factory=dict)
    derive: Callable[[Mode, Mapping[str, str]], dict[str, str]] = _nothing_more
    prefill: Callable[[Mode, Mapping[str, str]], Mapping[str, str]] = _as_typed

    def fields(self, mode: Mode) -> Sequence[CloudField]:
        """What is typed, in the order of forms."""
        return self.secret if mode == "secret" else self.keyless

    def kept_fields(self, mode: Mode) -> Sequence[CloudField]:
        """What is kept: the derived fields too."""
        return (*self.fields(mode), *self.derived.get(mode, ()))

    def read(
        self, mode: Mode, said: Mapping[str, str], kept: Mapping[str, str] | None = None
    ) -> tuple[dict[str, str], set[str]]:
        """All fields from what was typed, and the names of the secrets among what was typed.

        ``kept`` are the fields of an account as it is: what is sealed there stays where nothing is typed. Raises
        ``InvalidCloudField``.
        """
        fields, kept = self.fields(mode), kept or {}
        stays = {it.name: kept[it.name] for it in fields if it.is_sealed and it.name in kept}
        values, problems = checked(fields, self.prefill(mode, said), stays)
        typed = {it.name for it in fields if it.is_secret and it.name in values}
        values = stays | values
        if kept and any(it.aims_secrets and values.get(it.name) != kept.get(it.name) for it in fields):
            left_empty = (it.name for it in fields if it.is_secret and it.name in stays and it.name not in typed)
            wrong = {problem.name for problem in problems}
            problems += [InvalidCloudField(name, "again") for name in left_empty if name not in wrong]
        if problems:
            raise InvalidCloudField.of(problems)
        return values | self.derive(mode, values), typed
