"""Which service does which kind of job."""

from typing import Final

from shared.domain.jobs import Kind
from workers.services.analyse_image import analyse_image
from workers.services.attempt import Service
from workers.services.generate_reply import generate_reply
from workers.services.generation.make_images import make_images
from workers.services.generation.make_video import make_video
from workers.services.open_upload import open_upload

SERVICES: Final[dict[Kind, Service]] = {
    Kind.CHAT: generate_reply,
    Kind.VISION: analyse_image,
    Kind.UPLOAD: open_upload,
    Kind.IMAGE: make_images,
    Kind.VIDEO: make_video,
}
