"""Identifiers: UUID version 7, made by the client of the database so that a retried insert is harmless."""

import os
import time
from typing import NewType
from uuid import UUID

JobId = NewType("JobId", UUID)
ImageId = NewType("ImageId", UUID)
DeviceId = NewType("DeviceId", UUID)
OwnerId = NewType("OwnerId", int)
WorkerId = NewType("WorkerId", int)

LOCAL_OWNER = OwnerId(1)
"""The built-in owner: the administrator's token and the `open` access mode of dialects act as this one."""


def uuid7() -> UUID:
    """Return a time-ordered UUID (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return UUID(int=value)


def new_job_id() -> JobId:
    """Return the id of a job that is about to be accepted."""
    return JobId(uuid7())
