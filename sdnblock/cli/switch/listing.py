"""``sdnblock switch list``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.switches.settings import SwitchSettings

_COLUMNS: Final = (
    Column("name", "NAME"),
    Column("address", "ADDRESS"),
    Column("protocol", "PROTOCOL", hidden=True),
    Column("device_id", "DEVICE", hidden=True),
    Column("datapath_id", "DATAPATH", hidden=True),
    Column("state", "STATE"),
    Column("installed", "INSTALLED", "number"),
    Column("wanted", "WANTED", "number"),
    Column("unplaced", "UNPLACED", "number"),
    Column("refused", "REFUSED", "number", hidden=True),
    Column("withheld_allows", "WITHHELD", "number", hidden=True),
    Column("last_sync", "IN STEP", "time"),
    Column("reported", "REPORTED", "time", hidden=True),
    Column("description", "DESCRIPTION", flexible=True, hidden=True),
    Column("last_error", "PROBLEM", flexible=True),
)
_NUMBERS: Final = ("installed", "wanted", "unplaced", "refused", "withheld_allows")
_TIMES: Final = ("last_sync", "reported")
_TEXTS: Final = ("description", "last_error")

_UNREPORTED: Final = "no controller"


@click.command("list")
@output_option
@pass_app
def list_(app: App, output: str) -> None:
    """List the switches and what the controller says of each.

    STATE is the controller's: primary (it holds the switch), backup (another controller
    does), disconnected, or no controller if none has reported within 15 seconds. WANTED
    counts the blocks in the block list, INSTALLED the entries in the switch, UNPLACED
    those it has no room for. IN STEP is when the switch last held exactly the plan.

    \b
    Example:
      sdnblock switch list -o json
    """
    rows = run(_rows(app))
    show_rows(_COLUMNS, rows, output, "no switch is configured, and no controller reports one")


async def _rows(app: App) -> list[dict[str, Any]]:
    async with app.store() as store:
        status = await store.switch_status()
    rows = []
    for switch in app.config.switches:
        rows.append(_place(switch) | _reported(status.pop(switch.name, None)))
    # Switches that only the controller's configuration knows.
    rows += [{"name": name} | _reported(each) for name, each in status.items()]
    return rows


def _place(switch: SwitchSettings) -> dict[str, Any]:
    openflow = switch.protocol == "openflow"
    return {
        "name": switch.name,
        "address": switch.address,
        "protocol": switch.protocol,
        "device_id": None if openflow else switch.device_id,
        "datapath_id": f"{switch.datapath_id:016x}" if openflow else None,
    }


def _reported(status: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the controller has put into Redis, as far as it is what it should be."""
    if status is None:
        return {"state": _UNREPORTED}
    role = status.get("role")
    row: dict[str, Any] = {"state": role if isinstance(role, str) else "?"}
    for key in _NUMBERS:
        row[key] = _if(status.get(key), int)
    for key in _TIMES:
        row[key] = _if(status.get(key), (int, float))
    for key in _TEXTS:
        row[key] = _if(status.get(key), str)
    return row


def _if(value: Any, kind: Any) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None
