"""What people see: HTML views, one module for each subject, each with its folder of templates. ``ALL`` is the mount list.

Rules live in ``accounts`` and ``clients``; pages read forms, call services and choose words.
"""

from provider.pages import (
    account,
    api_keys,
    apps,
    consent,
    login,
    mailbox,
    preferences,
    reauthentication,
    second_factor,
    sessions,
    setup,
    sign_out,
    site,
)

ALL = tuple(
    module.pages
    for module in (
        setup,
        login,
        reauthentication,
        second_factor,
        sign_out,
        consent,
        account,
        sessions,
        apps,
        api_keys,
        preferences,
        mailbox,
        site,
    )
)
