"""What the data plane reports, as stream messages (P4Runtime specification 9.8 and 16.1)."""

from __future__ import annotations

from finsy.proto import p4d, p4r

from sdnblock.softswitch.bytestring import canonical, encode
from sdnblock.softswitch.dataplane import RemoteDigest, SampledPacket
from sdnblock.softswitch.schema import Schema


def packet_in(schema: Schema, sample: SampledPacket) -> p4r.PacketIn:
    """A sampled packet with the metadata of the ``packet_in`` header."""
    message = p4r.PacketIn(payload=sample.frame)
    values = {"ingress_port": sample.port, "reason": sample.reason}
    for name, (number, bits) in schema.packet_in.items():
        value = values.get(name, 0) & ((1 << bits) - 1)
        message.metadata.add(metadata_id=number, value=encode(value))
    return message


def digest_data(digest: RemoteDigest) -> bytes:
    """A digest as serialised P4Data: equal digests give equal bytes."""
    data = p4d.P4Data()
    members = data.struct.members
    for value in (canonical(digest.remote), encode(digest.value), encode(digest.port)):
        members.add().bitstring = value
    return data.SerializeToString(deterministic=True)


def digest_list(
    digest_id: int, list_id: int, messages: tuple[bytes, ...], timestamp_ns: int
) -> p4r.DigestList:
    """A DigestList of messages made by :func:`digest_data`."""
    answer = p4r.DigestList(digest_id=digest_id, list_id=list_id, timestamp=timestamp_ns)
    for message in messages:
        answer.data.add().ParseFromString(message)
    return answer
