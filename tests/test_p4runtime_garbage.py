"""The driver against answers that are no protocol buffers at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.errors import SwitchError
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.settings import SwitchSettings
from tests import p4runtime_kit as kit
from tests.p4runtime_fake import FakeSwitch

GARBAGE = b"\xff\xff\xff\xff garbage"
RPCS = ("Capabilities", "GetForwardingPipelineConfig", "Read", "StreamChannel", "Write")


def serialized(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else bytes(answer.SerializeToString())


async def serve(switch: FakeSwitch, spoiled: str, address: str) -> grpc.aio.Server:
    """``switch`` with one RPC that answers garbage."""

    async def unary(request: Any, context: Any) -> bytes:
        return GARBAGE

    async def stream(request: Any, context: Any) -> AsyncIterator[bytes]:
        yield GARBAGE

    handlers: dict[str, Any] = {}
    for name in (*RPCS, "SetForwardingPipelineConfig"):
        streams = name in ("Read", "StreamChannel")
        message = "StreamMessageRequest" if name == "StreamChannel" else f"{name}Request"
        make = {
            "Read": grpc.unary_stream_rpc_method_handler,
            "StreamChannel": grpc.stream_stream_rpc_method_handler,
        }.get(name, grpc.unary_unary_rpc_method_handler)
        good = getattr(switch, name)
        bad = stream if streams else unary
        handlers[name] = make(
            bad if name == spoiled else good,
            request_deserializer=getattr(p4r, message).FromString,
            response_serializer=serialized,
        )
    server = grpc.aio.server()
    generic = grpc.method_handlers_generic_handler("p4.v1.P4Runtime", handlers)
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(address)
    await server.start()
    return server


@pytest.mark.parametrize("spoiled", RPCS)
async def test_garbage_is_a_lost_switch(spoiled: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    server = await serve(FakeSwitch(), spoiled, address)
    config = tmp_path / "device.json"
    config.write_text("{}")
    settings = SwitchSettings(
        "s1",
        address,
        p4info=kit.artifact("sdnblock.p4info.txtpb"),
        device_config=config,
        rpc_timeout=2.0,
    )
    driver = P4RuntimeDriver(settings)
    with pytest.raises(SwitchError, match="switch s1"):
        await driver.connect()
    assert driver.status.role == "disconnected"
    await driver.close()
    await server.stop(0)
