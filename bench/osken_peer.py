"""os-ken's own controller as a peer: FlowMods as its users send them, then a barrier.

``python -m bench.osken_peer PORT COUNT``: listens for one switch, fills its table and prints
the seconds that it took, from the first message to the barrier's reply.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from typing import Any

from os_ken import cfg
from os_ken.base.app_manager import AppManager, OSKenApp
from os_ken.controller import controller, ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_3

from bench.passing import source
from sdnblock.switches.openflow.matches import SOURCE
from sdnblock.switches.openflow.tables import FILTER


class Filler(OSKenApp):  # type: ignore[misc]  # os-ken has no types
    """Fills the first switch that connects with drops of single sources."""

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def fill(self, event: Any) -> None:
        """Send everything."""
        datapath = event.msg.datapath
        parser = datapath.ofproto_parser
        self.began = time.monotonic()
        for number in range(int(sys.argv[2])):
            address = str(ipaddress.IPv4Address(source(number)))
            match = parser.OFPMatch(eth_type=0x0800, ipv4_src=address)
            datapath.send_msg(
                parser.OFPFlowMod(
                    datapath, table_id=FILTER, priority=SOURCE, match=match, instructions=[]
                )
            )
        datapath.send_barrier()

    @set_ev_cls(  # type: ignore[untyped-decorator]
        ofp_event.EventOFPBarrierReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER]
    )
    def filled(self, event: Any) -> None:
        """The switch has done everything."""
        print(time.monotonic() - self.began, flush=True)
        os._exit(0)  # its threads never end


def main() -> None:
    """Listen, for ever."""
    cfg.CONF(args=[], project="bench")
    controller.CONF.set_override("ofp_tcp_listen_port", int(sys.argv[1]))
    AppManager.run_apps(["os_ken.controller.ofp_handler", "bench.osken_peer"])


if __name__ == "__main__":
    main()
