// Stages `side`, `forward` and `service`: where a packet comes from, where it goes, and
// whether it is SIP.
#ifndef SDNBLOCK_SERVICE_P4
#define SDNBLOCK_SERVICE_P4

#include "headers.p4"
#include "ids.p4"

control Side(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    @id(ID_SET_SIDE) @name(".set_side")
    action set_side(bit<1> trusted) {
        meta.trusted = trusted;
    }

    // Ports that lead to our SIP servers are trusted; all others are the internet.
    @id(ID_PORT_SIDE) @name(".port_side")
    table port_side {
        key = { standard_metadata.ingress_port: exact @name("ingress_port"); }
        actions = { set_side; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_PORT_SIDE;
    }

    apply {
        port_side.apply();
    }
}

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
