// Stage `service`: whether a packet is SIP.
#ifndef SDNBLOCK_SERVICE_P4
#define SDNBLOCK_SERVICE_P4

#include "headers.p4"
#include "ids.p4"

control Service(inout metadata_t meta) {
    bit<16> port = 0;

    @id(ID_SIP_PORT_COUNTER) @name(".sip_port_counter")
    direct_counter(CounterType.packets_and_bytes) sip_port_counter;

    @id(ID_SIP) @name(".sip")
    action sip() {
        meta.is_sip = 1;
    }

    // Keyed by the server's side of the packet, so that both directions count as one.
    @id(ID_SIP_PORT) @name(".sip_port")
    table sip_port {
        key = {
            meta.protocol: exact @name("protocol");
            port: exact @name("port");
        }
        actions = { sip; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_SIP_PORT;
        counters = sip_port_counter;
    }

    apply {
        if (meta.has_l4 == 1) {
            if (meta.trusted == 1) {
                port = meta.source_port;
            } else {
                port = meta.destination_port;
            }
            sip_port.apply();
        }
    }
}

#endif
