"""Users' tokens and tickets: what is believed, and everything else that is not."""

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.tickets import AUDIENCE, Ticket, Tickets
from api.tokens import Signer, UserTokens, looks_like_token, user_token_key
from shared.domain.ids import OwnerId, new_job_id
from shared.encryption import Sealer

KEY = b"a key of thirty-two bytes for us"
MASTER = Sealer(SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
HOUR = timedelta(hours=1)
TOKENS = UserTokens(KEY)
CLAIMS = ("iss", "aud", "iat", "exp", "sub", "user_id", "epoch")


def made(key: bytes = KEY, *, algorithm: str = "HS256", typ: str | None = "JWT", **changes: Any) -> str:
    """A token as ours are, but for what is to be different; None takes a claim out."""
    now = int(time.time())
    ours = {"iss": "smartsip", "aud": "smartsip", "iat": now, "exp": now + 60, "sub": "7", "user_id": 7, "epoch": 0}
    claims = {name: value for name, value in (ours | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"typ": typ})


def without(claim: str) -> str:
    changes: dict[str, Any] = {claim: None}
    return made(**changes)


def part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_a_token_says_whose_it_is_and_for_how_long():
    token, expires_at = TOKENS.make(7, 3, lifetime=HOUR)
    said = TOKENS.read(token)
    assert said is not None
    assert (said.sub, said.user_id, said.epoch, said.expires_at) == ("7", 7, 3, expires_at)
    assert abs((expires_at - datetime.now(UTC)) - HOUR) < timedelta(seconds=5)
    claims = jwt.decode(token, KEY, algorithms=["HS256"], audience="smartsip", issuer="smartsip")
    assert claims | {"iat": 0} == {
        "iss": "smartsip",
        "aud": "smartsip",
        "sub": "7",
        "user_id": 7,
        "epoch": 3,
        "iat": 0,
        "exp": int(expires_at.timestamp()),
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_a_token_made_elsewhere_with_our_key_and_our_claims_is_believed():
    assert TOKENS.read(made()) is not None
    assert TOKENS.read(made(iat=int(time.time()) + 30)) is not None  # by a clock that is ahead


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(made(b"another key of thirty-two bytes!"), id="another key"),
        pytest.param(made(KEY * 2, algorithm="HS512"), id="another key and algorithm"),
        pytest.param(made(algorithm="HS384", key=KEY + KEY[:16]), id="another algorithm of the family"),
        pytest.param(made(aud="somebody"), id="another audience"),
        pytest.param(made(aud=["somebody", "else"]), id="other audiences"),
        pytest.param(made(aud=AUDIENCE), id="a ticket's audience"),
        pytest.param(made(iss="somebody"), id="another issuer"),
        pytest.param(made(exp=int(time.time()) - 1), id="expired"),
        pytest.param(made(nbf=int(time.time()) + 60), id="not yet valid"),
        *(pytest.param(without(name), id=f"no {name}") for name in CLAIMS),
        pytest.param(made(user_id="7"), id="an id that is text"),
        pytest.param(made(user_id=8), id="an id that is not the subject"),
        pytest.param(made(exp="soon"), id="an end that is none"),
        pytest.param(made(typ="at+jwt"), id="another type"),
        pytest.param(made(typ=None), id="no type"),
        pytest.param(f"{part({'alg': 'none', 'typ': 'JWT'})}.{made().split('.')[1]}.", id="no algorithm"),
        pytest.param(f"{part({'alg': 'None', 'typ': 'JWT'})}.{made().split('.')[1]}.", id="None"),
        pytest.param(
            f"{part({'alg': 'HS256', 'crit': ['x'], 'x': 1})}.{made().split('.', 1)[1]}", id="a header of others"
        ),
        pytest.param(made().rpartition(".")[0] + ".", id="no signature"),
        pytest.param("..", id="nothing"),
        pytest.param("a.b.c", id="rubbish"),
        pytest.param(f"{part({})}.{part({})}.{part({})}", id="empty objects"),
    ],
)
def test_what_is_not_a_token_of_ours_is_not_believed(token: str):
    assert TOKENS.read(token) is None


def test_an_algorithm_of_the_same_family_is_refused_though_its_key_is_ours():
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = made(algorithm="HS512")
    assert TOKENS.read(token) is None


@given(position=st.integers(0, 400), letter=st.sampled_from("Ab0_-."))
def test_a_token_with_one_letter_changed_says_what_it_said_or_nothing(position: int, letter: str):
    token, _ = TOKENS.make(7, 0, lifetime=HOUR)
    position %= len(token)
    changed = token[:position] + letter + token[position + 1 :]
    # The last letter has bits that stand for nothing (RFC 4648 section 3.5): the same bytes, written otherwise.
    assert TOKENS.read(changed) in (None, TOKENS.read(token))
    assert changed[:-1] == token[:-1] or TOKENS.read(changed) is None


@given(st.text(max_size=200))
def test_no_text_is_taken_for_a_token_and_none_is_an_error(text: str):
    assert TOKENS.read(text) is None


def test_the_configured_secret_signs_and_else_a_key_that_only_the_master_key_gives():
    secret = SecretStr("a-secret-of-32-bytes-nobody-has-seen")
    assert user_token_key(secret, MASTER) == secret.get_secret_value().encode()
    assert len(user_token_key(SecretStr("short"), MASTER)) == 32
    derived = user_token_key(None, MASTER)
    assert (len(derived), user_token_key(None, MASTER)) == (32, derived)
    other = Sealer(SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh4="))
    assert user_token_key(None, other) != derived


def test_an_api_key_does_not_look_like_a_token():
    assert not looks_like_token("ssk_abc")
    assert not looks_like_token("a." * 5000)
    assert looks_like_token(made())


def a_ticket(**changes: Any) -> Ticket:
    ticket = Ticket(owner_id=OwnerId(7), owner_name="anna", job_id=new_job_id())
    return replace(ticket, **changes)


def test_a_ticket_is_read_as_it_was_made():
    tickets = Tickets(MASTER, lifetime=HOUR)
    soon = datetime.fromtimestamp(int(time.time()) + 90, UTC)
    for ticket in (a_ticket(), a_ticket(job_id=None, session_id="ü/1"), a_ticket(credential_ends=soon)):
        text, expires_at = tickets.make(ticket)
        assert tickets.read(text) == ticket
        assert expires_at <= (ticket.credential_ends or datetime.now(UTC) + HOUR)


def test_a_ticket_ends():
    text, _ = Tickets(MASTER, lifetime=timedelta(seconds=-1)).make(a_ticket())
    assert Tickets(MASTER, lifetime=HOUR).read(text) is None


def test_a_ticket_is_no_users_token_and_the_other_way_round():
    key = user_token_key(None, MASTER)
    tickets, users = Tickets(MASTER, lifetime=HOUR), UserTokens(key)
    assert users.read(tickets.make(a_ticket())[0]) is None
    assert tickets.read(users.make(7, 0, lifetime=HOUR)[0]) is None
    # Not even with the right audience: each kind has a key of its own.
    assert tickets.read(Signer(key, audience=AUDIENCE).sign({"sub": "7", "name": "anna"}, lifetime=HOUR)[0]) is None
