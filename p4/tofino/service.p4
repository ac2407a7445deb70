// Twin of p4/include/service.p4. What the architecture forces: an action says itself that its
// entry's counter counts.
#ifndef SDNBLOCK_TOFINO_SERVICE_P4
#define SDNBLOCK_TOFINO_SERVICE_P4

#include "headers.p4"

control Service(inout ingress_metadata_t meta) {
    @id(ID_SIP_PORT_COUNTER) @name(".sip_port_counter")
    DirectCounter<bit<64>>(CounterType_t.PACKETS_AND_BYTES) sip_port_counter;

    @id(ID_SIP) @name(".sip")
    action sip() {
        sip_port_counter.count(FCS_BYTES);
        meta.common.is_sip = 1;
    }

    @id(ID_SIP_PORT) @name(".sip_port")
    IN_TCAM EARLY
    table sip_port {
        key = {
            meta.common.protocol: exact @name("protocol");
            meta.tofino.service_port: exact @name("port");
        }
        actions = { sip; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_SIP_PORT;
        counters = sip_port_counter;
    }

    apply {
        if (meta.common.has_l4 == 1 && !meta.again.isValid()) {
            sip_port.apply();
        }
    }
}

#endif
