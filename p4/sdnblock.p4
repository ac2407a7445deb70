// sdnblock for v1model: BMv2's simple_switch_grpc, the reference of every other target.
//
// Stages in order: side, forward, service, allow, flow, source, prefix, message, outcome
// (its request window), sample.
#include <core.p4>
#include <v1model.p4>

#include "include/headers.p4"
#include "include/ids.p4"
#include "include/parser.p4"
#include "include/classify.p4"
#include "include/service.p4"
#include "include/blocks.p4"
#include "include/message.p4"
#include "include/window.p4"

const bit<32> CPU_SESSION = 250;   // clone session
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

// The first packets of what is watched go to the controller, within a budget.
control Sample(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<2> colour = 0;

    @id(ID_SAMPLE_METER) @name(".sample_meter")
    meter(SIZE_SAMPLE_METER, MeterType.packets) sample_meter;

    apply {
        if (meta.verdict == VERDICT_WATCHED) {
            sample_meter.execute_meter(0, colour);
            if (colour != 2) {
                meta.sample_port = (bit<16>)standard_metadata.ingress_port;
                meta.sample_reason = REASON_WATCHED;
                clone_preserving_field_list(CloneType.I2E, CPU_SESSION, 1);
            }
        }
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
    Verdict() verdict;
    Message() message;
    RequestWindow() request_window;
    Sample() sample;

    apply {
        classify.apply(hdr, meta);
        side.apply(meta, standard_metadata);
        forward.apply(hdr, standard_metadata);
        service.apply(meta);
        if (meta.trusted == 0) {
            allow.apply(hdr, meta);
            if (meta.allowed == 0) {
                blocks.apply(hdr, meta);
            }
            verdict.apply(meta);
        }
        if (meta.dropped == 1) {
            mark_to_drop(standard_metadata);
        } else {
            message.apply(meta);
            if (meta.trusted == 0) {
                request_window.apply(hdr, meta, standard_metadata);
                sample.apply(meta, standard_metadata);
            }
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
