"""Pictures that people upload: read with suspicion, and written anew, so that nothing of the file itself is ever served.

A file says what it likes about itself. It is read by the decoders of three formats and no other; its size in points is
judged before they are asked for; one is read at a time, on a thread of its own, outside of any transaction. What comes out
has 256 by 256 points and none of what cameras and programs note.
"""

from __future__ import annotations

import concurrent.futures
import io
import threading
import warnings
from typing import TYPE_CHECKING

from provider.security import places

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 2 * 1024 * 1024
MAX_POINTS = 24_000_000  # a photograph of 6000 by 4000; decoded it takes 100 MB at most
SIDE = 256
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_KEPT_BYTES = 60_000
_QUALITIES = (88, 75, 60, 40, 20, 5)
_LINE = 4
_PATIENCE_SECONDS = 10.0


class NoPicture(ValueError):
    """The bytes are no picture of a kind that is read, or a broken one."""


class PictureTooLarge(ValueError):
    """The file, or the picture in it, is larger than what is read."""


class PicturesBusy(Exception):
    """Too many pictures are being read at this moment."""


class PictureReader:
    """One thread that reads pictures, behind a short line."""

    def __init__(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "picture")
        self._line = threading.BoundedSemaphore(_LINE)

    def read(self, content: bytes) -> bytes:
        """A small picture of our own making (WebP). No transaction may be open.

        Raises ``NoPicture``, ``PictureTooLarge``, ``PicturesBusy``.
        """
        if len(content) > MAX_BYTES:
            raise PictureTooLarge
        if not self._line.acquire(blocking=False):
            raise PicturesBusy
        try:
            with places.lent():
                asked = self._thread.submit(made_anew, content)
                try:
                    return asked.result(_PATIENCE_SECONDS)
                except concurrent.futures.TimeoutError:
                    asked.cancel()
                    raise PicturesBusy from None
        finally:
            self._line.release()


def made_anew(content: bytes) -> bytes:
    """The picture in ``content`` as a small WebP. Raises ``NoPicture``, ``PictureTooLarge``."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what its decoders find odd is refused
            with Image.open(io.BytesIO(content), formats=FORMATS) as found:
                if found.width * found.height > MAX_POINTS:
                    raise PictureTooLarge
                found.draft("RGB", (2 * SIDE, 2 * SIDE))  # a large photograph need not be decoded in full
                has_glass = "A" in found.getbands() or "transparency" in found.info
                upright = ImageOps.exif_transpose(found)
                plain = upright.convert("RGBA" if has_glass else "RGB")
                return _written(ImageOps.fit(plain, (SIDE, SIDE), Image.Resampling.LANCZOS))
    except PictureTooLarge:
        raise
    except Image.DecompressionBombError:
        raise PictureTooLarge from None
    except UnidentifiedImageError:
        raise NoPicture from None
    except Exception as fault:  # decoders of hostile bytes raise whatever they come upon
        raise NoPicture from fault


def _written(picture: Image) -> bytes:
    """As WebP that fits its column, without anything about it."""
    from PIL import Image

    bare = Image.new(picture.mode, picture.size)
    bare.paste(picture)
    for quality in _QUALITIES:
        kept = io.BytesIO()
        bare.save(kept, "WEBP", quality=quality, alpha_quality=quality, method=4)
        if len(kept.getvalue()) <= MAX_KEPT_BYTES:
            return kept.getvalue()
    raise NoPicture
