"""Photos in a bucket of an S3 server, by MinIO's SDK. Only read from: listed once, then fetched one by one."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from compose.analysis import MAX_PHOTO_BYTES, Failure
from compose.errors import CannotStart
from compose.photo_sources import BUCKET_SCHEME, FoundPhoto, FoundPhotos, is_photo_name
from compose.running import settings_in_use
from shared.domain.errors import InvalidRequest
from shared.domain.images import sniff

CONNECTIONS: Final = 8
TIMEOUT: Final = Timeout(connect=5, read=30)
RETRIES: Final = Retry(total=3, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
REGION: Final = "us-east-1"
KEY_NAMES: Final = (
    ("SMARTSIP_OBJECTS__ACCESS_KEY", "SMARTSIP_OBJECTS__SECRET_KEY"),
    ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)
"""Where the keys of a server named with --endpoint are looked for, first the names that settings have."""

_Result = TypeVar("_Result")


class Store:
    """An S3 server as one command uses it."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, *, region: str) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise CannotStart("The S3 server's address is http:// or https:// and a host, without a path.")
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._http = PoolManager(maxsize=CONNECTIONS, timeout=TIMEOUT, retries=RETRIES)
        self._client = Minio(
            endpoint=parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=parts.scheme == "https",
            region=region,  # given, so that the SDK never asks the server for it
            http_client=self._http,
        )

    def find(self, source: str, found: FoundPhotos, *, is_recursive: bool) -> None:
        """Add the photos below `s3://bucket/prefix`, which is taken for a folder, or for one photo by its suffix.

        Raises:
            CannotStart: if the server does not answer, refuses, or has no such bucket.
        """
        bucket, prefix = _place_of(source)
        folder = prefix.rpartition("/")[0] if is_photo_name(prefix) else prefix.rstrip("/")
        start = len(folder) + 1 if folder else 0
        wanted = prefix if is_photo_name(prefix) else folder and f"{folder}/"

        def listed() -> None:
            for entry in self._client.list_objects(bucket_name=bucket, prefix=wanted, recursive=is_recursive):
                key = entry.object_name or ""
                name = key[start:]
                if entry.is_dir:
                    found.folders.append(name.rstrip("/"))
                elif is_photo_name(name):
                    place = f"{BUCKET_SCHEME}{bucket}/{key}"
                    found.photos.append(FoundPhoto(name, place, lambda key=key: self._read(bucket, key)))
                elif name:
                    found.others.append(name)

        before = len(found.photos)
        self._told(listed, source)
        if is_photo_name(prefix) and len(found.photos) == before:
            raise CannotStart(f"There is no photo {source}.")

    def close(self) -> None:
        """Close every connection."""
        self._http.clear()

    def _read(self, bucket: str, key: str) -> tuple[bytes, str]:
        try:
            content = self._content(bucket, key)
            return content, sniff(content).media_type
        except InvalidRequest as refusal:
            raise Failure(str(refusal)) from refusal
        except (MinioException, HTTPError, OSError, ValueError) as error:
            raise Failure(f"It cannot be read from the bucket ({_reason(error)}).") from error

    def _content(self, bucket: str, key: str) -> bytes:
        response = self._client.get_object(bucket_name=bucket, object_name=key)
        try:
            content: bytes = response.read(MAX_PHOTO_BYTES + 1)
            if len(content) > MAX_PHOTO_BYTES:
                response.close()  # the rest is never read, so that nothing else can come over this connection
                raise Failure(f"The object is too large; a photo may have {MAX_PHOTO_BYTES:,} bytes.")
            return content
        finally:
            response.release_conn()

    def _told(self, call: Callable[[], _Result], source: str) -> _Result:
        try:
            return call()
        except (MinioException, HTTPError, OSError, ValueError) as error:
            raise CannotStart(f"{source} cannot be listed at {self._place} ({_reason(error)}).") from error


def open_store(endpoint: str | None, data: Path | None) -> Store:
    """Return the S3 server at `endpoint`, or else the one that this machine's system keeps its photos in.

    Raises:
        CannotStart: if there are no keys for it in the environment, or no system on this machine.
        SettingsError: if there is no system on this machine, and the environment names no server.
    """
    if endpoint is None:
        objects = settings_in_use(data).objects
        access_key, secret_key = objects.access_key.get_secret_value(), objects.secret_key.get_secret_value()
        return Store(objects.endpoint_url, access_key, secret_key, region=objects.region)
    access_key, secret_key = keys_in(os.environ)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    return Store(endpoint, access_key, secret_key, region=region)


def keys_in(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the first pair of keys that an environment has whole.

    Raises:
        CannotStart: if there is none.
    """
    for names in KEY_NAMES:
        access_key, secret_key = (environment.get(name, "") for name in names)
        if access_key and secret_key:
            return access_key, secret_key
    wanted = ", or ".join(" and ".join(names) for names in KEY_NAMES[1:])
    raise CannotStart(f"There are no keys for the S3 server: set {wanted}.")


def _place_of(source: str) -> tuple[str, str]:
    bucket, _, prefix = source.removeprefix(BUCKET_SCHEME).partition("/")
    if not bucket:
        raise CannotStart(f"{source} names no bucket: give s3://bucket/prefix.")
    return bucket, prefix


def _reason(error: Exception) -> str:
    """Say what went wrong; the SDK's own texts name hosts, keys and request ids at length."""
    match error:
        case S3Error():
            return f"{error.code}: {error.message}"
        case InvalidResponseError():  # what has an error in plain text, as rclone's have
            return f"it answered {error._code}"  # pyright: ignore[reportPrivateUsage] - the SDK shows it in no other way
        case ValueError():
            return str(error)
        case _:
            return type(error).__name__
