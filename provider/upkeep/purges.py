"""What goes by itself once it is over, or is due: one list, for the server that sweeps and for ``mcp-core cleanup``."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from database.transaction import Transaction
from provider.accounts import reserved_names
from provider.services import Services

# Deletes at most so many rows that are over at that time, found by an index, and returns how many.
Purge = Callable[[Transaction, datetime.datetime, int], int]


def purges(services: Services) -> dict[str, Purge]:
    """By the name under which ``cleanup`` counts them. What others wait for goes before those."""
    return {
        "authorization_codes": services.codes.purge,
        "authorization_requests": services.authorization_requests.purge,
        "refresh_tokens": services.refresh_tokens.purge,
        "issued_tokens": services.token_verifier.purge,
        "login_attempts": services.login.purge,
        "rate_counters": services.rate_limits.purge,
        "user_sessions": services.sessions.purge,
        "signing_keys": services.signing_keys.purge,
        "pushed_requests": services.pushed_requests.purge,
        "logout_notices": services.logout_notices.purge,
        "mail_messages": services.mail.purge,
        "remembered_devices": services.remembered_devices.purge,
        "replay_guard": services.replay.purge,
        "setup_links": services.setup_links.purge,
        "password_reset_tokens": services.reset_links.purge,
        "reset_requests": services.forgotten_passwords.purge,
        "email_changes": services.address_changes.purge,
        "reserved_names": reserved_names.purge,
        "second_factor_waits": services.second_factor_waits.purge,
        "letters_about_waits": services.second_factor_waits.remind,
        "email_verification_tokens": services.confirmations.purge,
        "unconfirmed_users": services.confirmations.purge_unconfirmed,
        "invitations": services.invitations.purge,
        "grants": services.grants.purge,
        "consents": services.consents.purge,
        "unused_clients": services.unused_clients.purge,
        "surplus_clients": services.unused_clients.purge_surplus,
        "api_key_names": services.api_keys.renew_names,
        "username_skeletons": services.username_skeletons.fill,
        "data_exports": services.data_exports.purge,
        "data_exports_made": services.data_exports.make_due,
        "audit_records": services.activity.purge,
        "alert_links": services.alerts.purge,
        "held_alerts": services.alerts.tell_held,
        "closing_reminders": services.closing.remind,
        "closed_accounts": services.closing.purge,
        "api_key_letters": services.key_expiry.tell,
    }
