// Stage `side`: on which side of us a packet came in.
#ifndef SDNBLOCK_SIDE_P4
#define SDNBLOCK_SIDE_P4

#include "types.p4"
#include "ids.p4"

// `ingress_t` is the target's metadata of a packet that came in.
control Side(inout metadata_t meta, in ingress_t ingress) {
    @id(ID_SET_SIDE) @name(".set_side")
    action set_side(bit<1> trusted) {
        meta.trusted = trusted;
    }

    // Ports that lead to our SIP servers are trusted; all others are the internet.
    @id(ID_PORT_SIDE) @name(".port_side")
    table port_side {
        key = { ingress.ingress_port: exact @name("ingress_port"); }
        actions = { set_side; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_PORT_SIDE;
    }

    apply {
        port_side.apply();
    }
}

#endif
