"""From a request for pictures to what is asked of the core. Pure; refuses what cannot be said there."""

from dataclasses import dataclass
from typing import Final

from api.dialects.openai.parse import taken
from api.dialects.openai.wire_images import ImagesRequest
from shared.domain.commands import ImageInput, JsonObject, Parameters, SubmitImage
from shared.domain.jobs import OnDisconnect

AUTO: Final = "auto"
"""As the provider thinks best, which is what happens where nothing is said."""
_OURS: Final = frozenset(
    {"prompt", "model", "n", "size", "aspect_ratio", "seed", "response_format", "stream", "partial_images"}
)
"""What is no option of the provider's."""


@dataclass(frozen=True, kw_only=True)
class AskedImages:
    """A request as it was understood; `wants_urls` says how the pictures are answered."""

    model: str | None
    wants_urls: bool
    input: ImageInput
    parameters: Parameters

    def command(self, model: str | None, *, on_disconnect: OnDisconnect) -> SubmitImage:
        """Return what is asked of the core."""
        return SubmitImage(
            kind="image", model=model, input=self.input, parameters=self.parameters, on_disconnect=on_disconnect
        )


def parse_images(request: ImagesRequest) -> AskedImages:
    """Return what a request asks for.

    Raises:
        NotTaken: if the core does not take a value.
    """
    given = {
        "prompt": request.prompt,
        "n": request.n,
        "size": None if request.size == AUTO else request.size or None,
        "aspect_ratio": request.aspect_ratio or None,
    }
    parameters: JsonObject = {"options": _options(request)}
    if request.seed is not None:
        parameters["seed"] = request.seed
    return AskedImages(
        model=request.model or None,
        wants_urls=request.response_format == "url",
        input=taken(ImageInput, {name: value for name, value in given.items() if value is not None}),
        parameters=taken(Parameters, parameters),
    )


def _options(request: ImagesRequest) -> JsonObject:
    return request.model_dump(exclude=set(_OURS), exclude_none=True)
