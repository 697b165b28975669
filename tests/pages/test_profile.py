"""The profile page and the picture: what is typed is kept or refused in words, and no file is served as it was sent."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from database.models import AuditRecord, UserPicture
from database.transaction import Transaction
from provider.accounts import pictures
from provider.accounts.pictures import MAX_BYTES, NoPicture, PictureReader, PicturesBusy, PictureTooLarge, made_anew
from provider.protocol.profile import FIELDS
from tests.browser import Page
from tests.pages.site import ORIGIN, OURS, Account, Site, Visitor

PROFILE, PICTURE = "/account/profile", "/account/profile/picture"
FILLED = {
    "display_name": "Ana M.", "given_name": "Ana", "middle_name": "Luz", "family_name": "Mora", "nickname": "ani",
    "birthdate": "1990-03-01", "gender": "female", "profile": "https://github.com/ana", "website": "https://ana.example",
    "phone_number": "+82 10-1234-5678", "street_address": "1 Main St\r\nFlat 2", "postal_code": "04524",
    "locality": "Seoul", "region": "Seoul", "country": "Korea",
}  # fmt: skip


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def save(visitor: Visitor, fields: dict[str, str]) -> Page:
    """Fills the form in as it is shown now."""
    visitor.get(PROFILE)
    return visitor.post(PROFILE, fields)


def fields_of(site: Site, account: Account) -> dict[str, str | None]:
    with Transaction(site.engine) as tx:
        return dict(site.services.profiles.get(tx, account.user.id).fields)


def upload(visitor: Visitor, content: bytes, *, name: str = "me.png", token: str | None = None) -> Page:
    """Sends a file as a browser does."""
    sent = {"csrf_token": visitor.token() if token is None else token, "picture": (io.BytesIO(content), name)}
    visitor.answer = visitor.http.post(
        PICTURE, base_url=ORIGIN, headers={**OURS, "Accept-Language": visitor.language}, data=sent
    )
    headers = dict(visitor.answer.headers)
    visitor.page = Page(visitor.answer.status_code, PICTURE, headers, visitor.answer.text, [])
    visitor.answer.request.environ["wsgi.input"].close()
    visitor.answer.close()
    return visitor.page


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 200), mode: str = "RGB", **options: Any) -> bytes:
    made = io.BytesIO()
    Image.new(mode, size, 128 if mode in ("L", "P") else None).save(made, kind, **options)
    return made.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A small file of a picture that would fill the memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
        + chunk(b"IEND", b"")
    )


# The profile


def test_what_was_filled_in_is_there_and_nothing_else_is_written_down(site: Site, owner: Visitor, ana: Account) -> None:
    assert save(owner, FILLED).status == 303
    page = owner.follow()
    assert "Your profile is saved." in page.text
    shown = {it.get("name"): it.get("value") for it in owner.document.all("input")}
    kept = {**FILLED, "phone_number": "+821012345678"}
    assert {name: shown[name] for name in kept if name in shown} == {
        name: value for name, value in kept.items() if name not in ("gender", "street_address")
    }
    assert fields_of(site, ana) == {
        name: value.replace("\r", "") for name, value in kept.items() if name != "display_name"
    }
    with site.engine.connect() as connection:
        (record,) = connection.execute(
            select(AuditRecord.__table__.c.metadata).where(AuditRecord.action == "user.profile_changed")
        ).all()
    assert record[0] == {"changed": sorted(["display_name", *FIELDS])}, (
        "the names of fields, and nothing that is in them"
    )


def test_the_same_again_changes_nothing_and_an_empty_form_takes_all_back(
    site: Site, owner: Visitor, ana: Account
) -> None:
    save(owner, FILLED)
    before = site.rows()
    site.later(minutes=1)
    assert owner.post(PROFILE, FILLED).status == 303, "sent twice, though the page has another state by now"
    assert site.rows("users", "user_profiles", "user_audit_log") == {
        name: before[name] for name in ("users", "user_profiles", "user_audit_log")
    }
    save(owner, dict.fromkeys(FILLED, ""))
    assert set(fields_of(site, ana).values()) == {None}


BAD = {
    "display_name": ["a\x00b", "x" * 256, "x" * 65_000], "given_name": ["a\x00b", "x" * 101],
    "family_name": ["a\u202eb"], "middle_name": ["\u3164"], "nickname": ["two\nlines"],
    "birthdate": ["2027-01-01", "1990-02-30"], "gender": ["x"], "profile": ["javascript:alert(1)"],
    "website": ["JAVASCRIPT:alert(1)", "data:text/html,x"], "phone_number": ["010 1234"],
    "street_address": ["1\n2\n3\n4\n5"], "postal_code": ["x" * 33], "locality": ["x" * 101], "region": ["\ue000"],
    "country": ["a\x1bb"],
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_wrong_field_is_told_at_its_place_and_nothing_is_kept(site: Site, ana: Account, language: str) -> None:
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    token = visitor.token()
    for name, value in [(name, value) for name, values in BAD.items() for value in values]:
        page = visitor.post(PROFILE, {**FILLED, name: value}, token=token)
        assert page.status == 400, (name, value[:20])
        (mistake,) = [it for it in visitor.document.all("p") if it.get("class") == "mistake"]
        assert mistake.get("id") == f"{name}-mistake"
        assert visitor.document.by_id(name).get("aria-invalid") == "true"
        shown = {it.get("name"): it.get("value") for it in visitor.document.all("input")}
        assert shown["family_name"] == ("Mora" if name != "family_name" else value), "what was typed is still there"
    assert set(fields_of(site, ana).values()) == {None}


def test_every_field_has_its_bad_input() -> None:
    assert set(BAD) == {"display_name", *FIELDS}


def test_a_form_cannot_say_more_than_its_fields(site: Site, owner: Visitor, ana: Account) -> None:
    save(owner, {**FILLED, "is_admin": "1", "id": "x", "user_id": "x", "email": "evil@example.com"})
    with Transaction(site.engine) as tx:
        user = site.services.users.find(tx, ana.user.id)
    assert user is not None
    assert (user.is_admin, user.email, user.display_name) == (False, ana.user.email, "Ana M.")


def test_what_was_changed_in_another_window_is_not_overwritten_unseen(site: Site, owner: Visitor, ana: Account) -> None:
    other = Visitor(site)
    other.sign_in(ana)
    owner.get(PROFILE)
    assert save(other, {**FILLED, "nickname": "theirs"}).status == 303
    page = owner.post(PROFILE, {**FILLED, "nickname": "mine", "birthdate": "later"})
    assert page.status == 400, "a mistake is said first, and what was shown then counts still"
    page = owner.post(PROFILE, {**FILLED, "nickname": "mine"})
    assert (page.status, fields_of(site, ana)["nickname"]) == (400, "theirs")
    assert "Your profile was changed elsewhere meanwhile." in page.text
    shown = {it.get("name"): it.get("value") for it in owner.document.all("input")}
    assert shown["nickname"] == "mine", "what was typed is still there"
    assert owner.post(PROFILE, {**FILLED, "nickname": "mine"}).status == 303
    assert fields_of(site, ana)["nickname"] == "mine"


@pytest.mark.parametrize("shown", ["", "x", "0" * 64, "é" * 64, "0" * 65_000])
def test_what_names_nothing_that_was_shown_changes_nothing(
    site: Site, owner: Visitor, ana: Account, shown: str
) -> None:
    assert owner.post(PROFILE, {**FILLED, "shown": shown}).status == 400
    assert set(fields_of(site, ana).values()) == {None}


def test_a_new_picture_or_language_meanwhile_is_no_other_profile(site: Site, owner: Visitor, ana: Account) -> None:
    owner.get(PROFILE)
    with Transaction(site.engine) as tx:
        site.services.profiles.set_picture(tx, site.by, ana.user.id, b"x")
        site.services.users.set_locale(tx, site.now, ana.user.id, "ko")
    assert owner.post(PROFILE, FILLED).status == 303


# The picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_a_picture_is_made_anew_and_small(kind: str, mode: str) -> None:
    if mode in {"PNG": ("CMYK",), "JPEG": ("RGBA", "P"), "WEBP": ("CMYK", "L", "P")}[kind]:
        pytest.skip("there is no such file")
    made = Image.open(io.BytesIO(made_anew(picture(kind, mode=mode))))
    assert (made.format, made.size) == ("WEBP", (256, 256))
    assert made.mode == ("RGBA" if mode == "RGBA" else "RGB")


def test_nothing_that_a_camera_or_a_program_noted_is_kept() -> None:
    photo = Image.new("RGB", (400, 300), "red")
    exif = photo.getexif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    sent = io.BytesIO()
    photo.save(sent, "JPEG", exif=exif, comment=b"SecretComment", icc_profile=b"SecretProfile")
    assert b"SecretCamera" in sent.getvalue()
    made = made_anew(sent.getvalue())
    assert not [word for word in (b"Secret", b"EXIF", b"ICCP", b"XMP") if word in made]


def test_a_photograph_is_turned_as_its_camera_was_held() -> None:
    photo = Image.new("RGB", (300, 300), "blue")
    photo.paste("red", (0, 0, 300, 150))
    exif = photo.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    sent = io.BytesIO()
    photo.save(sent, "JPEG", exif=exif, quality=95)
    made = Image.open(io.BytesIO(made_anew(sent.getvalue()))).convert("RGB")
    right, left = made.getpixel((230, 128)), made.getpixel((20, 128))
    assert isinstance(right, tuple)
    assert isinstance(left, tuple)
    assert (right[0] > 200, left[2] > 200) == (True, True)


def test_noise_fits_its_column_too() -> None:
    import os

    noise = Image.frombytes("RGBA", (256, 256), os.urandom(256 * 256 * 4))
    sent = io.BytesIO()
    noise.save(sent, "PNG")
    assert len(made_anew(sent.getvalue())) <= 60_000


HOSTILE = {
    "nothing": b"\x00", "text": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "html": b"<html>",
    "half a file": picture()[:60], "gif": picture("GIF"), "bmp": picture("BMP"), "tiff": picture("TIFF"),
    "pdf": b"%PDF-1.4", "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "broken inside": picture()[:-30] + b"x" * 30, "zip": b"PK\x03\x04" + bytes(100),
    "riff": b"RIFF\xff\xff\xff\xffWEBPVP8L", "too short for its size": png_that_claims(3000, 3000),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_told_apart(name: str) -> None:
    with pytest.raises(NoPicture):
        made_anew(HOSTILE[name])


@pytest.mark.parametrize("width, height", [(6000, 4001), (100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 24_000_001)])
def test_a_decompression_bomb_is_refused_by_what_it_claims(width: int, height: int) -> None:
    with pytest.raises((PictureTooLarge, NoPicture)):
        made_anew(png_that_claims(width, height))
    with pytest.raises(PictureTooLarge):
        made_anew(png_that_claims(6000, 4001))


def test_what_reads_pictures_is_loaded_with_the_first_of_them() -> None:
    """A start costs neither its time nor its memory."""
    asked = "import sys, provider.application; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_few_pictures_are_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PictureReader()
    with pytest.raises(PictureTooLarge):
        reader.read(bytes(MAX_BYTES + 1))
    taken = [reader._line.acquire(blocking=False) for _ in range(pictures._LINE)]
    assert all(taken)
    with pytest.raises(PicturesBusy):
        reader.read(picture())
    reader._line.release()
    assert reader.read(picture())


def test_a_picture_is_served_by_us_as_ours_under_an_address_that_nobody_can_guess(
    site: Site, owner: Visitor, ana: Account
) -> None:
    assert upload(owner, picture()).status == 303
    page = owner.follow()
    assert "Your picture is saved." in page.text
    (shown,) = [it for it in owner.document.all("img") if "/pictures/" in it.get("src")]
    address = shown.get("src").removeprefix(ORIGIN)
    assert len(address) > len("/pictures/") + 25
    stranger = Visitor(site).http.get(address, base_url=ORIGIN)
    assert Image.open(io.BytesIO(stranger.data)).size == (256, 256)
    assert stranger.headers["Content-Type"] == "image/webp"
    assert stranger.headers["X-Content-Type-Options"] == "nosniff"
    assert stranger.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert stranger.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "Set-Cookie" not in stranger.headers
    upload(owner, picture("JPEG"))
    assert Visitor(site).get(address).status == 404, "another picture has another address"
    owner.get(PROFILE)
    (second,) = [it.get("src") for it in owner.document.all("img") if "/pictures/" in it.get("src")]
    owner.post(PICTURE, {"action": "remove"})
    assert "Your picture is removed." in owner.follow().text
    assert Visitor(site).get(second.removeprefix(ORIGIN)).status == 404
    owner.post(PICTURE, {"action": "remove"})
    assert owner.page.status == 303
    for unknown in ("/pictures/", "/pictures/x", "/pictures/picture_" + "0" * 22, "/pictures/..%2f..", "/pictures/%00"):
        assert Visitor(site).get(unknown).status == 404, unknown


@pytest.mark.parametrize("language, word", [("en", "picture"), ("ko", "사진")])
def test_what_cannot_be_taken_is_refused_in_words(site: Site, ana: Account, language: str, word: str) -> None:
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    sent = {
        b"": 400, b"no picture": 400, png_that_claims(20_000, 20_000): 400, bytes(MAX_BYTES + 1): 400,
        bytes(MAX_BYTES + 100_000): 413, bytes(20 * 1024 * 1024): 413,
    }  # fmt: skip
    token = visitor.token()
    for content, status in sent.items():
        page = upload(visitor, content, token=token)
        assert page.status == status, len(content)
        assert word in visitor.document.one("main").text
    assert site.rows("user_pictures") == {"user_pictures": []}


def test_nothing_but_the_picture_page_takes_a_file(site: Site, owner: Visitor) -> None:
    assert owner.post(PROFILE, {"given_name": "x" * 70_000}).status == 413
    assert owner.post("/account/preferences", {"time_zone": "x" * 70_000}).status == 413


def test_a_file_without_the_form_s_token_changes_nothing(site: Site, owner: Visitor) -> None:
    assert upload(owner, picture(), token="0" * 64).status == 403
    assert site.rows("user_pictures") == {"user_pictures": []}


def test_nobody_uploads_without_end(site: Site, owner: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.services.pictures, "read", lambda content: content)
    token = owner.token()
    statuses = [upload(owner, b"x", token=token).status for _ in range(31)]
    assert (set(statuses[:30]), statuses[30]) == ({303}, 429)


def test_a_picture_goes_with_its_user(site: Site, owner: Visitor, ana: Account) -> None:
    upload(owner, picture())
    with site.engine.connect() as connection:
        assert connection.execute(select(UserPicture.user_id)).scalars().all() == [ana.user.id]
