"""The shapes of images in answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.services.image_library import Finding, Photo, PhotoName
from shared.database.statements.image_library import LabelValue


class Model(BaseModel):
    """Base of the shapes here."""

    model_config = ConfigDict(extra="forbid")


class DeviceOut(Model):
    """Who sent an image first."""

    id: UUID
    name: str


class FindingOut(Model):
    """What a job found: the command after the envelope (ml, °C), and what the model says it saw."""

    job_id: UUID
    model: str
    prompt: str
    profile: str
    volume: int
    degree: int
    container: str
    contents: str
    receivable: bool | None
    child_present: bool | None
    is_safe_default: bool
    is_changed: bool
    found_at: datetime


class NameOut(Model):
    """What a device calls an image; without a device, it was sent from the server's own machine."""

    bucket: str
    name: str
    device: DeviceOut | None
    stored_at: datetime


class ImageOut(Model):
    """A stored image. Once it is ready, what is said of its content is said of the cleaned one."""

    id: UUID
    state: Annotated[Literal["pending", "ready"], Field(description="Shown only once it is ready.")]
    media_type: Annotated[str, Field(examples=["image/jpeg"])]
    size_bytes: int
    width: int
    height: int
    sha256: Annotated[str, Field(description="Of what was sent, in hexadecimal; the same photo is stored once.")]
    created_at: datetime
    device: DeviceOut | None
    tags: list[str]
    labels: dict[str, LabelValue]
    links: dict[str, str]


class UploadedOut(ImageOut):
    """An image that was uploaded; `job` is what opens it while it is pending."""

    job: str | None


class ListedOut(ImageOut):
    """An image in a list, with the newest that was found in it."""

    finding: FindingOut | None


class DetailedOut(ImageOut):
    """An image with all that is known of it; `url` serves it to anyone for an hour, once it is ready."""

    names: list[NameOut]
    findings: list[FindingOut]
    url: str | None
    url_expires_at: datetime | None


class ImagesOut(Model):
    """A page of images; `next` is the cursor of the next page, if there is one."""

    images: list[ListedOut]
    next: UUID | None


class LinkOut(Model):
    """A link that serves the image to anyone who has it."""

    url: str
    expires_at: datetime


def shown(photo: Photo) -> dict[str, Any]:
    """Return the members of `ImageOut`."""
    image, path = photo.image, f"/v2/images/{photo.image.id}"
    return {
        "id": image.id,
        "state": "ready" if image.is_ready else "pending",
        "media_type": image.media_type,
        "size_bytes": image.size_bytes,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256,
        "created_at": image.created_at,
        "device": photo.device and DeviceOut(id=photo.device.id, name=photo.device.name),
        "tags": list(photo.tags),
        "labels": dict(photo.labels),
        "links": {"self": path, "content": f"{path}/content", "thumbnail": f"{path}/thumbnail"},
    }


def shown_finding(finding: Finding) -> FindingOut:
    """Return a finding as it is shown."""
    return FindingOut(**vars(finding))


def shown_name(name: PhotoName) -> NameOut:
    """Return a name as it is shown."""
    device = name.device and DeviceOut(id=name.device.id, name=name.device.name)
    return NameOut(bucket=name.bucket, name=name.name, device=device, stored_at=name.stored_at)
