"""What people see: HTML views, one module for each subject, each with its folder of templates. ``ALL`` is the mount list.

Rules live in ``accounts`` and ``clients``; pages read forms, call services and choose words.
"""

from provider.pages import (
    account,
    activity,
    api_keys,
    apps,
    confirmation,
    consent,
    email,
    forgot,
    invitation,
    key_rotation,
    lock_down,
    login,
    mailbox,
    members_only,
    passkeys,
    password,
    picture,
    preferences,
    profile,
    reauthentication,
    second_factor,
    second_factor_wait,
    sessions,
    setup,
    sign_out,
    sign_up,
    site,
    username,
)

ALL = tuple(
    module.pages
    for module in (
        setup,
        sign_up,
        confirmation,
        invitation,
        login,
        forgot,
        second_factor_wait,
        reauthentication,
        second_factor,
        passkeys,
        sign_out,
        consent,
        members_only,
        account,
        sessions,
        apps,
        api_keys,
        password,
        email,
        username,
        key_rotation,
        profile,
        picture,
        preferences,
        mailbox,
        activity,
        lock_down,
        site,
    )
)
