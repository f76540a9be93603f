"""Having images opened: nothing of one is shown before a worker's subprocess has decoded it."""

from api.front import Front
from api.services.images import ImageView, image_of
from api.services.upload_jobs import ASK_AGAIN_S, opening_job, wait_until_opened
from shared.domain.commands import UploadTask
from shared.domain.errors import Unavailable
from shared.domain.ids import JobId


async def open_image(front: Front, image: ImageView) -> JobId:
    """Return the job that opens an image. Raises what `opening_job` does."""
    return await opening_job(front, image.owner_id, image.id, UploadTask(image_id=image.id))


async def ensure_ready(front: Front, image: ImageView) -> ImageView:
    """Return the image once it may be shown, which may take until the clock `image_ready`.

    Raises:
        InvalidRequest: if it turned out to be no image; it is not stored any more.
        NotFound: if it was deleted meanwhile.
        Unavailable: if it takes longer; asking again goes on with it.
    """
    if image.is_ready:
        return image
    await wait_until_opened(front, await open_image(front, image))
    opened = await image_of(front, image.owner_id, image.id)
    if not opened.is_ready:
        raise Unavailable("The image could not be opened at the moment.", retry_after_s=ASK_AGAIN_S)
    return opened
