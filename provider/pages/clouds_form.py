"""The form of a cloud account: its fields as the page shows them, and what was typed into them.

A secret is taken and never sent back, neither what is kept nor what was just typed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from provider.pages import clouds_words
from provider.vault.fields import CloudField, InvalidCloudField
from provider.vault.providers import CloudProvider
from provider.web import forms


@dataclass(frozen=True, slots=True)
class FormField:
    """``is_usual``: it is as nearly everybody has it. ``is_lost``: a secret was typed, and has to be typed again.
    ``choices`` are values with their names, empty for a field that is typed into."""

    name: str
    label: str
    hint: str
    example: str
    value: str
    is_lost: bool
    is_multiline: bool
    is_required: bool
    is_advanced: bool
    is_usual: bool
    choices: Sequence[tuple[str, str]]


def fields_of(
    cloud: CloudProvider, fields: Sequence[CloudField], values: Mapping[str, str], kept: Collection[str] = ()
) -> list[FormField]:
    """``values`` is what the fields begin with. Those in ``kept`` have a value that is not shown, and may stay empty."""
    return [_field(cloud, field, values.get(field.name, ""), is_kept=field.name in kept) for field in fields]


def typed(fields: Sequence[CloudField]) -> dict[str, str]:
    """What was typed into each, with the line ends of other systems than a browser."""
    return {field.name: forms.secret(field.name).replace("\r\n", "\n") for field in fields}


def unseen(fields: Sequence[CloudField], said: Mapping[str, str]) -> dict[str, str]:
    """Of what was typed, the values of fields that no page shows what is kept of."""
    return {field.name: said[field.name] for field in fields if field.is_sealed and said.get(field.name)}


def add(problems: forms.Problems, problem: InvalidCloudField) -> None:
    """Says at its field what is wrong with it, and with the others."""
    for one in (problem, *problem.also):
        problems.add(one.name, clouds_words.of_problem(one))


def _field(cloud: CloudProvider, field: CloudField, value: str, *, is_kept: bool) -> FormField:
    words = clouds_words.of_field(cloud, field)
    return FormField(
        name=field.name,
        label=words.label,
        hint=str(_("Leave it empty to keep what is there.")) if is_kept else words.hint,
        example="" if is_kept else field.example,
        value="" if field.is_secret else value if is_kept else value or field.default,
        is_lost=field.is_secret and value != "",
        is_multiline=field.is_multiline,
        is_required=field.is_required and not is_kept,
        is_advanced=field.is_advanced,
        is_usual=value in ("", field.default),
        choices=_choices(field),
    )


def _choices(field: CloudField) -> list[tuple[str, str]]:
    """Where nothing has to be chosen, that stands first."""
    named = [(choice, clouds_words.of_choice(choice)) for choice in field.choices]
    is_free = bool(named) and not field.is_required and not field.default
    return [("", str(_("None of these"))), *named] if is_free else named
