"""The tables of an OpenFlow switch, and what they hold besides blocks. Pure.

| table | holds | then |
| --- | --- | --- |
| SERVICE | trusted ports; SIP by its port, counted both ways | FILTER; if trusted, FORWARD |
| FILTER | allow entries and blocks; below them SIP, copied to us | FORWARD |
| FORWARD | destination MAC addresses; the rest is the switch's own (OFPP_NORMAL) | out |
"""

from __future__ import annotations

from typing import Final

SERVICE: Final = 0
FILTER: Final = 1
FORWARD: Final = 2
COUNT: Final = 3
