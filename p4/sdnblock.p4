// sdnblock for v1model: BMv2's simple_switch_grpc, the reference of every other target.
//
// Stages in order: side, forward, service, allow, flow, source, prefix, message, outcome
// (request window and walk; what the walk holds is looked at before the verdict), sample.
#include <core.p4>
#include <v1model.p4>

typedef standard_metadata_t ingress_t;

#include "include/headers.p4"
#include "include/ids.p4"
#include "include/parser.p4"
#include "include/classify.p4"
#include "include/side.p4"
#include "include/service.p4"
#include "include/blocks.p4"
#include "include/message.p4"
#include "include/remote.p4"
#include "include/window.p4"
#include "include/outcome.p4"
#include "include/sample.p4"

const bit<16> FLOOD_GROUP = 1;     // multicast group
const bit<32> INSTANCE_CLONE = 1;
const bit<32> INSTANCE_REPLICA = 5;

control SdnblockVerifyChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control Forward(in headers_t hdr, inout standard_metadata_t standard_metadata) {
    @id(ID_FORWARD) @name(".forward")
    action forward(bit<9> port) {
        standard_metadata.egress_spec = port;
    }

    // BMv2 has no other network stack to hand a packet to: it floods.
    @id(ID_MISS) @name(".miss")
    action miss() {
        standard_metadata.mcast_grp = FLOOD_GROUP;
    }

    @id(ID_L2_FORWARD) @name(".l2_forward")
    table l2_forward {
        key = { hdr.ethernet.destination: exact @name("dst_mac"); }
        actions = { forward; @defaultonly miss; }
        const default_action = miss();
        size = SIZE_L2_FORWARD;
    }

    apply {
        l2_forward.apply();
    }
}

control SdnblockIngress(inout headers_t hdr,
                        inout metadata_t meta,
                        inout standard_metadata_t standard_metadata) {
    Classify() classify;
    Side() side;
    Forward() forward;
    Service() service;
    Allow() allow;
    Blocks() blocks;
    Remote() remote;
    Held() held;
    Verdict() verdict;
    Message() message;
    RequestWindow() request_window;
    Walk() walk;
    Sample() sample;

    apply {
        classify.apply(hdr, meta);
        side.apply(meta, standard_metadata);
        forward.apply(hdr, standard_metadata);
        service.apply(meta);
        remote.apply(hdr, standard_metadata, meta);
        if (meta.trusted == 0) {
            allow.apply(hdr, meta);
            if (meta.allowed == 0) {
                blocks.apply(hdr, meta);
            }
        }
        held.apply(meta);
        if (meta.trusted == 0) {
            verdict.apply(meta);
        }
        if (meta.dropped == 1) {
            mark_to_drop(standard_metadata);
        } else {
            message.apply(meta);
            if (meta.trusted == 0) {
                request_window.apply(meta, standard_metadata);
            } else {
                walk.apply(meta, standard_metadata);
            }
            sample.apply(meta, standard_metadata);
        }
    }
}

control SdnblockEgress(inout headers_t hdr,
                       inout metadata_t meta,
                       inout standard_metadata_t standard_metadata) {
    apply {
        if (standard_metadata.instance_type == INSTANCE_CLONE) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.sample_port;
            hdr.packet_in.reason = meta.sample_reason;
        } else if (standard_metadata.instance_type == INSTANCE_REPLICA
                   && standard_metadata.egress_port == standard_metadata.ingress_port) {
            mark_to_drop(standard_metadata);
        }
    }
}

control SdnblockComputeChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SdnblockDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(SdnblockParser(), SdnblockVerifyChecksum(), SdnblockIngress(), SdnblockEgress(),
         SdnblockComputeChecksum(), SdnblockDeparser()) main;
