"""The kind `upload`: what was uploaded is opened before anybody is shown it."""

from shared.domain.commands import MediaTask, UploadTask
from workers.services.attempt import Attempt
from workers.services.media.check_media import check_media
from workers.services.pictures.clean_upload import clean_upload


async def open_upload(attempt: Attempt) -> str:
    """Open an image or a media file, each in its way; return why the work ended, and raise what these do."""
    match attempt.spec.input:
        case UploadTask() as task:
            return await clean_upload(attempt, task)
        case MediaTask() as task:
            return await check_media(attempt, task)
        case _:
            raise TypeError("an upload job names an image or a media file")
