"""Private redis-servers for tests, on unix sockets in a temporary directory.

    async def test_x(tmp_path):
        with RedisServer(tmp_path) as server:
            client = await open_redis(server.settings())

Nothing listens on the network unless TLS or a port is asked for, then on loopback only.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from sdnblock.blocklist.settings import RedisSettings

_STORAGE = ['save ""']


class RedisServer:
    """One redis-server process. ``options`` are lines of its configuration."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        name: str = "redis",
        password: str | None = None,
        port: int = 0,
        tls: TlsPair | None = None,
        persist: bool = False,
        sentinel: bool = False,
    ) -> None:
        self.directory = directory / name
        self.directory.mkdir(parents=True, exist_ok=True)
        # The path of a unix socket has at most 107 bytes; tmp_path can be longer.
        self._short = Path(tempfile.mkdtemp(prefix="sdnblock-redis-"))
        self.socket = self._short / "s"
        self.password = password
        self.port = port
        self.tls = tls
        self._options = [
            f"port {0 if tls else port}",
            "bind 127.0.0.1",
            f"unixsocket {self.socket}",
            f"dir {self.directory}",
            *([] if sentinel else _STORAGE),
            *(["appendonly yes", "appendfsync always"] if persist else []),
            f"logfile {self.directory / 'log'}",
            "daemonize no",
            *([f"requirepass {password}", f"masterauth {password}"] if password else []),
            *(tls.options(port) if tls else []),
            *options,
        ]
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The unix socket's URL, without a password."""
        return f"unix://{self.socket}"

    def settings(self, **changes: Any) -> RedisSettings:
        """Settings that reach this server, with ``changes``."""
        return RedisSettings(**{"url": self.url, "password": self.password, **changes})

    def start(self) -> None:
        """Start, and return once it answers."""
        config = self.directory / "redis.conf"
        config.write_text("\n".join(self._options) + "\n")
        self._process = subprocess.Popen(
            ["redis-server", str(config), *(["--sentinel"] if self._sentinel else [])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                log = self.directory / "log"
                raise AssertionError(log.read_text() if log.exists() else "redis-server: no log")
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM, as the system does it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no good-bye, nothing saved."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it is there and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start; what it has kept is what ``persist`` made it keep."""
        self.stop()
        self.start()

    def cli(self, *words: str) -> str:
        """Run redis-cli on it, as any other program would; returns what it prints."""
        secret = ["-a", self.password, "--no-auth-warning"] if self.password else []
        done = subprocess.run(
            ["redis-cli", "-s", str(self.socket), *secret, *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.strip()

    def wait_for(self, text: str, *words: str) -> None:
        """Repeat a redis-cli command until it prints ``text``; at most ten seconds."""
        deadline = time.monotonic() + 10
        while text not in (printed := self.cli(*words)):
            assert time.monotonic() < deadline, printed
            time.sleep(0.05)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._short, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        self._process.wait(10)
        self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(self.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(64)[:5] in (b"+PONG", b"-NOAU")
        return False


class TlsPair:
    """A CA, a server certificate for ``localhost`` and a client certificate, made by openssl."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server.key"
        ca_key = directory / "ca.key"
        request = directory / "server.csr"
        names = directory / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=test CA", "-days", "2", "-keyout", ca_key, "-out", self.ca),
        )
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-keyout", self.key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial"),
            *("-days", "2", "-extfile", names, "-out", self.certificate),
        )

    def options(self, port: int) -> list[str]:
        """Configuration lines for a server that speaks TLS on ``port`` and wants a certificate."""
        return [
            f"tls-port {port}",
            f"tls-cert-file {self.certificate}",
            f"tls-key-file {self.key}",
            f"tls-ca-cert-file {self.ca}",
            "tls-auth-clients yes",
        ]


def free_port() -> int:
    """A TCP port of loopback that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
