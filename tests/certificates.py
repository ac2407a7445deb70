"""Certificates for tests, by openssl: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signed:
    """PEM files."""

    certificate: Path
    key: Path
    ca: Path


class Authority:
    """A certificate authority of its own, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-out", self.certificate, "-keyout", self._key),
        )

    def sign(self, name: str) -> Signed:
        """A certificate for somebody."""
        base = self._folder / f"{self._name}-{name}"
        key, request, pem = (base.with_suffix(f".{end}") for end in ("key", "csr", "pem"))
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-out", request, "-keyout", key),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-out", pem),
            *("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"),
        )
        return Signed(pem, key, self.certificate)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
