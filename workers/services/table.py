"""Which service does which kind of job."""

from typing import Final

from shared.domain.jobs import Kind
from workers.services.analyse_image import analyse_image
from workers.services.attempt import Service
from workers.services.clean_upload import clean_upload
from workers.services.generate_reply import generate_reply

SERVICES: Final[dict[Kind, Service]] = {
    Kind.CHAT: generate_reply,
    Kind.VISION: analyse_image,
    Kind.UPLOAD: clean_upload,
}
