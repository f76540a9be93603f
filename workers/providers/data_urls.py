"""Images inside `data:` URLs, as models and their providers send them."""

import binascii
import re
from typing import Final

from shared.domain.errors import ImageRefused, PayloadTooLarge

FIELD: Final = "image"
SCHEME: Final = "data:"
MAX_IMAGE_BYTES: Final = 20 * 1024 * 1024
"""As large as an image may be that is uploaded."""
_BASE64_IMAGE: Final = re.compile(r"image/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_STEP: Final = 256 * 1024
"""Characters of base64 decoded at a time, a multiple of 4: the interpreter lets nobody else run meanwhile."""


def image_of_data_url(url: str) -> bytes:
    """Return the bytes of an image, not yet known to be one; `url` is without its scheme. Takes up to 50 ms.

    Raises:
        ImageRefused: if the URL is not of an image in base64.
        PayloadTooLarge: if it is of more than is taken.
    """
    head = _BASE64_IMAGE.match(url)
    if head is None:
        raise ImageRefused("This is not the address of an image in base64.", field=FIELD)
    data = url[head.end() :].partition(" ")[0]  # a title may follow
    data += "=" * (-len(data) % 4)  # padding is left out by some
    try:
        pieces = [binascii.a2b_base64(data[at : at + _STEP], strict_mode=True) for at in range(0, len(data), _STEP)]
    except ValueError:  # binascii.Error, or a character beyond ASCII
        raise ImageRefused("The image is not base64.", field=FIELD) from None
    content = b"".join(pieces)
    if len(content) > MAX_IMAGE_BYTES:
        raise PayloadTooLarge("The image is larger than is taken.", field=FIELD)
    return content
