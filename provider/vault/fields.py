"""What a cloud wants to know of an account, as fields that check themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

# The columns of ``cloud_accounts`` that have names of their own. ``users`` has the same ones with ``cloud_`` before them.
SEALED_COLUMNS = ("access_key", "secret_key", "config_json")
PLAIN_COLUMNS = ("account_id", "region", "tenant_id", "project_id")
MAX_BYTES = 16_384

# Every reason that ``InvalidCloudField`` can have. Pages have words for each.
REASONS = (
    "missing",
    "unknown",  # a field, or a cloud, that there is not
    "too_long",
    "form",
    "choice",  # none of what there is to choose from
    "again",  # a kept secret has to be typed again, since where it goes is another place
    "temporary_key",  # ends by itself, with a session token beside it
    "secret_id",  # the id of a client secret where its value is wanted
    "not_json",
    "not_a_service_account",
    "token_uri",  # a service account whose key would be used at a server that is not Google's
    "private_key",  # no private RSA key, or one that is damaged, too short or too long
    "encrypted_key",
    "fingerprint",  # of another key
    "not_https",
    "issuer_url",  # an audience that means this server, or an API or application of it
    "another_cloud",  # the audience of another cloud
    "parameters",  # the service wants some that are not there
)


class InvalidCloudField(ValueError):
    """A field is missing, unknown or wrong. ``name`` is the field, ``reason`` one of ``REASONS``.

    ``also`` are the other wrong fields of the same form, ``wanted`` the names of what the field has to say.
    """

    def __init__(
        self, name: str, reason: str, also: Sequence[InvalidCloudField] = (), *, wanted: Sequence[str] = ()
    ) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.also = tuple(also)
        self.wanted = tuple(wanted)

    @classmethod
    def of(cls, problems: Sequence[InvalidCloudField]) -> InvalidCloudField:
        """The first of several, with the others."""
        first, *others = problems
        return cls(first.name, first.reason, others, wanted=first.wanted)


@dataclass(frozen=True, slots=True)
class CloudField:
    """One field. ``column`` is where it is kept: a named column, or None for an entry of ``options`` under its own name.

    ``check`` returns the normal form of what was typed, or raises ``ValueError`` with the reason. What ``is_secret`` is
    never shown again. ``default`` is kept where nothing was typed; ``example`` is shown beside the field, never taken for
    a value. ``choices`` are all the values there are, if they can be listed. ``is_advanced``: few people change it.
    ``aims_secrets``: where this is another value, kept secrets would go elsewhere or belong to somebody else, and have to
    be typed again. Otherwise whoever is in an account could have its secrets sent to a server of their own.
    """

    name: str
    check: Callable[[str], str]
    column: str | None = None
    is_secret: bool = False
    is_required: bool = True
    is_multiline: bool = False
    example: str = ""
    default: str = ""
    choices: Sequence[str] = ()
    is_advanced: bool = False
    aims_secrets: bool = False

    @property
    def is_sealed(self) -> bool:
        return self.column in SEALED_COLUMNS


def checked(
    fields: Sequence[CloudField], said: Mapping[str, str], kept: Collection[str] = ()
) -> tuple[dict[str, str], list[InvalidCloudField]]:
    """The normal form of every field that was said, and what is wrong, in the order of the fields.

    A field of ``kept`` has a value already: empty, it stays as it is, and is not among the values. Unknown names are wrong.
    """
    values: dict[str, str] = {}
    problems = []
    for field in fields:
        text = said.get(field.name, "")
        if not text.strip():
            if field.name in kept:
                continue
            if field.default:
                values[field.name] = field.default
            elif field.is_required:
                problems.append(InvalidCloudField(field.name, "missing"))
            continue
        try:
            values[field.name] = _normal(field, text)
        except ValueError as error:
            problems.append(InvalidCloudField(field.name, str(error)))
    unknown = sorted(said.keys() - {field.name for field in fields})
    return values, [*problems, *(InvalidCloudField(name, "unknown") for name in unknown)]


def _normal(field: CloudField, text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("form") from None
    if size > MAX_BYTES:
        raise ValueError("too_long")
    return field.check(text)
