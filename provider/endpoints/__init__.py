"""What applications call: JSON and redirects. ``ALL`` is the mount list.

An endpoint is a function of a ``ProtocolRequest`` and a ``Transaction``; it knows no web framework and no SQL. All of
``doors`` mount the same ones.
"""

from provider.endpoints import (
    authorize,
    cloud_accounts,
    discovery,
    health,
    introspect,
    jwks,
    logout,
    par,
    pictures,
    register,
    revoke,
    self_service,
    token,
    userinfo,
)

ALL = (
    token.mount,
    jwks.mount,
    discovery.mount,
    health.mount,
    introspect.mount,
    revoke.mount,
    userinfo.mount,
    authorize.mount,
    par.mount,
    register.mount,
    logout.mount,
    pictures.mount,
    self_service.mount,
    cloud_accounts.mount,
)
