// sdnblock for Tofino: twin of p4/sdnblock.p4, for the same controller (docs/tofino.md).
//
// Stages in the order of p4/sdnblock.p4. A packet of the trusted side may come a second time,
// to write into a slot of the walk (walk.p4): it is forwarded then, and counted before. In that
// pass it is no message to anyone, and of the trusted side, so that little else happens to it.
//
// What the architecture forces on the whole: all that is asked inside a condition is placed
// before what comes after that condition. So a condition encloses what is one step, no more, and
// bits of metadata say to the next step what the last found out.
#include <core.p4>
#ifdef TOFINO2
#include <t2na.p4>
#else
#include <tna.p4>
#endif

typedef ingress_intrinsic_metadata_t ingress_t;
typedef bit<32> ticks_t;  // of 1.049 ms; 1.024 on other targets

// BMv2 counts a frame without its check sequence, a Tofino with it.
#define FCS_BYTES 4

#include "../include/types.p4"
#include "../include/ids.p4"
#include "sizes.h"
#include "headers.p4"
#include "parser.p4"
#include "deparser.p4"
#include "classify.p4"
#include "../include/side.p4"
#include "service.p4"
#include "remote.p4"
#include "blocks.p4"
#include "../include/kind.p4"
#include "kinds.p4"
#include "walk.p4"
#include "verdict.p4"
#include "message.p4"
#include "window.p4"
#include "sample.p4"
#include "egress.p4"

const MulticastGroupId_t FLOOD_GROUP = 1;

// Twin of control Forward of p4/sdnblock.p4: ports are said to another part of the switch.
control Forward(in headers_t hdr, inout bridge_t bridge,
                inout ingress_intrinsic_metadata_for_tm_t tm) {
    @id(ID_FORWARD) @name(".forward")
    action forward(bit<9> port) {
        tm.ucast_egress_port = port;
    }

    @id(ID_MISS) @name(".miss")
    action miss() {
        tm.mcast_grp_a = FLOOD_GROUP;
        bridge.flooded = 1;
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
                        inout ingress_metadata_t meta,
                        in ingress_intrinsic_metadata_t ingress,
                        in ingress_intrinsic_metadata_from_parser_t parsed,
                        inout ingress_intrinsic_metadata_for_deparser_t deparse,
                        inout ingress_intrinsic_metadata_for_tm_t tm) {
    Classify() classify;
    Side() side;
    Forward() forward;
    Service() service;
    Remote() remote;
    Blocks() blocks;
    Kind() kind;
    Kinds() kinds;
    Walk() walk;
    Verdict() verdict;
    Message() message;
    RequestWindow() request_window;
    Sample() sample;

    apply {
        hdr.bridge.setValid();
        hdr.bridge.kind = PACKET_WHOLE;
        hdr.bridge.flooded = 0;
        hdr.bridge.ingress_port = ingress.ingress_port;
        meta.tofino.port = 7w0 ++ ingress.ingress_port;

        classify.apply(hdr, meta, parsed);
        side.apply(meta.common, ingress);
        forward.apply(hdr, hdr.bridge, tm);
        remote.apply(hdr, parsed, meta);
        service.apply(meta);
        if (meta.common.has_message == 1 && !meta.again.isValid()) {
            kind.apply(meta.common);
        }
        kinds.apply(meta);
        walk.apply(meta, deparse);
        blocks.apply(hdr, meta);
        verdict.apply(meta, deparse);
        request_window.apply(meta, deparse);
        sample.apply(meta, deparse);
        message.apply(meta);
        if (meta.common.dropped == 1) {
            deparse.drop_ctl = 1;
        }
    }
}

Pipeline(SdnblockIngressParser(), SdnblockIngress(), SdnblockIngressDeparser(),
         SdnblockEgressParser(), SdnblockEgress(), SdnblockEgressDeparser()) pipe;

Switch(pipe) main;
