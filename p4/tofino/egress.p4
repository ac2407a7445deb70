// Egress: a flooded packet does not go back to where it came from, and a copy for the controller
// says what it is. The same as SdnblockEgress of p4/sdnblock.p4.
#ifndef SDNBLOCK_TOFINO_EGRESS_P4
#define SDNBLOCK_TOFINO_EGRESS_P4

#include "headers.p4"

parser SdnblockEgressParser(packet_in packet,
                            out egress_headers_t hdr,
                            out egress_metadata_t meta,
                            out egress_intrinsic_metadata_t egress) {
    state start {
        packet.extract(egress);
        transition select(packet.lookahead<bit<8>>()) {
            PACKET_COPY: parse_copy;
            default: parse_bridge;
        }
    }

    state parse_copy {
        packet.extract(meta.copy);
        transition accept;
    }

    state parse_bridge {
        packet.extract(meta.bridge);
        transition accept;
    }
}

control SdnblockEgress(inout egress_headers_t hdr,
                       inout egress_metadata_t meta,
                       in egress_intrinsic_metadata_t egress,
                       in egress_intrinsic_metadata_from_parser_t parsed,
                       inout egress_intrinsic_metadata_for_deparser_t deparse,
                       inout egress_intrinsic_metadata_for_output_port_t port) {
    apply {
        if (meta.copy.isValid()) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.copy.ingress_port;
            hdr.packet_in.reason = meta.copy.reason;
        } else if (meta.bridge.flooded == 1
                   && meta.bridge.ingress_port == egress.egress_port) {
            deparse.drop_ctl = 1;
        }
    }
}

control SdnblockEgressDeparser(packet_out packet,
                               inout egress_headers_t hdr,
                               in egress_metadata_t meta,
                               in egress_intrinsic_metadata_for_deparser_t deparse) {
    apply {
        packet.emit(hdr);
    }
}

#endif
