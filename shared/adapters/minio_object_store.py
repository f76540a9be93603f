"""The object store over S3, by MinIO's SDK: a blocking client, so every call runs in a thread of this store's own.

Written against MinIO and rclone's `serve s3`, whose error bodies are `text/xml`: the SDK reports those as
`InvalidResponseError` with nothing but a status, where MinIO's give an `S3Error` with a code.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import BinaryIO, Final, TypeVar
from urllib.parse import urlsplit

import structlog
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.helpers import MIN_PART_SIZE
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from shared.domain.errors import NotFound, PayloadTooLarge, SmartSipError, Unavailable
from shared.settings import Objects

THREADS: Final = 32
"""Calls at a time; apart from asyncio's default threads, so that a silent store does not hold up name look-ups."""
FILES_AT_A_TIME: Final = 4
"""The SDK has a whole file in memory while it sends it."""
TIMEOUT: Final = Timeout(connect=3, read=10)
RETRIES: Final = Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
"""Every request here may be repeated: content never changes under its key. 500 is S3's `InternalError`, to be tried
again; `rclone serve s3` answers it now and then when one key is written twice at once."""

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")


class MinioObjectStore:
    """An `ObjectStore` in one bucket of an S3 server."""

    def __init__(self, objects: Objects) -> None:
        self._bucket = objects.bucket
        self._http = PoolManager(maxsize=THREADS, timeout=TIMEOUT, retries=RETRIES)
        self._client = _client(objects, objects.endpoint_url, self._http)
        self._public = _client(objects, objects.public_url or objects.endpoint_url, self._http)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="objects")
        self._files = asyncio.Semaphore(FILES_AT_A_TIME)

    async def put(self, key: str, content: bytes, *, media_type: str) -> None:
        """Store an object, making the bucket first where it is not there yet."""
        await self._call(lambda: self._put(key, BytesIO(content), len(content), media_type))

    async def put_file(self, key: str, file: BinaryIO, *, size_bytes: int, media_type: str) -> None:
        """Store what a file holds, few files at a time."""
        async with self._files:
            await self._call(lambda: self._put(key, file, size_bytes, media_type))

    async def get(self, key: str, *, limit: int | None = None) -> bytes:
        """Return an object's content, unless it is longer than `limit`."""
        return await self._call(lambda: self._get(key, limit))

    async def get_part(self, key: str, *, first: int, size_bytes: int) -> bytes:
        """Return a part of an object."""
        return await self._call(lambda: self._get_part(key, first, size_bytes))

    async def presign(self, key: str, *, expires: timedelta, media_type: str) -> str:
        """Return a link under the public URL; computed here, the store is not asked."""
        return self._public.presigned_get_object(
            bucket_name=self._bucket,
            object_name=key,
            expires=expires,
            response_headers={"response-content-type": media_type},
        )

    async def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        await self._call(lambda: self._delete(key))

    async def check(self) -> None:
        """Raise `Unavailable` unless the store answers and its bucket exists."""
        if not await self._call(lambda: self._client.bucket_exists(bucket_name=self._bucket)):
            raise Unavailable(f"The object store has no bucket {self._bucket!r}.")

    async def ensure_bucket(self) -> None:
        """Make the bucket unless it exists."""
        await self._call(self._ensure_bucket)

    def close(self) -> None:
        """Let connections and threads go; calls under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    async def _call(self, work: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (MinioException, HTTPError, OSError) as error:
            raise _as_ours(error) from error

    def _put(self, key: str, file: BinaryIO, size_bytes: int, media_type: str) -> None:
        try:
            self._put_once(key, file, size_bytes, media_type)
        except (S3Error, InvalidResponseError) as error:
            if not _is_missing(error):
                raise
            self._ensure_bucket()
            self._put_once(key, file, size_bytes, media_type)

    def _put_once(self, key: str, file: BinaryIO, size_bytes: int, media_type: str) -> None:
        file.seek(0)
        self._client.put_object(
            bucket_name=self._bucket,
            object_name=key,
            data=file,
            length=size_bytes,
            content_type=media_type,
            part_size=max(size_bytes, MIN_PART_SIZE),  # one request, never a multipart upload in more threads
        )

    def _get(self, key: str, limit: int | None) -> bytes:
        response = self._client.get_object(bucket_name=self._bucket, object_name=key)
        try:
            if limit is None:
                return response.data
            content = response.read(limit + 1)  # what the server announces of the length is not relied on
            if len(content) > limit:
                response.close()  # the rest is never read, so that nothing else can come over this connection
                raise PayloadTooLarge(f"At most {limit} bytes are taken here.")
            return content
        finally:
            response.release_conn()

    def _get_part(self, key: str, first: int, size_bytes: int) -> bytes:
        response = self._client.get_object(bucket_name=self._bucket, object_name=key, offset=first, length=size_bytes)
        try:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {first}-"):  # rclone's status is 200
                response.close()  # it sends the whole of it
                raise Unavailable("The object store does not serve parts of objects.")
            return response.data
        finally:
            response.release_conn()

    def _delete(self, key: str) -> None:
        try:
            self._client.remove_object(bucket_name=self._bucket, object_name=key)
        except (S3Error, InvalidResponseError) as error:
            if not _is_missing(error):
                raise

    def _ensure_bucket(self) -> None:
        if self._client.bucket_exists(bucket_name=self._bucket):
            return
        try:
            self._client.make_bucket(bucket_name=self._bucket)
        except (S3Error, InvalidResponseError):
            # Another process may have made it in between; if not, the first error says why it cannot be made.
            if not self._client.bucket_exists(bucket_name=self._bucket):
                raise


def _client(objects: Objects, url: str, http: PoolManager) -> Minio:
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query:
        raise ValueError("The URL of an S3 server has no path: signatures cover it. Give it a host name of its own.")
    return Minio(
        endpoint=parts.netloc,
        access_key=objects.access_key.get_secret_value(),
        secret_key=objects.secret_key.get_secret_value(),
        secure=parts.scheme == "https",
        region=objects.region,  # given, so that the SDK never asks the server for it
        http_client=http,
    )


def _status(error: Exception) -> int | None:
    match error:
        case S3Error():
            return error.response.status
        case InvalidResponseError():
            return error._code  # pyright: ignore[reportPrivateUsage] - the SDK shows it in no other way
        case ServerError():
            return error.status_code
        case _:
            return None


def _is_missing(error: Exception) -> bool:
    return _status(error) == 404


def _as_ours(error: Exception) -> SmartSipError:
    if _is_missing(error):
        return NotFound("The object store has no such object.")
    code = error.code if isinstance(error, S3Error) else type(error).__name__
    _log.error("object_store_failed", status=_status(error), error=code)
    if _status(error) in (400, 401, 403):
        return Unavailable("The object store refuses this server's credentials.")
    return Unavailable("The object store does not answer as it should.")
