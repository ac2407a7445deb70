"""Whether what was just written will reach the switches, said in one line."""

from __future__ import annotations

from sdnblock.blocklist.store import Store
from sdnblock.cli.text import printable


async def controller_note(store: Store) -> str | None:
    """A note if no controller is at work, or has lost a switch; None: all is well."""
    status = await store.switch_status()
    if not status:
        return (
            "note: no controller reports: it is recorded, and switches will have it"
            " once sdnblock run is running"
        )
    lost = [name for name, each in status.items() if each.get("role") != "primary"]
    if lost:
        names = ", ".join(printable(name) for name in lost)
        return f"note: the controller has no hold of {names}: see sdnblock switch list"
    return None
