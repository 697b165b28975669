"""Words about cloud accounts: what each field is, what can be wrong with it, and how an account is connected."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _

from provider.vault.fields import CloudField, InvalidCloudField
from provider.vault.presets import PRESETS
from provider.vault.providers import CloudProvider
from provider.vault.providers.cloud import Mode


@dataclass(frozen=True, slots=True)
class FieldWords:
    """``hint`` says where the value is found, empty where the label says enough."""

    label: str
    hint: str = ""


def of_field(cloud: CloudProvider, field: CloudField) -> FieldWords:
    """The words of a field, those of its cloud before those that several clouds share."""
    return _of_clouds().get((cloud.name, field.name)) or _shared()[field.name]


def of_cloud(cloud: CloudProvider) -> str:
    """Its name, which is the same in every language but for what has none."""
    return str(_("Another service")) if cloud.name == "other" else cloud.title


def within_a_sentence(cloud: CloudProvider) -> str:
    """The same where it does not begin one."""
    return str(_("the other service")) if cloud.name == "other" else cloud.title


def of_mode(mode: Mode) -> str:
    return str({"keyless": _("Without a secret"), "secret": _("With a secret")}[mode])


def of_choice(value: str) -> str:
    """What a value is called that can be chosen in a field. Names of standards stand for themselves."""
    named = {
        "user-and-label": _("My account and this name"),
        "user": _("My account alone"),
        "token-exchange": _("Token exchange (RFC 8693)"),
        "jwt-bearer": _("JWT bearer grant (RFC 7523)"),
        "vault-jwt": _("JWT login of Vault and OpenBao"),
        "aws-sts": _("AssumeRoleWithWebIdentity (MinIO and others)"),
    }
    preset = PRESETS.get(value)
    return preset.title if preset is not None else str(named.get(value, value))


def of_label() -> str:
    return str(_("Use small letters, digits and hyphens, at most 63, such as “work” or “aws-2”."))


def changed_meanwhile() -> str:
    return str(_("This cloud account was changed in another window. Look at what is there now, then do it once more."))


def unreadable() -> str:
    return str(_("What is kept of this cloud account can't be read any more. Enter its secret again."))


def of_problem(problem: InvalidCloudField) -> str:
    """What is wrong with a field, and what would be right."""
    if problem.reason == "parameters":
        wanted = " ".join(f"{name}=…" for name in problem.wanted)
        return str(_("This service wants these here, each with its value: %(wanted)s", wanted=wanted))
    return str(_reasons()[problem.reason])


def _shared() -> dict[str, FieldWords]:
    return {
        "access_key_id": FieldWords(_("Access key ID")),
        "secret_access_key": FieldWords(
            _("Secret access key"), _("It was shown once, beside the access key ID. It has 40 characters.")
        ),
        "access_key_secret": FieldWords(_("Access key secret"), _("It was shown once, beside the access key ID.")),
        "region": FieldWords(_("Region")),
        "account_id": FieldWords(_("Account ID")),
        "role_arn": FieldWords(_("ARN of the role"), _("The role that you have made in the first step.")),
        "oidc_provider_arn": FieldWords(
            _("ARN of the identity provider"), _("The identity provider that you have made in the first step.")
        ),
        "audience": FieldWords(_("Audience"), _("Who our token is for. Leave it empty for the usual one.")),
        "session_seconds": FieldWords(
            _("How long credentials work, in seconds"), _("No longer than the role allows. An hour if left empty.")
        ),
        "endpoint": FieldWords(
            _("Address of the service"), _("Where the cloud is asked. Leave it empty for the usual one.")
        ),
        "tenant_id": FieldWords(
            _("Tenant ID"), _("The overview of Microsoft Entra ID shows it as “Directory (tenant) ID”.")
        ),
        "client_id": FieldWords(_("Client ID")),
        "client_secret": FieldWords(_("Client secret"), _("Its value, which was shown once, not its ID.")),
        "subscription_id": FieldWords(_("Subscription ID")),
        "scope": FieldWords(_("Scope"), _("What the credentials are for. Leave it empty for the usual one.")),
        "service_account_json": FieldWords(
            _("Service account key (JSON)"), _("The whole content of the file that Google Cloud gave you.")
        ),
        "provider": FieldWords(
            _("Workload identity provider"),
            _("The full resource name of the provider that you have made in the first step."),
        ),
        "service_account": FieldWords(
            _("E-mail address of the service account"), _("Leave it empty to get access as the principal itself.")
        ),
        "project_id": FieldWords(_("Project ID")),
        "tenancy_ocid": FieldWords(_("OCID of the tenancy")),
        "user_ocid": FieldWords(_("OCID of the user")),
        "fingerprint": FieldWords(_("Fingerprint of the key"), _("The list of API keys in your profile shows it.")),
        "private_key": FieldWords(
            _("Private key (PEM)"), _("The whole content of the file, from BEGIN to END, without a pass phrase.")
        ),
        "domain_url": FieldWords(
            _("Address of the identity domain"), _("The page of the domain shows it as “Domain URL”.")
        ),
        "api_key": FieldWords(_("API key"), _("It was shown once, when it was made.")),
        "access_key": FieldWords(_("Access key"), _("A name or an id, if there is one.")),
        "secret_key": FieldWords(_("Secret")),
        "config_json": FieldWords(_("Configuration (JSON)"), _("What else a program needs. It is kept as a secret.")),
        "protocol": FieldWords(_("How tokens are exchanged")),
        "algorithm": FieldWords(_("Signature algorithm"), _("RS256, unless the service asks for another.")),
        "subject": FieldWords(
            _("Subject"), _("With the name of the account in it, each account has a subject of its own.")
        ),
        "role": FieldWords(_("Role"), _("The name of the role that trusts our tokens.")),
        "preset": FieldWords(
            _("Service"), _("If it is one of these, what is known of it is filled in where you leave a field empty.")
        ),
        "parameters": FieldWords(
            _("More parameters"), _("What the service wants beside the token: name=value, with a blank between two.")
        ),
    }


def _of_clouds() -> dict[tuple[str, str], FieldWords]:
    return {
        ("azure", "client_id"): FieldWords(
            _("Client ID"), _("The app registration shows it as “Application (client) ID”.")
        ),
        ("oracle", "client_id"): FieldWords(
            _("Client ID of the application"), _("Of the application in the identity domain that may exchange tokens.")
        ),
        ("oracle", "client_secret"): FieldWords(_("Client secret of the application")),
        ("other", "endpoint"): FieldWords(_("Address"), _("It begins with https://.")),
        ("other", "audience"): FieldWords(_("Audience"), _("Who our token is for, as the service wants it.")),
        ("other", "scope"): FieldWords(_("Scope"), _("What the credentials are for, if the service asks for it.")),
    }


def _reasons() -> dict[str, str]:
    return {
        "missing": _("Fill this in."),
        "unknown": _("There is no such field here."),
        "choice": _("Choose one of these."),
        "too_long": _("This is too long. Paste only what belongs here."),
        "form": _("This doesn't look right. Copy it once more as a whole, and nothing else with it."),
        "again": _("Enter it again too: with this change it would go somewhere else."),
        "temporary_key": _("This key ends within hours. Use one that lasts, or connect without a secret."),
        "secret_id": _("This looks like the ID of the secret. Paste its value."),
        "not_json": _("This is not valid JSON. Paste the whole file as you got it."),
        "not_a_service_account": _("This is JSON, but not the key of a service account."),
        "token_uri": _(
            "This key would be used at a server that is not Google's. Use the file that Google Cloud gave you."
        ),
        "private_key": _("The private key can't be read. Paste it as a whole, from BEGIN to END."),
        "encrypted_key": _("This key is protected by a pass phrase. Use one without."),
        "fingerprint": _("This is the fingerprint of another key than the one below."),
        "not_https": _("The address has to begin with https://."),
        "issuer_url": _("This means this service itself. Enter what the cloud expects."),
        "another_cloud": _("This is what another cloud expects. Enter what this one does."),
    }
