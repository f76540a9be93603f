"""Storing a photo as the firmware does: signed where the device has a pair, and under a name of the device's own."""

from datetime import UTC, datetime

import structlog
from starlette.requests import Request

from api.auth import Caller
from api.body import read_body
from api.dialects.smartsip.signature import SignedRequest, check_signature
from api.front import Front
from api.services.images import ImageView
from api.services.photo_names import forget_name, store_named_photo

_log = structlog.get_logger(__name__)


async def store_upload(front: Front, caller: Caller, request: Request, *, bucket: str, name: str) -> ImageView:
    """Store a request's body under a name; the signature is looked at before the body is read.

    The firmware takes every status for success and asks about the name next, and without the time from the network it
    uses its names again. So after a refusal the name means nothing any more: an older photo is not what stands there.

    Raises:
        Forbidden: if the device signs its uploads and this one is not signed as it should be.
        InvalidRequest: if the body is not a whole image of a size this system takes; nothing was stored.
        Unavailable: if the object store or the database is away.
    """
    try:
        _check_signed(front, caller, request)
        content = await read_body(request, limit=front.settings.limits.device_image_bytes, needs_length=True)
        return await store_named_photo(front, caller, content, bucket=bucket, name=name)
    except Exception as error:
        # The device does not look at the answer: people look here for what is wrong with it.
        _log.warning("upload_refused", device=caller.name, name=name, reason=str(error))
        await forget_name(front, caller, bucket=bucket, name=name)
        raise


def _check_signed(front: Front, caller: Caller, request: Request) -> None:
    """Check the signature of a device that has a pair to sign with; any other signs with what we do not know."""
    if caller.device is None or caller.device.signing is None:
        return
    signing = caller.device.signing
    check_signature(
        SignedRequest.of(request.method, request.scope["raw_path"], request.headers.items()),
        access_key=signing.access_key,
        secret_key=signing.secret_key.get_secret_value(),
        now=datetime.now(UTC),
        max_skew=front.settings.clocks.signature_skew,
    )
