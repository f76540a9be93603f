"""Every error a caller can see, as one tree; how each looks on the wire is decided elsewhere.

    SmartSipError
    ├── InvalidRequest          400/422 family: the caller must change the request
    │   ├── MalformedRequest · ImageRefused · MediaRefused · UnsupportedMediaType
    │   └── PayloadTooLarge · LengthRequired · RangeNotSatisfiable
    ├── Unauthenticated · Forbidden · NotFound · Conflict
    │   └── IdempotencyKeyReused · ClaimUsed · ClaimExpired · ChatBusy · UsernameTaken
    ├── TokensSpent             402: a quota of tokens
    ├── QuotaExceeded           429: too much is waiting
    │   └── TooManyStreams · TooManyLogins
    ├── ProviderError           what a provider did, sorted by what the caller can do about it
    │   ├── ProviderAuth · ProviderRegion · ProviderQuota · ProviderRateLimited · ProviderOverloaded
    │   ├── RequestTooLarge · ContextTooLong · ContentBlocked · ModelNotFound · ProviderRejected
    │   ├── ProviderTimeout · ProviderUnreachable · StreamIncomplete · BadOutput
    │   └── OutcomeUnknown · OrderExpired · OrderCancelled
    ├── DeadlineExceeded · DeadLetter
    ├── Unavailable             503: a part of the system is away
    └── Internal                500: ours; logged whole, shown bare

An instance adds `detail`, `field` (JSON path of the offending input) and `retry_after_s`. Messages never carry secrets.
"""

from typing import ClassVar

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as data: what crosses the queue, the event log and the database."""

    code: str
    title: str
    status: int
    retryable: bool = False
    detail: str | None = None
    field: str | None = None
    retry_after_s: float | None = None


class SmartSipError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = False

    def __init__(
        self, detail: str | None = None, *, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s

    def info(self) -> ErrorInfo:
        """Return this error as data."""
        return ErrorInfo(
            code=self.code,
            title=self.title,
            status=self.status,
            retryable=self.retryable,
            detail=self.detail,
            field=self.field,
            retry_after_s=self.retry_after_s,
        )


class InvalidRequest(SmartSipError):
    """The request cannot be understood or is not allowed as it stands."""

    code, status, title = "invalid_request", 422, "The request is not valid"


class MalformedRequest(InvalidRequest):
    """The body is not what its Content-Type says."""

    code, status, title = "malformed_request", 400, "The request could not be read"


class ImageRefused(InvalidRequest):
    """The bytes are not an image this system takes."""

    code, status, title = "image_refused", 422, "The image was refused"


class MediaRefused(InvalidRequest):
    """The bytes are not a whole video or audio file."""

    code, status, title = "media_refused", 422, "The media file was refused"


class UnsupportedMediaType(InvalidRequest):
    """The bytes are of a type this system does not take."""

    code, status, title = "unsupported_media_type", 415, "The media type is not supported"


class PayloadTooLarge(InvalidRequest):
    """The body is larger than allowed."""

    code, status, title = "payload_too_large", 413, "The body is too large"


class LengthRequired(InvalidRequest):
    """A length is needed before the body is read."""

    code, status, title = "length_required", 411, "Content-Length is required"


class RangeNotSatisfiable(InvalidRequest):
    """The part that is asked for lies beyond the end."""

    code, status, title = "range_not_satisfiable", 416, "The range cannot be served"


class Unauthenticated(SmartSipError):
    """No valid credential came with the request."""

    code, status, title = "unauthenticated", 401, "A valid credential is required"


class Forbidden(SmartSipError):
    """The credential does not allow this."""

    code, status, title = "forbidden", 403, "The credential does not allow this"


class NotFound(SmartSipError):
    """There is no such thing, or it belongs to another owner."""

    code, status, title = "not_found", 404, "Not found"


class Conflict(SmartSipError):
    """The thing is not in a state that allows this."""

    code, status, title = "conflict", 409, "The current state does not allow this"


class IdempotencyKeyReused(Conflict):
    """The idempotency key was used before, with another request."""

    code, status, title = "idempotency_key_reused", 422, "The idempotency key was used for another request"


class ClaimUsed(Conflict):
    """A device was claimed with this code before."""

    code, title = "claim_used", "The claim code was used"


class ClaimExpired(Conflict):
    """The claim code was not used in time."""

    code, title = "claim_expired", "The claim code has expired"


class ChatBusy(Conflict):
    """A chat writes one answer at a time."""

    code = "chat_busy"
    title = "The chat is busy"
    retryable = True


class UsernameTaken(Conflict):
    """There is an owner of this name."""

    code, title = "username_taken", "The username already exists"


class TokensSpent(SmartSipError):
    """A quota of tokens does not have what a request may use."""

    code = "tokens_spent"
    status = 402
    title = "The quota is used up"


class QuotaExceeded(SmartSipError):
    """Too much of this owner's work is waiting."""

    code, status, title, retryable = "queue_full", 429, "Too many jobs are waiting", True


