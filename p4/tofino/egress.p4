// Egress: a flooded packet does not go back to where it came from, a copy for the controller
// says what it is (both as SdnblockEgress of p4/sdnblock.p4), and copies are made (sample.p4).
#ifndef SDNBLOCK_TOFINO_EGRESS_P4
#define SDNBLOCK_TOFINO_EGRESS_P4

#include "headers.p4"
#include "sample.p4"

const MirrorId_t COPY_SESSION = 250;  // P4Runtime's clone session
const MirrorType_t COPY_MIRROR = 1;

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
    Budget() budget;

    apply {
        if (meta.copy.isValid()) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.copy.ingress_port;
            hdr.packet_in.reason = meta.copy.reason;
        } else if (meta.bridge.kind == PACKET_FLOODED) {
            // Of a flooded packet, the one that goes no further stands for all.
            if (meta.bridge.ingress_port == egress.egress_port) {
                deparse.drop_ctl = 1;
            } else {
                meta.bridge.copy = COPY_NONE;
            }
        }
        budget.apply(meta);
        if (meta.reason != 0 && meta.colour != RED) {
            deparse.mirror_type = COPY_MIRROR;
            meta.kind = PACKET_COPY;
            meta.session = COPY_SESSION;
        }
    }
}

control SdnblockEgressDeparser(packet_out packet,
                               inout egress_headers_t hdr,
                               in egress_metadata_t meta,
                               in egress_intrinsic_metadata_for_deparser_t deparse) {
    Mirror() mirror;

    apply {
        if (deparse.mirror_type == COPY_MIRROR) {
            mirror.emit<copy_t>(meta.session, { meta.kind, meta.reason, meta.port });
        }
        packet.emit(hdr);
    }
}

#endif
