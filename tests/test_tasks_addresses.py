"""The wall around callbacks: what is refused, however it is written, and what gets through."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipstream.errors import InvalidInputError
from slipstream.tasks.addresses import Wall, is_public, parsed
from slipstream.tasks.delivery import Sender
from slipstream.tasks.resolver import ResolveError, Resolver

REFUSED_ADDRESSES = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1
255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe 64:ff9b::127.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b::10.1.2.3 64:ff9b:1::1 100::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::
2002:c0a8:101:: 3fff::1 5f00::1 fc00::1 fd00::1
fd00:ec2::254 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff05::2 4000::1
""".split()
PUBLIC_ADDRESSES = """
1.1.1.1 8.8.8.8 93.184.215.14 172.15.255.255 172.32.0.1 192.167.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001:82a::200e ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::
""".split()


@pytest.mark.parametrize("text", REFUSED_ADDRESSES)
def test_an_address_that_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC_ADDRESSES)
def test_a_public_address(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


REFUSED_URLS = [
    ("", "https://"),
    ("example.com/x", "https://"),
    ("ftp://example.com/", "https://"),
    ("file:///etc/passwd", "https://"),
    ("gopher://example.com/", "https://"),
    ("javascript:alert(1)", "https://"),
    ("https://", "names no host"),
    ("https:///path", "names no host"),
    ("https://.../", "names no host"),
    ("https://-a.example.com/", "names no host"),
    ("https://exa mple.com/", "spaces"),
    ("https://example.com/\r\nX-Evil: 1", "spaces"),
    ("https://exämple.com/", "Punycode"),
    ("https://example.com\\@127.0.0.1/", "'\\'"),
    ("https://user:secret@example.com/", "user name"),
    ("https://example.com@127.0.0.1/", "user name"),
    ("https://example.com/#part", "fragment"),
    ("https://example.com/#", "fragment"),
    ("https://example.com:0/", "port is 0"),
    ("https://example.com:65536/", "no URL"),
    ("https://example.com:x/", "no URL"),
    ("https://[::1/", "no URL"),
    ("https://[127.0.0.1]/", ""),
    ("https://[fe80::1%25eth0]/", ""),
    ("https://" + "a" * 64 + ".com/", "names no host"),
    ("https://example.com/" + "a" * 2048, "characters"),
    ("http://example.com/", "plain http"),
    ("https://127.0.0.1/", "public address"),
    ("https://[::1]/", "public address"),
    ("https://[::ffff:127.0.0.1]/", "public address"),
    ("https://[64:ff9b::a9fe:a9fe]/", "public address"),
    ("https://169.254.169.254/latest/meta-data/", "public address"),
    ("https://10.0.0.1:8443/", "public address"),
    ("https://2130706433/", "unusual way"),
    ("https://0x7f000001/", "unusual way"),
    ("https://0x7f.0.0.1/", "unusual way"),
    ("https://0177.0.0.1/", "unusual way"),
    ("https://017700000001/", "unusual way"),
    ("https://127.1/", "unusual way"),
    ("https://127.0.1/", "unusual way"),
    ("https://0/", "unusual way"),
    ("https://1.2.3.4.5/", "unusual way"),
    ("https://example.0x7f/", "unusual way"),
    ("https://localhost/", "not a public host"),
    ("https://LOCALHOST./", "not a public host"),
    ("https://a.localhost/", "not a public host"),
    ("https://metadata.google.internal/", "not a public host"),
    ("https://printer.local/", "not a public host"),
    ("https://router.home.arpa/", "not a public host"),
    ("https://intranet/", "not a public host"),
    ("https://db/", "local network"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED_URLS, ids=lambda value: str(value)[:40])
def test_a_url_that_is_refused_from_looking_at_it(url: str, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Wall(()).target(url)
    assert caught.value.message.startswith("'callback_url' is not valid: ")
    assert reason in caught.value.message
    assert caught.value.details == {"key": "callback_url"}


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("https://EXAMPLE.com./a?b=c", "example.com", 443, "/a?b=c", "example.com"),
        ("HTTPS://example.com:8443?x", "example.com", 8443, "/?x", "example.com:8443"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        (
            "https://[2606:4700:4700:0::1111]:444/",
            *("2606:4700:4700::1111", 444, "/", "[2606:4700:4700::1111]:444"),
        ),
        ("https://xn--exmple-cua.com/%20", "xn--exmple-cua.com", 443, "/%20", "xn--exmple-cua.com"),
    ],
)
def test_a_url_that_is_taken(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = Wall(()).target(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert target.authority == authority


class TestAllowedHosts:
    @pytest.mark.parametrize(
        ("listed", "url", "allowed"),
        [
            ("localhost", "http://localhost:8080/x", True),
            ("LOCALHOST", "http://localhost/", True),
            ("localhost:8080", "http://localhost:8080/", True),
            ("localhost:8080", "http://localhost:8081/", False),
            ("localhost:443", "https://localhost/", True),
            ("127.0.0.1", "http://127.0.0.1/", True),
            ("127.0.0.1", "http://127.0.0.2/", False),
            ("::1", "http://[::1]:80/", True),
            ("[::1]:80", "http://[0::1]/", True),
            ("[::1]:80", "http://[::1]:81/", False),
            ("example.com", "http://example.com/", True),
            ("example.com", "http://a.example.com/", False),
            ("example.com", "http://example.com.evil.org/", False),
            ("localhost", "http://user@localhost/", False),
            ("127.0.0.1", "http://127.1/", False),
        ],
    )
    def test_only_the_host_that_is_listed(self, listed: str, url: str, allowed: bool) -> None:
        wall = Wall((listed,))
        if allowed:
            wall.check([ipaddress.ip_address("127.0.0.1")], wall.target(url))
            return
        with pytest.raises(InvalidInputError):
            wall.target(url)


class Receiver(HTTPServer):
    """A receiver on the loopback address that counts what reaches it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reached: list[str] = []
        self.answer = (200, {"content-length": "0"}, b"")


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.reached.append(f"{self.headers['host']} {self.path}")
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


class Names:
    """A resolver that changes its answer: the name server of whoever attacks by rebinding."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def post(url: str, names: Any, listed: tuple[str, ...] = (), timeout_s: float = 5.0) -> Any:
    sender = Sender(Wall(listed), Resolver(names), timeout_s)
    return asyncio.run(sender.post(url, [("webhook-id", "x")], b"{}"))


class TestSending:
    def test_what_was_checked_is_what_is_connected_to(self, receiver: Receiver) -> None:
        """The name is asked for once; its second answer is never seen."""
        names = Names(["127.0.0.1"], ["192.0.2.1"])
        listed = f"receiver.example:{receiver.server_port}"
        got = post(f"http://{listed}/a?b=1", names, (listed,))
        assert (got.status_code, got.error, names.asked) == (200, None, 1)
        assert receiver.reached == [f"{listed} /a?b=1"]

    @pytest.mark.parametrize(
        "answer",
        [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["fe80::1%lo"]],
        ids=str,
    )
    def test_a_name_that_came_to_point_inside(self, receiver: Receiver, answer: list[str]) -> None:
        """Public when the task was submitted, private when the callback is due."""
        wall, resolver = Wall(()), Resolver(Names(["8.8.8.8"], answer))
        target = wall.target(f"https://rebind.example:{receiver.server_port}/")

        async def submit_and_deliver() -> Any:
            wall.check(await resolver.resolve(target, 5), target)
            url = f"https://rebind.example:{receiver.server_port}/"
            return await Sender(wall, resolver, 5).post(url, [], b"{}")

        got = asyncio.run(submit_and_deliver())
        assert got.is_final and got.status_code is None
        assert "not at a public address" in got.error
        assert not any(text in got.error for text in answer)
        assert receiver.reached == []

    def test_redirects_are_not_followed(self, receiver: Receiver) -> None:
        receiver.answer = (307, {"location": "/elsewhere", "content-length": "0"}, b"")
        port = receiver.server_port
        got = post(f"http://127.0.0.1:{port}/", None, ("127.0.0.1",))
        assert (got.status_code, got.error) == (307, "redirects are not followed (307)")
        assert receiver.reached == [f"127.0.0.1:{port} /"]

    def test_of_the_answer_only_the_status_is_read(self, receiver: Receiver) -> None:
        receiver.answer = (200, {"content-length": str(1 << 40)}, b"x" * 100_000)
        got = post(f"http://127.0.0.1:{receiver.server_port}/", None, ("127.0.0.1",))
        assert (got.status_code, got.error) == (200, None)

    def test_a_head_without_end_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nx: " + b"a" * (1 << 20))

            threading.Thread(target=answer, daemon=True).start()
            got = post(f"http://127.0.0.1:{listening.getsockname()[1]}/", None, ("127.0.0.1",))
        assert got.status_code is None and got.error

    def test_a_receiver_that_does_not_answer_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            got = post(url, None, ("127.0.0.1",), timeout_s=0.2)
        assert (got.status_code, got.error) == (None, "no answer within 0.2 s")
        assert not got.is_final

    def test_a_name_server_that_does_not_answer_is_given_up(self) -> None:
        release = threading.Event()

        def hang(host: str, port: int) -> list[str]:
            release.wait(30)
            return ["127.0.0.1"]

        got = post("https://slow.example/", hang, timeout_s=0.2)
        release.set()
        assert got.status_code is None and not got.is_final

    def test_the_next_address_is_tried(self, receiver: Receiver) -> None:
        listed = f"receiver.example:{receiver.server_port}"
        got = post(f"http://{listed}/", Names(["127.0.0.2", "127.0.0.1"]), (listed,))
        assert (got.status_code, got.error) == (200, None)

    def test_a_closed_port_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        got = post(f"http://127.0.0.1:{port}/", None, ("127.0.0.1",))
        assert got.status_code is None and got.error and not got.is_final


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a name, which is its own authority, and its key."""
    files = folder / "certificate.pem", folder / "key.pem"
    made = subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} "
        f"-addext subjectAltName=DNS:{name} -keyout {files[1]} -out {files[0]}".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("openssl is needed to make a certificate")
    return files


class TestTls:
    @pytest.mark.parametrize("name", ["receiver.example", "other.example"])
    def test_the_certificate_must_be_for_the_name(
        self, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """The connection goes to an address; what must be proven is the name of the URL."""
        trusted, key = certificate(tmp_path, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(trusted, key)
        asked: list[str | None] = []
        context.sni_callback = lambda _socket, host, _context: asked.append(host)
        receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        host = f"receiver.example:{receiver.server_port}"
        got = post(f"https://{host}/", Names(["127.0.0.1"]), (host,))
        assert asked == ["receiver.example"]
        if name == "receiver.example":
            assert (got.status_code, got.error) == (200, None)
            assert receiver.reached == [f"{host} /"]
        else:
            assert got.status_code is None and "certificate" in got.error.lower()
            assert receiver.reached == []

    def test_a_certificate_that_nobody_vouches_for(
        self, receiver: Receiver, tmp_path: Path
    ) -> None:
        files = certificate(tmp_path, "receiver.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
        host = f"receiver.example:{receiver.server_port}"
        got = post(f"https://{host}/", Names(["127.0.0.1"]), (host,))
        assert got.status_code is None and not got.is_final
        assert receiver.reached == []


class TestResolver:
    def test_a_name_that_is_not_known(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise socket.gaierror(-2, "Name or service not known")

        with pytest.raises(ResolveError, match=r"absent\.example was not found"):
            asyncio.run(Resolver(unknown).resolve(parsed("https://absent.example/"), 5))

    def test_lookups_that_hang_are_few(self) -> None:
        release = threading.Event()
        asked = []

        def hang(host: str, port: int) -> list[str]:
            asked.append(host)
            release.wait(30)
            return ["8.8.8.8"]

        async def many() -> list[Any]:
            resolver = Resolver(hang)
            target = parsed("https://slow.example/")
            waits = [resolver.resolve(target, 0.1) for _ in range(50)]
            return await asyncio.gather(*waits, return_exceptions=True)

        got = asyncio.run(many())
        release.set()
        assert all(isinstance(one, ResolveError) for one in got)
        assert len(asked) == 16
