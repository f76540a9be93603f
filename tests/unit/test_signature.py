"""AWS signature V2, against the vectors of AWS's own description and of the firmware's."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.smartsip.signature import SignedRequest, check_signature, sign, string_to_sign
from shared.domain.errors import Forbidden

# The pair of every example in AWS, "Signing and authenticating REST requests (AWS signature version 2)".
EXAMPLE_ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PUPPY_DATE = "Tue, 27 Mar 2007 21:15:45 +0000"
PUPPY_AT = datetime(2007, 3, 27, 21, 15, 45, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
UNREADABLE = "the header Date cannot be read; it is like Sat, 16 Nov 2024 06:11:07 GMT"


def puppy(**changes: str) -> SignedRequest:
    headers = {
        "Host": "s3.us-west-1.amazonaws.com",
        "Date": PUPPY_DATE,
        "Content-Type": "image/jpeg",
        "Content-Length": "94328",
        "Authorization": f"AWS {EXAMPLE_ACCESS_KEY}:iqRzw+ileNPu1fhspnRs8nOjjIA=",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return SignedRequest.of("PUT", b"/awsexamplebucket1/photos/puppy.jpg", headers.items())


def signed(date: str) -> SignedRequest:
    """A request of which only the date is to be doubted."""
    signature = sign(EXAMPLE_SECRET_KEY, string_to_sign(SignedRequest.of("PUT", b"/test/a.jpg", [("Date", date)])))
    headers = [("Date", date), ("Authorization", f"AWS {EXAMPLE_ACCESS_KEY}:{signature}")]
    return SignedRequest.of("PUT", b"/test/a.jpg", headers)


def check(request: SignedRequest, *, now: datetime = PUPPY_AT, max_skew: timedelta = QUARTER) -> None:
    check_signature(request, access_key=EXAMPLE_ACCESS_KEY, secret_key=EXAMPLE_SECRET_KEY, now=now, max_skew=max_skew)


def refusal(request: SignedRequest, *, now: datetime = PUPPY_AT) -> str | None:
    with pytest.raises(Forbidden) as refused:
        check(request, now=now)
    return refused.value.detail


def test_the_firmwares_vector_is_signed_as_the_firmware_signs_it():
    headers = [("Date", "Sat, 16 Nov 2024 06:11:07 GMT"), ("Content-Type", "image/jpeg"), ("Content-Length", "3900")]
    request = SignedRequest.of("PUT", b"/test/image_20241116_141107.jpg", headers)
    text = "PUT\n\nimage/jpeg\nSat, 16 Nov 2024 06:11:07 GMT\n/test/image_20241116_141107.jpg"
    assert (string_to_sign(request), sign("minioadmin", text)) == (text, "VkbBNpCcma4/n9FuMav/2k3K240=")


def test_the_upload_of_awss_description_is_taken():
    check(puppy())


def test_the_upload_with_metadata_of_awss_description_is_signed_alike():
    request = SignedRequest.of(
        "PUT",
        b"/static.example.com/db-backup.dat.gz",
        [
            ("User-Agent", "curl/7.15.5"),
            ("Host", "static.example.com:8080"),
            ("Date", "Tue, 27 Mar 2007 21:06:08 +0000"),
            ("x-amz-acl", "public-read"),
            ("content-type", "application/x-download"),
            ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
            ("X-Amz-Meta-ReviewedBy", "joe@example.com"),
            ("X-Amz-Meta-ReviewedBy", "jane@example.com"),
            ("X-Amz-Meta-FileChecksum", "0x02661779"),
            ("X-Amz-Meta-ChecksumAlgorithm", "crc32"),
            ("Content-Length", "5913339"),
        ],
    )
    assert sign(EXAMPLE_SECRET_KEY, string_to_sign(request)) == "jtBQa0Aq+DkULFI8qrpwIjGEx0E="


def test_a_date_in_an_amz_header_takes_the_place_of_date():
    request = SignedRequest.of("PUT", b"/test/a.jpg", [("Date", "wrong"), ("X-Amz-Date", PUPPY_DATE)])
    text = f"PUT\n\n\n\nx-amz-date:{PUPPY_DATE}\n/test/a.jpg"
    assert string_to_sign(request) == text
    authorization = f"AWS {EXAMPLE_ACCESS_KEY}:{sign(EXAMPLE_SECRET_KEY, text)}"
    headers = [*request.headers.items(), ("Authorization", authorization)]
    check(SignedRequest.of("PUT", b"/test/a.jpg", headers))


@pytest.mark.parametrize(
    "changes",
    [
        {"Content_Type": "image/png"},
        {"Date": "Tue, 27 Mar 2007 21:15:46 +0000"},
        {"Content_MD5": "4gJE4saaMU4BqNR0kLY+lw=="},
        {"x_amz_acl": "public-read"},
        {"Authorization": f"AWS {EXAMPLE_ACCESS_KEY}:iqRzw+ileNPu1fhspnRs8nOjjIB="},
        {"Authorization": "AWS AKIAIOSFODNN7EXAMPLF:iqRzw+ileNPu1fhspnRs8nOjjIA="},
    ],
    ids=str,
)
def test_whatever_of_what_is_signed_was_changed_the_refusal_is_the_same(changes: dict[str, str]):
    assert refusal(puppy(**changes)) == "the access key or the signature is wrong"


def test_a_second_authorization_is_not_chosen_from():
    twice = [("Authorization", f"AWS {EXAMPLE_ACCESS_KEY}:iqRzw+ileNPu1fhspnRs8nOjjIA=")] * 2
    request = SignedRequest.of("PUT", b"/awsexamplebucket1/photos/puppy.jpg", [*twice, ("Date", PUPPY_DATE)])
    assert refusal(request) == "this device signs its uploads: Authorization: AWS <access key>:<signature>"


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (timedelta(minutes=15, seconds=1), "15 minutes"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=8), "8 hours"),
        (timedelta(days=3), "3 days"),
        (timedelta(days=50 * 365.25), "50 years"),
    ],
    ids=str,
)
@pytest.mark.parametrize(("sign_of", "direction"), [(1, "behind"), (-1, "ahead")])
def test_a_clock_that_is_wrong_is_told_by_how_much(off: timedelta, says: str, sign_of: int, direction: str):
    detail = refusal(puppy(), now=PUPPY_AT + sign_of * off)
    assert detail is not None
    assert detail.startswith(f"the device's clock is wrong: {says} {direction}, at most 15 minutes are taken (it is ")


@pytest.mark.parametrize("off", [QUARTER, -QUARTER])
def test_a_clock_may_be_off_by_as_much_as_allowed(off: timedelta):
    check(puppy(), now=PUPPY_AT + off)


@pytest.mark.parametrize(
    "date", ["yesterday", "Sat, 99 Nov 2024 06:11:07 GMT", "Sat, 16 Nov 2024 06:11:07 +9999999999"]
)
def test_a_date_that_cannot_be_read_is_told_what_it_should_be_like(date: str):
    assert refusal(signed(date)) == UNREADABLE


@pytest.mark.parametrize(
    "date", ["Tue, 27 Mar 2007 21:15:45 -0000", "27 Mar 2007 21:15:45", "Tue, 27 Mar 2007 14:15:45 -0700"]
)
def test_other_ways_of_writing_the_same_moment_are_read(date: str):
    check(signed(date), max_skew=timedelta(0))


def test_what_is_refused_shows_no_secret():
    changed = puppy(Date="Tue, 27 Mar 2007 21:15:46 +0000")
    right = sign(EXAMPLE_SECRET_KEY, string_to_sign(changed))
    with pytest.raises(Forbidden) as refused:
        check(changed)
    assert EXAMPLE_SECRET_KEY not in repr(refused.value.info())
    assert right not in repr(refused.value.info())


@given(
    st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,9} \w{3} \d{1,9} \d\d:\d\d:\d\d [+-]?\w{0,12}", fullmatch=True)
)
def test_any_date_is_read_or_refused(date: str):
    detail = ""
    try:
        check(signed(date.encode("latin-1", "replace").decode("latin-1")), max_skew=timedelta(days=3_650_000))
    except Forbidden as refused:
        detail = refused.detail or "?"
    assert detail.partition(":")[0] in ("", "this device signs its uploads", UNREADABLE.partition(":")[0])


@given(st.binary(max_size=80), st.dictionaries(st.text(max_size=12), st.text(max_size=60), max_size=4))
def test_any_request_is_checked_and_none_that_was_not_signed_is_taken(path: bytes, headers: dict[str, str]):
    encodable = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}
    with pytest.raises(Forbidden):
        check(SignedRequest.of("PUT", path, {**puppy().headers, **encodable}.items()))