class TooManyStreams(QuotaExceeded):
    """Too many event streams of this owner are open."""

    code, title = "too_many_streams", "Too many event streams are open"


class TooManyLogins(QuotaExceeded):
    """Too many logins failed."""

    code, title = "too_many_logins", "Too many logins failed"


class ProviderError(SmartSipError):
    """The provider failed in a way no class below describes."""

    code, status, title = "provider_error", 502, "The provider failed"


class ProviderAuth(ProviderError):
    """The provider refused the configured key."""

    code, title = "provider_auth", "The provider refused the configured credential"


class ProviderRegion(ProviderError):
    """The provider does not serve this region."""

    code, title = "provider_region", "The provider does not serve this region"


class ProviderQuota(ProviderError):
    """The account at the provider has no balance left."""

    code, title = "provider_quota", "The account at the provider is out of balance"


class ProviderRateLimited(ProviderError):
    """The provider asks to slow down."""

    code, status, title, retryable = "provider_rate_limited", 503, "The provider asks to slow down", True


class ProviderOverloaded(ProviderError):
    """The provider is overloaded or failing."""

    code, status, title, retryable = "provider_overloaded", 503, "The provider is overloaded", True


class RequestTooLarge(ProviderError):
    """The provider refuses a request of this size."""

    code, status, title = "provider_request_too_large", 413, "The provider refuses a request of this size"


class ContextTooLong(ProviderError):
    """The input is longer than the model's context."""

    code, status, title = "context_too_long", 422, "The input is longer than the model's context"


class ContentBlocked(ProviderError):
    """The provider blocked the content."""

    code, status, title = "content_blocked", 422, "The provider blocked the content"


class ModelNotFound(ProviderError):
    """The provider has no such model."""

    code, status, title = "model_not_found", 404, "The provider has no such model"


class ProviderRejected(ProviderError):
    """The provider says that the request is wrong."""

    code, status, title = "provider_rejected", 422, "The provider rejected the request"


class ProviderTimeout(ProviderError):
    """The provider did not answer in time."""

    code, status, title, retryable = "provider_timeout", 504, "The provider did not answer in time", True


class ProviderUnreachable(ProviderError):
    """No connection to the provider could be made, or it broke."""

    code, title, retryable = "provider_unreachable", "The provider could not be reached", True


class StreamIncomplete(ProviderError):
    """The provider's stream ended without saying that it was complete."""

    code, title, retryable = "stream_incomplete", "The provider's answer ended half-way", True


class BadOutput(ProviderError):
    """The model's answer does not have the requested form."""

    code, title = "bad_output", "The model's answer does not have the requested form"


class OutcomeUnknown(ProviderError):
    """Whether the provider took the order is not known; it is not placed again, for it might be paid twice."""

    code, title = "outcome_unknown", "What became of the order at the provider is not known"


class OrderExpired(ProviderError):
    """The provider did not do what was ordered in the time it allows itself."""

    code, status, title = "order_expired", 504, "The provider let the order expire"


class OrderCancelled(ProviderError):
    """The order was cancelled at the provider, and not by its job."""

    code, title = "order_cancelled", "The order was cancelled at the provider"


class DeadlineExceeded(SmartSipError):
    """The job's deadline passed while it ran."""

    code, status, title = "deadline_exceeded", 504, "The job's deadline passed"


class DeadLetter(SmartSipError):
    """The job used up its attempts."""

    code, status, title = "dead_letter", 500, "The job used up its attempts"


class Unavailable(SmartSipError):
    """A part of the system is away for the moment."""

    code, status, title, retryable = "unavailable", 503, "The service is not available at the moment", True


class Internal(SmartSipError):
    """An error of ours."""

    code, status, title = "internal", 500, "An internal error occurred"
