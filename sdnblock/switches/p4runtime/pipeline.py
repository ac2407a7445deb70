"""The pipeline a switch runs: compared by cookie, replaced only when it differs.

The cookie is a hash of what was pushed, so a controller of the same version
finds its own pipeline and leaves it, and every entry in it, alone. Replacing
wipes all entries (P4Runtime specification 14).
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from finsy.proto import p4i, p4r
from google.protobuf import text_format
from google.protobuf.wrappers_pb2 import StringValue

from sdnblock.artifacts import BMV2_JSON, P4INFO, TOFINO_P4INFO, XDP_OBJECT, artifact
from sdnblock.errors import SwitchError
from sdnblock.switches.p4runtime.codec import Codec
from sdnblock.switches.p4runtime.schema import Schema, read_schema
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.settings import SwitchSettings

XDP_MARK: Final = "sdnblock.xdp"
"""What ``sdnblock switchd`` puts, as a StringValue, in ``CapabilitiesResponse.experimental``."""

_SetConfig = p4r.SetForwardingPipelineConfigRequest
_GetConfig = p4r.GetForwardingPipelineConfigRequest
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline ready to be pushed, and how to speak of its objects."""

    target: str
    """``bmv2``, ``xdp`` or ``tofino``."""
    config: p4r.ForwardingPipelineConfig
    schema: Schema
    codec: Codec

    @property
    def cookie(self) -> int:
        """The hash that tells this pipeline from others; never 0."""
        return self.config.cookie.cookie


def choose_target(settings: SwitchSettings, capabilities: p4r.CapabilitiesResponse | None) -> str:
    """Which device config the switch takes: ``bmv2``, ``xdp`` or ``tofino``.

    A BPF object must never reach a BMv2: it does not look into what it is
    given, and is stuck with it. So ``auto`` sends one only to a server that
    says it is ours.
    """
    if settings.target != "auto":
        return settings.target
    mark = StringValue()
    if (
        capabilities is not None
        and capabilities.experimental.Is(StringValue.DESCRIPTOR)
        and capabilities.experimental.Unpack(mark)
        and mark.value == XDP_MARK
    ):
        return "xdp"
    return "bmv2"


def load_pipeline(settings: SwitchSettings, target: str) -> Pipeline:
    """Read P4Info and device config from their files. Blocks for some milliseconds.

    Raises SdnblockError naming the file that is missing or wrong.
    """
    p4info_path, config_path = _files(settings, target)
    try:
        p4info = text_format.Parse(_read(p4info_path), p4i.P4Info())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise SwitchError(f"{p4info_path} is not a P4Info text file: {error}") from None
    try:
        schema = read_schema(p4info)
    except SwitchError as error:
        raise SwitchError(f"{p4info_path}: {error}") from None
    device_config = _read(config_path)
    config = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=device_config)
    config.cookie.cookie = _cookie(p4info, device_config)
    return Pipeline(target, config, schema, Codec(schema))


def _files(settings: SwitchSettings, target: str) -> tuple[Path, Path]:
    """P4Info and device config: those that the settings name, else those of the target."""
    if target == "tofino":
        if settings.device_config is None:
            raise SwitchError(
                "a Tofino needs device_config: the pipeline config that was packed for its"
                " software from what make p4-tofino builds (docs/tofino.md)"
            )
        return settings.p4info or artifact(TOFINO_P4INFO), settings.device_config
    config = settings.device_config or artifact(XDP_OBJECT if target == "xdp" else BMV2_JSON)
    return settings.p4info or artifact(P4INFO), config


def _cookie(p4info: p4i.P4Info, device_config: bytes) -> int:
    digest = hashlib.sha256(p4info.SerializeToString(deterministic=True))
    digest.update(device_config)
    return int.from_bytes(digest.digest()[:8], "big") or 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SwitchError(f"cannot read {path}: {error.strerror}") from None


async def ensure_pipeline(session: Session, pipeline: Pipeline, seconds: float) -> bool:
    """Make the switch run ``pipeline``; True if it had to be replaced (all entries are gone).

    Raises Refused, SwitchLost.
    """
    try:
        running = await session.get_config(_GetConfig.COOKIE_ONLY)
    except Refused:
        running = None  # none set: servers differ in the code they say it with
    if running is not None and running.cookie.cookie == pipeline.cookie:
        return False
    try:
        await session.set_config(_SetConfig.VERIFY_AND_COMMIT, pipeline.config, seconds)
    except Refused as error:
        if pipeline.target != "bmv2":
            raise
        await _unstick(session, pipeline, seconds, error)
    return True


async def _unstick(session: Session, pipeline: Pipeline, seconds: float, refusal: Refused) -> None:
    """Free a BMv2 in which somebody left a pipeline that was saved and not committed: it
    refuses all others until a bare COMMIT. (One that was given JSON which it cannot parse
    needs a restart; BMv2 1.15.5 ends itself at one of these calls.)"""
    _log.warning("%s; trying a bare COMMIT first", refusal)
    try:
        await session.set_config(_SetConfig.COMMIT, None, seconds)
    except Refused as error:
        if error.code is grpc.StatusCode.UNIMPLEMENTED:
            raise refusal from None
    await session.set_config(_SetConfig.VERIFY_AND_COMMIT, pipeline.config, seconds)
