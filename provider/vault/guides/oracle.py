"""Oracle Cloud: an identity propagation trust of an identity domain, which lets one subject act as a service user.

OCI IAM, "Token Exchange Grant Type: Exchanging a JSON Web Token for a UPST".
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, command, hcl, json_text

_SCHEMA = "urn:ietf:params:scim:schemas:oracle:idcs:IdentityPropagationTrust"
_DOMAIN, _CLIENT, _USER = "DOMAIN_URL", "CLIENT_ID", "SERVICE_USER_ID"


def guide(trust: Trust) -> Sequence[TrustText]:
    domain = trust.said.get("domain_url", _DOMAIN)
    keys, rule = f"{trust.issuer}/jwks", f"sub eq {trust.subject}"
    wanted = {
        "schemas": [_SCHEMA],
        "name": trust.name,
        "type": "JWT",
        "issuer": trust.issuer,
        "publicKeyEndpoint": keys,
        "clientClaimName": "aud",
        "clientClaimValues": [trust.audience],
        "oauthClients": [_CLIENT],
        "active": True,
        "allowImpersonation": True,
        "subjectType": "User",
        "impersonationServiceUsers": [{"rule": rule, "value": _USER}],
    }
    sent = command(
        'curl -H "Authorization: Bearer $ADMIN_TOKEN"',
        "-H 'Content-Type: application/json'",
        "--data @trust.json",
        quote(f"{domain}/admin/v1/IdentityPropagationTrusts"),
    )
    lines = (
        'resource "oci_identity_domains_identity_propagation_trust" "mcp_core" {',
        f"  idcs_endpoint       = {hcl(domain)}",
        f"  schemas             = [{hcl(_SCHEMA)}]",
        f"  name                = {hcl(trust.name)}",
        '  type                = "JWT"',
        f"  issuer              = {hcl(trust.issuer)}",
        f"  public_key_endpoint = {hcl(keys)}",
        '  client_claim_name   = "aud"',
        f"  client_claim_values = [{hcl(trust.audience)}]",
        f"  oauth_clients       = [{hcl(_CLIENT)}]",
        "  active              = true",
        "  allow_impersonation = true",
        '  subject_type        = "User"',
        "  impersonation_service_users {",
        f"    rule  = {hcl(rule)}",
        f"    value = {hcl(_USER)}",
        "  }",
        "}",
    )
    return (
        TrustText(Kind.POLICY, json_text(wanted)),
        TrustText(Kind.COMMANDS, sent),
        TrustText(Kind.TERRAFORM, "\n".join(lines)),
    )
