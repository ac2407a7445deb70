"""What is typed into p4runtime-shell; run by its own Python with an address, P4Info, config.

Prints "done" at the end. Needs nothing of sdnblock.
"""

import os
import sys
import traceback
from typing import Any

import p4runtime_sh.shell as sh  # type: ignore[import-not-found]
from p4runtime_sh.p4runtime import P4RuntimeWriteException  # type: ignore[import-not-found]


def main(address: str, device: str, p4info: str, config: str) -> None:
    """Insert, read back, count, modify, delete; an error in between."""
    sh.setup(
        device_id=int(device),
        grpc_addr=address,
        election_id=(0, 1),
        config=sh.FwdPipeConfig(p4info, config),
    )
    entry = sh.TableEntry("source_v4")(action="drop")
    entry.match["source"] = "10.9.0.2"
    entry.insert()

    limit = sh.TableEntry("prefix_v4")(action="limit")
    limit.match["source"] = "198.51.100.0/24"
    limit.action["meter"] = "5"
    limit.insert()

    flow = sh.TableEntry("flow_v6")(action="watch")
    flow.match.set(protocol="17", source="2001:db8::1", source_port="5060",
                   destination="2001:db8::2", destination_port="0")  # fmt: skip
    flow.insert()

    everything: list[sh.TableEntry] = []
    sh.TableEntry("source_v4").read(everything.append)
    assert len(everything) == 1, everything
    assert everything[0].match["source"].exact.value == b"\x0a\x09\x00\x02"
    assert everything[0].action.action_name == "drop"
    prefixes = list(sh.TableEntry("prefix_v4").read())
    assert prefixes[0].match["source"].lpm.prefix_len == 24
    assert prefixes[0].action["meter"].value == b"\x05"
    flows = list(sh.TableEntry("flow_v6").read())
    assert flows[0].match["destination_port"].exact.value == b"\x00"

    counter = sh.DirectCounterEntry("source_v4_counter")
    counter.table_entry.match["source"] = "10.9.0.2"
    counter.packet_count = 7
    counter.byte_count = 700
    counter.modify()
    (counted,) = counter.read()
    assert (counted.packet_count, counted.byte_count) == (7, 700)

    cell = sh.CounterEntry("verdict")
    cell.index = 2
    cell.packet_count = 9
    cell.modify()
    verdicts = [each.packet_count for each in sh.CounterEntry("verdict").read()]
    assert verdicts == [0, 0, 9, *[0] * 13], verdicts

    meter = sh.MeterEntry("limit_meter")
    meter.index = 5
    meter.cir, meter.cburst, meter.pir, meter.pburst = 10, 10, 10, 10
    meter.modify()
    (held,) = meter.read()
    assert (held.cir, held.pburst) == (10, 10)

    session = sh.CloneSessionEntry(250)
    session.add(255, 1)
    session.packet_length_bytes = 128
    session.insert()
    assert [each.session_id for each in sh.CloneSessionEntry(250).read()] == [250]

    for refused, code in ((entry, "ALREADY_EXISTS"), (sh.CloneSessionEntry(7), "UNIMPLEMENTED")):
        try:
            refused.insert()
        except P4RuntimeWriteException as error:
            assert code in str(error), error
        else:
            raise AssertionError(f"accepted: {refused}")

    entry.delete()
    assert list(sh.TableEntry("source_v4").read()) == []
    sh.teardown()
    print("done")


def end(*error: Any) -> None:
    """Say what went wrong and go: the shell's threads would wait for ever."""
    traceback.print_exception(*error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


sys.excepthook = end
main(*sys.argv[1:])
