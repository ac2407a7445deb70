"""``[hep]``: where we listen, and whom we believe. Plain values and their checks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sdnblock.block import Prefix, Source, covers, parse_prefix, source_of
from sdnblock.errors import SdnblockError

LOOPBACK: Final = (Prefix(bytes((127, 0, 0, 0)), 8), Source(bytes(15) + b"\1"))
_REMEMBERED: Final = 4096
_PREFIXES: Final = {"parse": parse_prefix}


@dataclass(frozen=True, slots=True)
class HepSettings:
    """Whoever can send us HEP can get an address blocked: loopback only, unless both a key and
    a list of senders say otherwise."""

    enabled: bool = False
    listen: str = "127.0.0.1:9060"
    """``address:port``, UDP and TCP; IPv6 in brackets."""
    senders: tuple[Source | Prefix, ...] = field(default=LOOPBACK, metadata=_PREFIXES)
    """Addresses that packets are taken from."""
    sniffers: tuple[Source | Prefix, ...] = field(default=(), metadata=_PREFIXES)
    """Senders that copy packets off the wire and do not know whether a connection stands."""
    keyless: tuple[Source | Prefix, ...] = field(default=(), metadata=_PREFIXES)
    """Senders that cannot send a key, and come by a way on which nobody can forge them."""
    partial: tuple[Source | Prefix, ...] = field(default=(), metadata=_PREFIXES)
    """Senders that copy only some of their server's messages."""
    key: str | None = field(default=None, repr=False, metadata={"kind": str})
    """What every packet must carry; None: nothing is asked for."""
    key_file: Path | None = field(default=None, metadata={"kind": Path})
    """File whose first line is the key."""
    max_age: float = field(default=60.0, metadata={"duration": True})
    """Seconds by which a packet's time may differ from ours."""

    def problem(self) -> tuple[str, str] | None:
        """The key that is wrong and why; None if all is well."""
        try:
            address, _ = self.endpoint()
        except ValueError as error:
            return "listen", str(error)
        if self.key is not None and self.key_file is not None:
            return "key", "give key or key_file, not both"
        if self.key == "":
            return "key", "is empty"
        if not self.senders:
            return "senders", "is empty: nobody could send"
        public = not ipaddress.ip_address(address).is_loopback
        if public and self.senders == LOOPBACK:
            return "senders", f"{self.listen} can be reached from elsewhere: say who may send"
        if self.key is None and self.key_file is None:
            excused = [source_of(each) for each in (*LOOPBACK, *self.keyless)]
            for sender in self.senders:
                if not any(covers(each, source_of(sender)) for each in excused):
                    return "key", f"the sender {sender} is another machine: that needs a key"
        return None

    def endpoint(self) -> tuple[str, int]:
        """Address and port to listen on. Raises ValueError."""
        found = re.fullmatch(
            r"(?:([0-9.]+)|\[([0-9a-f:.]+)\]):([0-9]{1,5})", self.listen, re.ASCII | re.IGNORECASE
        )
        try:
            address = ipaddress.ip_address((found[1] or found[2]) if found else "")
        except ValueError:
            found = None
        if found is None or int(found[3]) > 65535:
            raise ValueError(f"{self.listen!a} is not like 127.0.0.1:9060 or [2001:db8::1]:9060")
        return str(address), int(found[3])

    def secret(self) -> bytes | None:
        """The key, read now. Raises SdnblockError for a file that has none."""
        if self.key_file is None:
            return None if self.key is None else self.key.encode()
        try:
            first = self.key_file.read_bytes()[:4096].partition(b"\n")[0].rstrip(b"\r")
        except OSError as error:
            raise SdnblockError(
                f"cannot read the HEP key file {self.key_file}: {error.strerror}"
            ) from None
        if not first:
            raise SdnblockError(f"the HEP key file {self.key_file} begins with an empty line")
        return first


class Among:
    """Whether an address is in a list of prefixes."""

    def __init__(self, prefixes: Iterable[Source | Prefix]) -> None:
        self._prefixes = [source_of(prefix) for prefix in prefixes]
        self._known: dict[bytes, bool] = {}

    def __contains__(self, address: bytes) -> bool:
        known = self._known.get(address)
        if known is None:
            own = (address, len(address) * 8)
            known = any(covers(prefix, own) for prefix in self._prefixes)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[address] = known
        return known
