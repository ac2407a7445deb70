"""Where the compiled data plane programs are: installing sdnblock needs no compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sdnblock.errors import SdnblockError

P4INFO: Final = "sdnblock.p4info.txtpb"
BMV2_JSON: Final = "sdnblock.json"
XDP_OBJECT: Final = "sdnblock.bpf.o"
TOFINO_P4INFO: Final = "tofino/sdnblock.p4info.txtpb"

_PACKAGE: Final = Path(__file__).parent


def artifact(name: str) -> Path:
    """The path of a compiled artefact: in the installed package, else in the checkout.

    Raises SdnblockError if it is in neither.
    """
    for directory in (_PACKAGE / "_compiled", _PACKAGE.parent / "p4" / "compiled"):
        path = directory / name
        if path.is_file():
            return path
    raise SdnblockError(f"{name} is missing from this installation: reinstall sdnblock")
