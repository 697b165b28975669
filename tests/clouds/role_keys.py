"""Clouds that give the keys of a role: the Security Token Services of AWS and of Alibaba, as each documents its call.

AWS, "AssumeRoleWithWebIdentity"; Alibaba Cloud, "AssumeRoleWithOIDC" and "Error codes" of STS 2015-04-01.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar
from xml.sax.saxutils import escape

from tests.clouds.strict_cloud import Refused, StrictCloud
from tests.clouds.trust import Fault

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class AwsSts(StrictCloud):
    """A role that is not there and one that does not trust the subject are one answer, as with AWS."""

    content_type = "text/xml"
    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("InvalidIdentityToken", "The ID Token provided is not a valid JWT."),
        Fault.ISSUER: ("InvalidIdentityToken", "No OpenIDConnect provider found in your account for {iss}"),
        Fault.UNREACHABLE: (
            "IDPCommunicationError",
            "Couldn't retrieve verification key from your identity provider",
        ),
        Fault.SIGNATURE: ("InvalidIdentityToken", "Provided Token's signature could not be verified."),
        Fault.EXPIRED: (
            "ExpiredTokenException",
            "Token expired: current date/time must be before the expiration date/time",
        ),
        Fault.AUDIENCE: ("InvalidIdentityToken", "Incorrect token audience"),
        Fault.SUBJECT: ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    }

    @property
    def keys(self) -> list[str]:
        """The ids of all that were given."""
        return [f"ASIA{number:016}" for number in range(len(self.given))]

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        call = (asked.get("Action"), asked.get("Version"))
        self.expect(call == ("AssumeRoleWithWebIdentity", "2011-06-15"), ("InvalidAction", "Could not find operation"))
        seconds = int(asked.get("DurationSeconds", "3600"))
        is_bounded = 900 <= seconds <= 43_200 and 2 <= len(asked["RoleSessionName"]) <= 64
        self.expect(is_bounded, ("ValidationError", "1 validation error detected"))
        claims = self.trust.claims_of(asked["WebIdentityToken"])
        self.expect(asked["RoleArn"] == self.said["role_arn"], self.refusals[Fault.SUBJECT])
        self.given.append(claims["sub"])
        key = self.keys[-1]
        until = self.trust.now + datetime.timedelta(seconds=seconds)
        found = {
            "AccessKeyId": key,
            "SecretAccessKey": f"secret-of-{key}",
            "SessionToken": f"session-of-{key}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        values = "".join(f"<{name}>{value}</{name}>" for name, value in found.items())
        name = "AssumeRoleWithWebIdentity"
        subject = f"<SubjectFromWebIdentityToken>{escape(claims['sub'])}</SubjectFromWebIdentityToken>"
        result = f"<{name}Result>{subject}<Credentials>{values}</Credentials></{name}Result>"
        return f'<{name}Response xmlns="{NAMESPACE}">{result}</{name}Response>'

    def refused(self, words: Any) -> Refused:
        code, message = words
        error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
        said = f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type>{error}</Error></ErrorResponse>'
        return Refused(403 if code == "AccessDenied" else 400, said)


class AlibabaSts(StrictCloud):
    """Its documents have no answer of their own for another issuer: the provider that is asked for is not there then."""

    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("AuthenticationFail.OIDCToken.Invalid", "The Jwt content is invalid that cannot be recognized."),
        Fault.ISSUER: ("AuthenticationFail.NoPermission", "No such OIDC Provider registered."),
        Fault.UNREACHABLE: (
            "AuthenticationFail.OIDCToken.HttpsUrlInvalid",
            "Invoke url failed due to certificate chain validation",
        ),
        Fault.SIGNATURE: (
            "AuthenticationFail.OIDCToken.InvalidSignature",
            "OIDC token validate failed: invalid signature.",
        ),
        Fault.EXPIRED: ("AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired."),
        Fault.AUDIENCE: ("AuthenticationFail.OIDCToken.AudienceNotMatch", "Invalid audience."),
        Fault.SUBJECT: ("AuthenticationFail.NoPermission", "There is no permission"),
    }

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        call = (asked.get("Action"), asked.get("Version"), asked.get("Format"))
        self.expect(call == ("AssumeRoleWithOIDC", "2015-04-01", "JSON"), ("InvalidAction", "No such operation"))
        sent = datetime.datetime.fromisoformat(asked["Timestamp"])
        is_late = abs(self.trust.clock() - sent) > datetime.timedelta(minutes=15)
        self.expect(not is_late, ("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."))
        seconds = int(asked.get("DurationSeconds", "3600"))
        self.expect(900 <= seconds <= 43_200, ("InvalidParameter.DurationSeconds", "The value is out of range."))
        self.expect(2 <= len(asked["RoleSessionName"]) <= 64, ("InvalidParameter.RoleSessionName", "Wrongly formed."))
        is_known = asked["OIDCProviderArn"] == self.said["oidc_provider_arn"]
        self.expect(is_known, self.refusals[Fault.ISSUER])
        claims = self.trust.claims_of(asked["OIDCToken"])
        is_there = asked["RoleArn"] == self.said["role_arn"]
        self.expect(is_there, ("EntityNotExist.Role", "The specified Role not exists."))
        key = f"STS.{len(self.given):020}"
        self.given.append(claims["sub"])
        until = self.trust.now + datetime.timedelta(seconds=seconds)
        return {
            "RequestId": "0",
            "OIDCTokenInfo": {"Subject": claims["sub"], "Issuer": claims["iss"], "ClientIds": claims["aud"]},
            "AssumedRoleUser": {"Arn": f"{asked['RoleArn']}/{asked['RoleSessionName']}", "AssumedRoleId": "1"},
            "Credentials": {
                "AccessKeyId": key,
                "AccessKeySecret": f"secret-of-{key}",
                "SecurityToken": f"session-of-{key}",
                "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }

    def refused(self, words: Any) -> Refused:
        code, message = words
        status = {"AuthenticationFail": 401, "EntityNotExist": 404}.get(code.partition(".")[0], 400)
        return Refused(status, {"RequestId": "0", "HostId": "sts.aliyuncs.com", "Code": code, "Message": message})
