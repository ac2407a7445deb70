// sdnblock for Tofino: twin of p4/sdnblock.p4, for the same controller (docs/tofino.md).
//
// Stages in the order of p4/sdnblock.p4. A packet may come a second time, to write into a slot of
// the walk (walk.p4) or to open a request window (window.p4): it is forwarded then, and counted
// before. In that pass it is no message to anyone, and no table of blocks is asked.
//
// What the architecture forces on the whole: all that is asked inside a condition is placed
// before what comes after that condition, and a table that goes on in the next stage keeps all
// others waiting until it ends. So a condition encloses what is one step, or there is a table
// instead of it; bits of metadata say to the next step what the last found out; and what the state
// of remotes asks is split into what comes before the big tables and what comes after.
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

// What a big table that goes on in the next stage would keep waiting, until it ends, has to come
// before it. And what P4Info says is not to say what this compiler wants to hear.
#ifdef ACTIONS_ONCE
#define EARLY
#define IN_TCAM
#else
#define EARLY @placement_priority(1)
#define IN_TCAM @ternary(1)
#endif

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
        bridge.kind = PACKET_FLOODED;
    }

    @id(ID_L2_FORWARD) @name(".l2_forward")
    EARLY
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

// On its own in its container, a block entry's verdict is a constant of its action and takes no
// memory beside the entry.
@pa_solitary("ingress", "meta.common.verdict")
@pa_container_size("ingress", "meta.common.verdict", 8)
@pa_container_size("ingress", "meta.common.meter_index", 16)
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
    AllowAndFlow() allow_and_flow;
    SourceAndPrefixV4() source_and_prefix_v4;
    SourceAndPrefixV6() source_and_prefix_v6;
    Kind() kind;
    Kinds() kinds;
    Held() held;
    Walk() walk;
    Metered() metered;
    Verdict() verdict;
    Message() message;
    RequestWindow() request_window;
    Requests() requests;
    Windowed() windowed;
    Sample() sample;
    First() first;

    apply {
        hdr.bridge.setValid();
        hdr.bridge.kind = PACKET_WHOLE;
        hdr.bridge.copy = COPY_NONE;
        hdr.bridge.ingress_port = ingress.ingress_port;
        meta.tofino.crossed = 1;
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
        held.apply(meta);
        request_window.apply(meta);
        allow_and_flow.apply(hdr, meta);
        if (hdr.ipv4.isValid() && meta.common.trusted == 0 && !meta.again.isValid()
            && meta.common.verdict == VERDICT_PASSED) {
            source_and_prefix_v4.apply(hdr, meta);
        } else if (hdr.ipv6.isValid() && meta.common.trusted == 0 && !meta.again.isValid()
                   && meta.common.verdict == VERDICT_PASSED) {
            source_and_prefix_v6.apply(hdr, meta);
        }
        walk.apply(meta, deparse);
        windowed.apply(meta);
        sample.apply(hdr.bridge, meta);
        metered.apply(meta);
        first.apply(hdr.bridge, meta);
        requests.apply(meta, deparse);
        verdict.apply(meta, deparse);
        message.apply(meta);
    }
}

Pipeline(SdnblockIngressParser(), SdnblockIngress(), SdnblockIngressDeparser(),
         SdnblockEgressParser(), SdnblockEgress(), SdnblockEgressDeparser()) pipe;

Switch(pipe) main;
