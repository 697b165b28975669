"""Schemes of URIs that browsers and operating systems act on by themselves, and that no application can have to itself.

From IANA's registry of URI schemes, from the list of schemes for which any web site may offer itself
(``registerProtocolHandler`` of HTML), and from what browsers and systems have beside them.
"""

from __future__ import annotations

# Run or show what stands behind the colon.
SCRIPT_SCHEMES = frozenset({"javascript", "data", "vbscript", "file", "blob", "about"})
_OF_BROWSERS = frozenset(
    (
        *("http", "https", "ws", "wss", "ftp", "ftps", "sftp", "gopher", "view-source", "filesystem", "feed", "jar"),
        *("chrome", "devtools", "edge", "brave", "opera", "vivaldi", "firefox", "safari", "resource", "wyciwyg"),
        *("livescript", "mocha", "mhtml", "mk", "res", "cid", "mid", "isolated-app", "microsoft-edge", "googlechrome"),
    )
)
_OF_SYSTEMS = frozenset(
    (
        *(
            "mailto",
            "tel",
            "sms",
            "smsto",
            "mms",
            "mmsto",
            "callto",
            "facetime",
            "sip",
            "sips",
            "xmpp",
            "im",
            "imap",
            "pop",
        ),
        *(
            "intent",
            "android-app",
            "market",
            "geo",
            "maps",
            "prefs",
            "app-prefs",
            "shortcuts",
            "help",
            "search",
            "shell",
        ),
        *("itms", "webcal", "webcals", "news", "nntp", "snews", "irc", "ircs", "irc6", "matrix", "mumble", "magnet"),
        *(
            "ssh",
            "telnet",
            "rlogin",
            "tn3270",
            "vnc",
            "rdp",
            "smb",
            "nfs",
            "afp",
            "cifs",
            "dav",
            "davs",
            "ldap",
            "ldaps",
        ),
        *("rtsp", "rtsps", "rtmp", "bitcoin", "ethereum", "otpauth", "openpgp4fpr", "wtai", "payto", "upi", "wifi"),
        *("windowsdefender", "calculator", "bingmaps", "onecmd", "applescript", "x-man-page", "x-help-script", "man"),
    )
)
# Names of things, which lead nowhere; and what is left of an address whose scheme was forgotten.
_NO_SCHEMES = frozenset({"urn", "tag", "info", "doi", "ni", "did", "localhost"})
_TAKEN = SCRIPT_SCHEMES | _OF_BROWSERS | _OF_SYSTEMS | _NO_SCHEMES
_TAKEN_FAMILIES = (
    "ms-",
    "web+",
    "chrome-",
    "moz-",
    "safari-",
    "view-source",
    "facetime-",
    "itms-",
    "search-",
    "x-apple-",
)


def is_taken(scheme: str) -> bool:
    """Whether ``scheme``, in lower case, can't be an application's own. A single letter is a drive of Windows."""
    return len(scheme) < 2 or scheme in _TAKEN or scheme.startswith(_TAKEN_FAMILIES)
