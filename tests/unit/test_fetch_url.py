"""Fetching what is at a stranger's address: what may be called, what is sent, and how it fails.

127.0.0.1, where the scripted server is, plays the internet; 127.0.0.2 is the inside.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest, MediaRefused, PayloadTooLarge, SmartSipError
from tests.scripted_provider import ScriptedProvider
from tests.scripted_replies import Reply
from workers.services.media.fetch_url import THE_WEB, Fetched, Web, fetch_url, look_up

OUTSIDE: Final = "127.0.0.1"
INSIDE: Final = "127.0.0.2"
NAME: Final = "photos.example"
PHOTO: Final = Reply((b"a ", b"photo"), media_type="image/PNG; charset=binary")


ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na photo"


class Dns:
    """A name server that gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def look_up(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def web(dns: Dns) -> Web:
    return Web(lookup=dns.look_up, may_call=lambda address: address == OUTSIDE, ports=None)


WEB: Final = web(Dns([OUTSIDE]))


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture(autouse=True)
def nothing_said(server: ScriptedProvider) -> None:
    server.forget()


@asynccontextmanager
async def inside(port: int) -> AsyncGenerator[list[str]]:
    """A server inside, on the same port, which notes who called."""
    calls: list[str] = []

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(writer.get_extra_info("peername")[0])
        writer.close()

    async with await asyncio.start_server(called, INSIDE, port):
        yield calls


@asynccontextmanager
async def secure_server(context: ssl.SSLContext, answer: bytes) -> AsyncGenerator[int]:
    """A server outside that answers over TLS; gives its port."""

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(called, OUTSIDE, 0, ssl=context) as opened:
        yield opened.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `NAME`, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def ours(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def believing(certificate: Path) -> Web:
    return replace(WEB, tls=ssl.create_default_context(cafile=certificate))


def at(server: ScriptedProvider, path: str = "/photo.png", *, host: str = NAME) -> str:
    return f"http://{host}:{server.port}{path}"


def to(location: str, *, status: int = 302) -> Reply:
    return Reply((), status=status, headers={"Location": location})


async def refusal(url: str, *, web: Web = WEB, max_bytes: int = 100, timeout_s: float = 5) -> SmartSipError:
    with pytest.raises(SmartSipError) as caught:
        await fetch_url(url, max_bytes=max_bytes, timeout_s=timeout_s, field="image", web=web)
    assert caught.value.field == "image"
    for address in (OUTSIDE, INSIDE):
        assert address in url or address not in (caught.value.detail or "")
    return caught.value


async def test_what_is_there_is_returned_with_what_its_server_calls_it(server: ScriptedProvider) -> None:
    server.play(PHOTO)
    fetched = await fetch_url(at(server), max_bytes=7, timeout_s=5, web=WEB)
    assert fetched == Fetched(content=b"a photo", media_type="image/png")


async def test_nothing_of_this_process_goes_along(
    server: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NAME} login me password secret\n")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    server.play(replace(to(at(server)), headers={"Location": at(server), "Set-Cookie": "a=b"}), PHOTO)
    await fetch_url(at(server, "/first"), max_bytes=100, timeout_s=5, web=WEB)
    sent = {
        "host": f"{NAME}:{server.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "SmartSip",
        "connection": "close",
    }
    assert [(exchange.method, exchange.path, exchange.headers) for exchange in server.exchanges] == [
        ("GET", "/first", sent),
        ("GET", "/photo.png", sent),
    ]


async def test_a_signed_link_is_sent_to_the_letter(server: ScriptedProvider) -> None:
    server.play(PHOTO)
    path = "/a%2Fb/%7Ec/../d?X-Sig=a%2Bb%2F+c&e=%20~"
    await fetch_url(at(server, f"{path}#part"), max_bytes=100, timeout_s=5, web=WEB)
    assert server.exchanges[0].path == path


async def test_letters_beyond_ascii_are_sent_encoded(server: ScriptedProvider) -> None:
    server.play(PHOTO)
    dns = Dns([OUTSIDE])
    await fetch_url(at(server, "/é t?ü=ß", host="münchen.example"), max_bytes=100, timeout_s=5, web=web(dns))
    assert (dns.asked, server.exchanges[0].path) == (["xn--mnchen-3ya.example"], "/%C3%A9%20t?%C3%BC=%C3%9F")


class TestAddresses:
    async def test_a_name_is_looked_up_once_for_a_connection_that_goes_where_was_checked(
        self, server: ScriptedProvider
    ) -> None:
        server.play(PHOTO)
        dns = Dns([OUTSIDE], [INSIDE])
        async with inside(server.port) as calls:
            await fetch_url(at(server), max_bytes=100, timeout_s=5, web=web(dns))
        assert (dns.asked, calls, len(server.exchanges)) == ([NAME], [], 1)

    async def test_a_name_that_is_inside_at_the_second_look_is_not_called_there(self, server: ScriptedProvider) -> None:
        server.play(to("/second"))
        dns = Dns([OUTSIDE], [INSIDE])
        async with inside(server.port) as calls:
            error = await refusal(at(server), web=web(dns))
        assert (dns.asked, calls, len(server.exchanges)) == ([NAME, NAME], [], 1)
        assert str(error) == f"{NAME} redirects to an address that is not called."

    @pytest.mark.parametrize("addresses", [[INSIDE], [OUTSIDE, INSIDE], [INSIDE, OUTSIDE], []])
    async def test_every_address_of_a_name_must_be_one_that_may_be_called(
        self, server: ScriptedProvider, addresses: list[str]
    ) -> None:
        async with inside(server.port) as calls:
            error = await refusal(at(server), web=web(Dns(addresses)))
        assert (type(error), calls, server.exchanges) == (MediaRefused, [], [])
        assert str(error) == f"{NAME} has no address that may be called: only public ones are."

    async def test_a_name_that_does_not_exist_looks_like_one_inside(self, server: ScriptedProvider) -> None:
        async def unknown(name: str) -> list[str]:
            raise OSError(f"no {name}")

        error = await refusal(at(server), web=replace(WEB, lookup=unknown))
        assert str(error) == f"{NAME} has no address that may be called: only public ones are."

    @pytest.mark.parametrize("host", [INSIDE, "[::1]", "[::ffff:127.0.0.1]", "127.0.0.2."])
    async def test_an_address_in_the_url_is_checked_without_a_look_up(
        self, server: ScriptedProvider, host: str
    ) -> None:
        dns = Dns([OUTSIDE])
        async with inside(server.port) as calls:
            error = await refusal(at(server, host=host), web=web(dns))
        assert (type(error), dns.asked, calls) == (MediaRefused, [], [])
        assert str(error).endswith("has no address that may be called: only public ones are.")

    async def test_the_socket_is_not_opened_where_everything_before_it_was_fooled(
        self, server: ScriptedProvider
    ) -> None:
        asked: list[str] = []

        def may_call(address: str) -> bool:
            asked.append(address)
            return len(asked) == 1  # the resolver's check passes

        async with inside(server.port) as calls:
            error = await refusal(at(server), web=replace(web(Dns([INSIDE])), may_call=may_call))
        assert (str(error), asked, calls) == (f"{NAME} cannot be reached.", [INSIDE, INSIDE], [])

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost."])
    async def test_this_machine_is_not_called_as_things_are(self, server: ScriptedProvider, host: str) -> None:
        open_port = replace(THE_WEB, ports=None)
        error = await refusal(at(server, host=host), web=open_port)
        assert (type(error), server.exchanges) == (MediaRefused, [])

    async def test_addresses_the_administrator_stands_for_may_be_anywhere(self, server: ScriptedProvider) -> None:
        server.play(PHOTO)
        fetched = await fetch_url(at(server, host="localhost"), max_bytes=100, timeout_s=5, allow_private=True)
        assert fetched.content == b"a photo"

    async def test_a_name_has_its_addresses_without_repetition(self) -> None:
        assert "127.0.0.1" in await look_up("localhost")


class TestForms:
    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("ftp://photos.example/a", "does not begin with https:// or http://"),
            ("file:///etc/passwd", "does not begin with https:// or http://"),
            ("//photos.example/a", "does not begin with https:// or http://"),
            ("", "does not begin with https:// or http://"),
            ("http://me:secret@photos.example/a", "has a user or a password"),
            ("http://photos.example@127.0.0.1/a", "has a user or a password"),
            ("http://:secret@photos.example/a", "has a user or a password"),
            ("https://photos.example:22/a", "names a port that is not called"),
            ("https://photos.example:0/a", "names a port that is not called"),
            ("http:///a", "names no host that can be called"),
            ("http://[::1/a", "names no host that can be called"),
            ("http://[]@/a", "names no host that can be called"),
            ("http://photos.example:x/a", "names no host that can be called"),
            ("http://photos.example:99999/a", "names no host that can be called"),
            ("http://photos.example\\@127.0.0.1/", "names no host that can be called"),
            ("http://2130706433/", "names no host that can be called"),
            ("http://127.1/", "names no host that can be called"),
            ("http://0x7f.0.0.1/", "names no host that can be called"),
            ("http://0177.0.0.1./", "names no host that can be called"),
            ("http://[fe80::1%25lo]/", "names no host that can be called"),
            ("http://%31%32%37.0.0.1/", "names no host that can be called"),
        ],
    )
    async def test_what_is_no_address_of_the_web_is_refused_before_anything_is_looked_up(
        self, url: str, why: str
    ) -> None:
        dns = Dns([OUTSIDE])
        error = await refusal(url, web=Web(lookup=dns.look_up))
        assert (type(error), str(error), dns.asked) == (InvalidRequest, f"This URL cannot be fetched: it {why}.", [])

    @pytest.mark.parametrize("port", ["", ":80", ":443", ":8080", ":8443"])
    @pytest.mark.parametrize("scheme", ["http", "https", "HTTPS"])
    async def test_the_ports_of_the_web_are_called(self, scheme: str, port: str) -> None:
        dns = Dns([INSIDE])
        error = await refusal(f"{scheme}://{NAME}{port}/a", web=Web(lookup=dns.look_up))
        assert (type(error), dns.asked) == (MediaRefused, [NAME])

    @settings(max_examples=200)
    @given(st.text() | st.text("htps:/@[].0127%\\#?&fe ").map("http://{}".format))
    def test_any_text_is_fetched_or_refused(self, text: str) -> None:
        async def nobody(name: str) -> list[str]:
            return []

        with pytest.raises((InvalidRequest, MediaRefused)):
            asyncio.run(fetch_url(text, max_bytes=1, timeout_s=5, web=Web(lookup=nobody)))


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_three_redirects_are_followed(self, server: ScriptedProvider, status: int) -> None:
        server.play(to("b", status=status), to("/c"), to(at(server, "/d", host="other.example")), PHOTO)
        fetched = await fetch_url(at(server, "/x/a"), max_bytes=100, timeout_s=5, web=WEB)
        assert fetched.content == b"a photo"
        assert [exchange.path for exchange in server.exchanges] == ["/x/a", "/x/b", "/c", "/d"]

    async def test_a_fourth_one_is_not(self, server: ScriptedProvider) -> None:
        server.play(to("/again"))
        error = await refusal(at(server))
        assert (str(error), len(server.exchanges)) == (f"{NAME} redirects more than 3 times.", 4)

    @pytest.mark.parametrize(
        "location",
        [
            "",
            "/a b\x00c://",
            "ftp://photos.example/",
            "file:///etc/passwd",
            "//me@photos.example/",
            "http://127.1/",
            "http://[::1/",
        ],
    )
    async def test_a_redirect_to_what_is_no_address_of_the_web_is_refused(
        self, server: ScriptedProvider, location: str
    ) -> None:
        server.play(to(location), Reply((), status=404))
        error = await refusal(at(server))
        assert type(error) is MediaRefused

    async def test_a_redirect_to_another_port_is_refused(self, server: ScriptedProvider) -> None:
        server.play(to(f"http://{NAME}:22/"))
        error = await refusal(at(server), web=replace(WEB, ports=frozenset({server.port})))
        assert (str(error), len(server.exchanges)) == (f"{NAME} redirects to what cannot be fetched.", 1)

    @settings(max_examples=15, deadline=None)
    @given(hops=st.lists(st.sampled_from([OUTSIDE, INSIDE]), max_size=5), data=st.data())
    def test_no_chain_of_redirects_leads_inside(
        self, server: ScriptedProvider, hops: list[str], data: st.DataObject
    ) -> None:
        by_name = [data.draw(st.booleans()) for _ in hops]
        names = {f"host{number}.example": address for number, address in enumerate(hops)}
        hosts = [name if named else names[name] for name, named in zip(names, by_name, strict=True)]

        async def known(name: str) -> list[str]:
            return [names.get(name, OUTSIDE)]

        async def run() -> list[str]:
            server.forget()
            server.play(*(to(at(server, host=host)) for host in hosts), PHOTO)
            async with inside(server.port) as calls:
                if INSIDE in hops or len(hops) > 3:
                    await refusal(at(server), web=replace(WEB, lookup=known))
                else:
                    await fetch_url(at(server), max_bytes=100, timeout_s=5, web=replace(WEB, lookup=known))
            return calls

        assert asyncio.run(run()) == []


