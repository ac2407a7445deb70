"""What the tests of the P4Runtime driver share: the compiled P4Info, and targets to draw from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format
from hypothesis import strategies as st

from sdnblock import artifacts
from sdnblock.block import TCP, UDP, Flow, Prefix, Source
from sdnblock.errors import SdnblockError
from sdnblock.switches.p4runtime.codec import Codec
from sdnblock.switches.p4runtime.schema import Schema, read_schema


def artifact(name: str) -> Path:
    """A compiled file; the test is skipped where it has not been built."""
    try:
        return artifacts.artifact(name)
    except SdnblockError as error:
        pytest.skip(str(error))


@cache
def _p4info() -> p4i.P4Info:
    return text_format.Parse(artifact("sdnblock.p4info.txtpb").read_text(), p4i.P4Info())


def p4info() -> p4i.P4Info:
    """A P4Info of one's own to spoil."""
    copy = p4i.P4Info()
    copy.CopyFrom(_p4info())
    return copy


@cache
def schema() -> Schema:
    """The pipeline's objects."""
    return read_schema(_p4info())


@cache
def codec() -> Codec:
    """The pipeline's codec."""
    return Codec(schema())


def _not_mapped(address: bytes) -> bool:
    return any(address) and not (len(address) == 16 and address.startswith(bytes(10) + b"\xff\xff"))


def addresses(width: int) -> st.SearchStrategy[bytes]:
    """Addresses that can be targets, short canonical forms included."""
    short = st.integers(1, 300).map(lambda n: n.to_bytes(width, "big"))
    return st.one_of(st.binary(min_size=width, max_size=width), short).filter(_not_mapped)


def _prefix(address: bytes, length: int) -> Prefix | None:
    bits = len(address) * 8
    number = int.from_bytes(address, "big") >> (bits - length) << (bits - length)
    masked = number.to_bytes(len(address), "big")
    if len(masked) == 16 and masked.startswith(bytes(10) + b"\xff\xff"):
        return None
    return Prefix(masked, length)


widths = st.sampled_from([4, 16])
sources = widths.flatmap(addresses).map(Source)
prefixes = (
    widths.flatmap(
        lambda width: st.builds(
            _prefix,
            st.binary(min_size=width, max_size=width),
            st.integers(1, width * 8 - 1),
        )
    )
    .filter(lambda prefix: prefix is not None)
    .map(lambda prefix: prefix)
)
ports = st.integers(1, 65535)
flows = widths.flatmap(
    lambda width: st.builds(
        Flow, st.sampled_from([UDP, TCP]), addresses(width), ports, addresses(width), ports
    )
)
targets = st.one_of(sources, prefixes, flows)
