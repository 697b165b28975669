"""A secrets service that keeps the key to our keys: the Transit engine of HashiCorp Vault and OpenBao, through ``hvac``.

It is asked at the start, when the ring grows and when a new key is wanted, never for a row and never in a transaction
(decision 32). ``hvac`` is an extra (``mcp-core[transit]``) and imported where a service is set, and nowhere else.
"""

from __future__ import annotations

import base64
import io
import ssl
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from provider.settings import Settings
from provider.start.key_texts import KeyFilesError, Unwrap, no_service

if TYPE_CHECKING:
    import hvac
    import requests

SECONDS = 5.0
PAUSES = (0.5, 2.0)  # what passes may pass: three attempts, half a minute at most
MOST_TOKEN_BYTES = 8192
MOST_ANSWER_BYTES = 65_536
NEW_KEY_BITS = 256


class TransitFailed(KeyFilesError):
    """The service did not do it. The text says what to look at, and shows neither token nor key."""


@dataclass(frozen=True)
class TransitKey:
    """One key of a service: ``https://host:8200/v1/<mount>/keys/<name>``, its address in the API, in its parts.

    ``namespace`` is the one of its tenant, where the service has several.
    """

    server: str
    mount: str
    name: str
    namespace: str = ""

    @classmethod
    def at(cls, url: str, namespace: str = "") -> TransitKey:
        parts = urlsplit(url)
        mount, _, name = parts.path.removeprefix("/v1/").rpartition("/keys/")
        return cls(f"{parts.scheme}://{parts.netloc}", mount, name, namespace)


class Transit:
    """``token_file`` is read each time, since who renews a token writes it anew. ``ca_file`` has authorities besides the
    system's.
    """

    def __init__(
        self,
        key: TransitKey,
        token_file: Path,
        ca_file: Path | None = None,
        *,
        seconds: float = SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = key
        self._token_file = token_file
        self._ca_file = ca_file
        self._seconds = seconds
        self._sleep = sleep

    def unwrap(self, wrapped: str) -> bytes:
        """The key that ``wrapped`` (``vault:v1:…``) is. Raises ``TransitFailed``."""
        engine = self._engine()
        answer = self._asked(
            lambda: engine.decrypt_data(self._key.name, ciphertext=wrapped, mount_point=self._key.mount)
        )
        try:
            return base64.b64decode(answer["data"]["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise self._failure("answered with something else than a key") from None

    def new_wrapped_key(self) -> str:
        """A new key as the service has wrapped it. Its plaintext is not even asked for. Raises ``TransitFailed``."""
        engine = self._engine()
        answer = self._asked(
            lambda: engine.generate_data_key(
                self._key.name, key_type="wrapped", bits=NEW_KEY_BITS, mount_point=self._key.mount
            )
        )
        wrapped = answer["data"].get("ciphertext") if isinstance(answer.get("data"), dict) else None
        if not isinstance(wrapped, str) or not wrapped.startswith("vault:v") or not wrapped.isascii():
            raise self._failure("answered with something else than a wrapped key")
        return wrapped

    def _engine(self) -> Any:
        return self._client().secrets.transit

    def _client(self) -> hvac.Client:
        try:
            import hvac
        except ImportError:
            raise TransitFailed("needs the package hvac: pip install 'mcp-core[transit]'") from None
        import requests
        from requests.adapters import HTTPAdapter

        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)

        transit = self

        class Adapter(HTTPAdapter):
            def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
                super().init_poolmanager(*arguments, **named, ssl_context=context)

            def send(self, *arguments: Any, **named: Any) -> requests.Response:
                response = super().send(*arguments, **named)
                response.raw = io.BytesIO(transit._body(response))
                return response

        session = requests.Session()
        session.trust_env = False  # neither a proxy nor a .netrc of the environment has to do with this
        session.headers["Accept-Encoding"] = "identity"
        for scheme in ("https://", "http://"):
            session.mount(scheme, Adapter())
        return hvac.Client(
            self._key.server,
            self._token(),
            timeout=self._seconds,
            session=session,
            allow_redirects=False,
            strict_http=True,
            namespace=self._key.namespace or None,
        )

    def _body(self, response: requests.Response) -> bytes:
        """All of an answer, which has an end in bytes and in time: time-outs of sockets begin anew with every byte."""
        body, deadline = b"", time.monotonic() + self._seconds
        while part := response.raw.read1(MOST_ANSWER_BYTES, decode_content=False):
            body += part
            if len(body) > MOST_ANSWER_BYTES:
                response.close()
                raise self._failure(f"answers with more than {MOST_ANSWER_BYTES} bytes")
            if time.monotonic() > deadline:
                response.close()
                raise self._failure("answers too slowly")
        return body

    def _token(self) -> str:
        path = self._token_file
        try:
            with path.open("rb") as file:
                text = file.read(MOST_TOKEN_BYTES).decode("ascii").strip()
            if path.stat().st_mode & stat.S_IRWXO:
                raise TransitFailed(f"has its token in a file that everybody can read. Close it: chmod o= {path}")
        except OSError as error:
            raise TransitFailed(f"has no token: {path} can't be read ({error.strerror})") from None
        except UnicodeDecodeError:
            text = ""
        if not text or any(c <= " " for c in text):
            raise TransitFailed(f"has no token: {path} does not hold one")
        return text

    def _asked(self, ask: Callable[[], Any]) -> dict[str, Any]:
        """The answer, after three attempts at most where a later one may do better."""
        import requests
        from hvac import exceptions

        for pause in (*PAUSES, None):
            try:
                answer = ask()
            except exceptions.Forbidden:
                raise self._failure("refuses the token, or its policy does not allow this key") from None
            except (exceptions.InvalidPath, exceptions.InvalidRequest):
                raise self._failure("does not open this, or has no such key any more") from None
            except requests.exceptions.SSLError:
                raise self._failure("has a certificate that is not trusted here (MCP_OUTBOUND_CA_FILE)") from None
            except (exceptions.VaultError, requests.exceptions.RequestException) as error:
                if pause is None:
                    problem = "is sealed or not ready" if isinstance(error, exceptions.VaultDown) else "does not answer"
                    raise self._failure(f"{problem} ({type(error).__name__})") from None
                self._sleep(pause)
                continue
            if not isinstance(answer, dict):
                raise self._failure("answered with something else than JSON")
            return answer
        raise AssertionError("the last attempt returns or raises")

    def _failure(self, what: str) -> TransitFailed:
        return TransitFailed(f"cannot be had from the secrets service: {self._key.server} {what}")


def transit_of(settings: Settings) -> Transit | None:
    """The service of the settings."""
    if not settings.transit_url or settings.transit_token_file is None:
        return None
    key = TransitKey.at(settings.transit_url, settings.transit_namespace)
    return Transit(key, settings.transit_token_file, settings.outbound_ca_file)


def unwrap_of(transit: Transit | None) -> Unwrap:
    return no_service if transit is None else transit.unwrap