class TestAnswers:
    @pytest.mark.parametrize("status", [204, 206, 304, 400, 404, 410, 500, 503])
    async def test_whatever_is_not_the_thing_is_refused_with_its_status(
        self, server: ScriptedProvider, status: int
    ) -> None:
        server.play(replace(PHOTO, status=status, framing="close", pieces=()))
        error = await refusal(at(server))
        assert (type(error), str(error)) == (MediaRefused, f"{NAME} answered with status {status}.")

    @pytest.mark.parametrize("framing", ["chunked", "length", "close"])
    async def test_a_byte_too_many_is_refused_and_the_connection_closed(
        self, server: ScriptedProvider, framing: str
    ) -> None:
        server.play(replace(PHOTO, framing=framing))
        error = await refusal(at(server), max_bytes=6)
        assert (type(error), str(error)) == (
            PayloadTooLarge,
            f"{NAME} sends more than the 6 bytes that are taken.",
        )

    async def test_what_is_said_to_be_too_much_is_not_waited_for(self, server: ScriptedProvider) -> None:
        said = {"content-length": "101"}
        server.play(Reply((b"x",), headers=said, framing="length", ending="stall"))
        assert type(await refusal(at(server))) is PayloadTooLarge

    async def test_what_never_ends_is_cut_off(self, server: ScriptedProvider) -> None:
        server.play(Reply((b"x" * 50,) * 10_000, ending="stall"))
        error = await refusal(at(server))
        assert type(error) is PayloadTooLarge
        await server.wait_closed()

    async def test_too_slow_is_told_of_the_whole_not_of_each_byte(self, server: ScriptedProvider) -> None:
        server.play(Reply(tuple(b"x" for _ in range(90)), gap_s=0.02))
        error = await refusal(at(server), timeout_s=0.2)
        assert (type(error), str(error)) == (MediaRefused, f"{NAME} did not send it within 0.2 s.")
        await server.wait_closed()

    async def test_a_server_that_says_nothing_is_too_slow(self, server: ScriptedProvider) -> None:
        server.play(PHOTO.delayed(30))
        error = await refusal(at(server), timeout_s=0.1)
        assert str(error) == f"{NAME} did not send it within 0.1 s."

    async def test_a_name_server_that_says_nothing_is_too_slow(self, server: ScriptedProvider) -> None:
        async def silent(name: str) -> list[str]:
            return await asyncio.get_running_loop().create_future()

        error = await refusal(at(server), timeout_s=0.1, web=replace(WEB, lookup=silent))
        assert str(error) == f"{NAME} did not send it within 0.1 s."

    @pytest.mark.parametrize("half", [PHOTO.cut_after(3), PHOTO.reset_after(3)])
    async def test_half_of_it_is_nothing(self, server: ScriptedProvider, half: Reply) -> None:
        server.play(half)
        error = await refusal(at(server))
        assert str(error) == f"{NAME} broke the connection, or does not answer in HTTP."

    async def test_nobody_there_is_said_so(self, server: ScriptedProvider) -> None:
        with socket.socket() as bound:
            bound.bind((OUTSIDE, 0))  # and does not listen
            error = await refusal(f"http://{NAME}:{bound.getsockname()[1]}/")
        assert str(error) == f"{NAME} cannot be reached."

    @pytest.mark.parametrize("encoding", ["gzip", "br", "identity, deflate"])
    async def test_what_is_compressed_without_being_asked_is_not_unpacked(
        self, server: ScriptedProvider, encoding: str
    ) -> None:
        server.play(replace(PHOTO, headers={"Content-Encoding": encoding}))
        error = await refusal(at(server))
        assert str(error) == f"{NAME} sent it compressed, which was not asked for."

    async def test_cancelling_closes_the_socket(self, server: ScriptedProvider) -> None:
        server.play(PHOTO.stalled_after(2))
        task = asyncio.create_task(fetch_url(at(server), max_bytes=100, timeout_s=30, web=WEB))
        await server.until(lambda: bool(server.exchanges) and server.exchanges[0].pieces_sent == 1)
        task.cancel()
        await server.wait_closed()
        with pytest.raises(asyncio.CancelledError):
            await task

    def test_a_repr_shows_no_content(self) -> None:
        assert repr(Fetched(content=b"secret", media_type="image/png")) == "Fetched(media_type='image/png')"


