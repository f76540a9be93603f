"""What must be there before the first api and worker start: the newest schema, and the bucket."""

import urllib3
from minio import Minio
from minio.error import MinioException
from sqlalchemy.exc import OperationalError
from urllib3.exceptions import HTTPError

from compose.errors import CannotStart
from shared.database.migrate import newest_revision, upgrade
from shared.redaction import redact_text
from shared.settings import Objects, load_settings


def run_migrate() -> None:
    """Migrate what the settings name, and say so.

    Raises:
        CannotStart: if the database or the S3 server cannot be reached.
    """
    settings = load_settings()
    try:
        upgrade(settings.database.sqlalchemy_url)
    except OperationalError as error:
        raise CannotStart(f"PostgreSQL cannot be reached: {redact_text(str(error.orig).strip())}") from error
    print(f"database: at revision {newest_revision()}")
    try:
        made = make_bucket(settings.objects)
    except (MinioException, HTTPError) as error:
        raise CannotStart(f"The S3 server cannot be used: {redact_text(str(error))}") from error
    print(f"bucket {settings.objects.bucket}: {'made' if made else 'there already'}")


def make_bucket(objects: Objects) -> bool:
    """Make the bucket if it is missing; return whether it was."""
    client = s3_client(objects)
    if client.bucket_exists(bucket_name=objects.bucket):
        return False
    client.make_bucket(bucket_name=objects.bucket)
    return True


def s3_client(objects: Objects) -> Minio:
    """Return a blocking client of the S3 server, for commands that do one thing."""
    scheme, _, endpoint = objects.endpoint_url.partition("://")
    return Minio(
        endpoint=endpoint,
        access_key=objects.access_key.get_secret_value(),
        secret_key=objects.secret_key.get_secret_value(),
        secure=scheme == "https",
        region=objects.region,
        http_client=urllib3.PoolManager(timeout=5.0, retries=False),
    )
