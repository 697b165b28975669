"""One class for each ``grant_type``, on Authlib's core. ``ALL`` is what is switched on.

A grant proves an ``Authorization`` and has the issuer make tokens of it. Only the token endpoint calls grants.
"""

from provider.grants.authorization_code import AuthorizationCodeGrant
from provider.grants.client_credentials import ClientCredentialsGrant
from provider.grants.refresh_token import RefreshTokenGrant

ALL = (AuthorizationCodeGrant, RefreshTokenGrant, ClientCredentialsGrant)