class TestTls:
    async def test_the_certificate_must_be_for_the_name(self, ours: ssl.SSLContext, believing: Web) -> None:
        async with secure_server(ours, ANSWER) as port:
            fetched = await fetch_url(f"https://{NAME}.:{port}/", max_bytes=100, timeout_s=5, web=believing)
            error = await refusal(f"https://other.example:{port}/", web=believing)
        assert fetched.content == b"a photo"
        assert str(error) == "other.example cannot be reached securely: its certificate or its TLS was refused."

    async def test_a_certificate_that_nobody_vouches_for_is_refused(self, ours: ssl.SSLContext) -> None:
        async with secure_server(ours, ANSWER) as port:
            error = await refusal(f"https://{NAME}:{port}/")
        assert str(error) == f"{NAME} cannot be reached securely: its certificate or its TLS was refused."

    async def test_nobody_is_led_from_https_to_http(
        self, ours: ssl.SSLContext, believing: Web, server: ScriptedProvider
    ) -> None:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {at(server)}\r\nContent-Length: 0\r\n\r\n"
        async with secure_server(ours, moved.encode()) as port:
            error = await refusal(f"https://{NAME}:{port}/", web=believing)
        assert (str(error), server.exchanges) == (f"{NAME} redirects from https to http.", [])
