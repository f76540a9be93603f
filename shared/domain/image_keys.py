"""Under which keys a photo's objects are kept.

They are made of its owner and the SHA-256 of what was sent: an upload that failed half-way ends at the same object when
it is repeated.
"""

from shared.domain.images import EXTENSION_OF


def original_key(owner_id: int, sha256: bytes, extension: str) -> str:
    """Return the key of a photo as it was sent; kept until there is a clean one, and shown to nobody."""
    return f"images/{owner_id}/{sha256.hex()}.{extension}"


def clean_key(owner_id: int, sha256: bytes, extension: str) -> str:
    """Return the key of a photo that was made anew without its metadata."""
    return f"images/{owner_id}/{sha256.hex()}.clean.{extension}"


def thumbnail_key(owner_id: int, sha256: bytes) -> str:
    """Return the key of a photo's thumbnail, a JPEG."""
    return f"thumbnails/{owner_id}/{sha256.hex()}.jpg"


def every_key(owner_id: int, sha256: bytes) -> list[str]:
    """Return every key under which anything of a photo can be, also what a worker that was killed left behind."""
    extensions = EXTENSION_OF.values()
    return [
        *(original_key(owner_id, sha256, extension) for extension in extensions),
        *(clean_key(owner_id, sha256, extension) for extension in extensions),
        thumbnail_key(owner_id, sha256),
    ]
