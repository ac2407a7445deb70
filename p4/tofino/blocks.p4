// Twin of controls Allow and Blocks of p4/include/blocks.p4. What the architecture forces: a
// counter of an entry counts because the action says so, so each table has its own copy of the
// actions. They have one name and one id, and in P4Info they are one action as on BMv2; but
// the compiler makes no P4Info from a program that writes one action more than once. So it is
// compiled twice (compile.sh): for P4Info with ACTIONS_ONCE, where nothing counts, and for the
// switch. A test compares the tables of both (tests/test_tofino_p4info.py).
//
// An action says one thing, the verdict (and a limit its cell): more would be kept beside each
// entry. Counters are narrow, for room, and sources and prefixes count packets only: four counters
// are one word then, two with bytes. The compiler lets the switch's software add them up before
// they overflow. A table that misses leads to the next within the same stage. Tables of the two
// families stand in branches of one condition: they share stages then.
#ifndef SDNBLOCK_TOFINO_BLOCKS_P4
#define SDNBLOCK_TOFINO_BLOCKS_P4

#include "headers.p4"

#ifdef ACTIONS_ONCE
#define OWN(table_, action_) action_
#define ALLOW_ACTION(table_)
#define BLOCK_ACTIONS(table_, verdict_, count_)
#else
#define OWN(table_, action_) table_##_##action_


#define ALLOW_ACTION(table_) \
    @id(ID_ALLOW) @name(".allow") \
    action OWN(table_, allow)() { \
        table_##_counter.count(FCS_BYTES); \
        meta.common.verdict = VERDICT_ALLOWED; \
    }

#define BLOCK_ACTIONS(table_, verdict_, count_) \
    @id(ID_DROP) @name(".drop") \
    action OWN(table_, drop)() { \
        table_##_counter.count count_; \
        meta.common.verdict = verdict_; \
    } \
    @id(ID_LIMIT) @name(".limit") \
    action OWN(table_, limit)(@name("meter") bit<16> cell) { \
        table_##_counter.count count_; \
        meta.common.meter_index = cell; \
        meta.common.verdict = VERDICT_LIMITED; \
    } \
    @id(ID_WATCH) @name(".watch") \
    action OWN(table_, watch)() { \
        table_##_counter.count count_; \
        meta.common.verdict = VERDICT_WATCHED; \
    }
#endif

#define COUNTER(id_, name_, table_) \
    @id(id_) @name(name_) \
    DirectCounter<bit<36>>(CounterType_t.PACKETS_AND_BYTES) table_##_counter;

#define PACKET_COUNTER(id_, name_, table_) \
    @id(id_) @name(name_) \
    DirectCounter<bit<32>>(CounterType_t.PACKETS) table_##_counter;

#define BLOCKS(table_) \
    actions = { OWN(table_, drop); OWN(table_, limit); OWN(table_, watch); \
                @defaultonly NoAction; } \
    const default_action = NoAction(); \
    counters = table_##_counter;

#ifdef ACTIONS_ONCE
@id(ID_ALLOW) @name(".allow")
action allow() { }
@id(ID_DROP) @name(".drop")
action drop() { }
@id(ID_LIMIT) @name(".limit")
action limit(@name("meter") bit<16> cell) { }
@id(ID_WATCH) @name(".watch")
action watch() { }
#endif

control AllowAndFlow(in headers_t hdr, inout ingress_metadata_t meta) {
    COUNTER(ID_ALLOW_V4_COUNTER, ".allow_v4_counter", allow_v4)
    COUNTER(ID_ALLOW_V6_COUNTER, ".allow_v6_counter", allow_v6)
    COUNTER(ID_FLOW_V4_COUNTER, ".flow_v4_counter", flow_v4)
    COUNTER(ID_FLOW_V6_COUNTER, ".flow_v6_counter", flow_v6)

    ALLOW_ACTION(allow_v4)
    ALLOW_ACTION(allow_v6)
    BLOCK_ACTIONS(flow_v4, VERDICT_DROPPED_FLOW, (FCS_BYTES))
    BLOCK_ACTIONS(flow_v6, VERDICT_DROPPED_FLOW, (FCS_BYTES))

    @id(ID_ALLOW_V4) @name(".allow_v4")
    table allow_v4 {
        key = { hdr.ipv4.source: lpm @name("source"); }
        actions = { OWN(allow_v4, allow); @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_ALLOW_V4;
        counters = allow_v4_counter;
    }

    @id(ID_ALLOW_V6) @name(".allow_v6")
    table allow_v6 {
        key = { hdr.ipv6.source: lpm @name("source"); }
        actions = { OWN(allow_v6, allow); @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_ALLOW_V6;
        counters = allow_v6_counter;
    }

    // Without L4 protocol and ports are 0, which no entry of a controller has.
    @id(ID_FLOW_V4) @name(".flow_v4")
    table flow_v4 {
        key = {
            meta.common.protocol: exact @name("protocol");
            hdr.ipv4.source: exact @name("source");
            meta.common.source_port: exact @name("source_port");
            hdr.ipv4.destination: exact @name("destination");
            meta.common.destination_port: exact @name("destination_port");
        }
        size = SIZE_FLOW_V4;
        BLOCKS(flow_v4)
    }

    @id(ID_FLOW_V6) @name(".flow_v6")
    table flow_v6 {
        key = {
            meta.common.protocol: exact @name("protocol");
            hdr.ipv6.source: exact @name("source");
            meta.common.source_port: exact @name("source_port");
            hdr.ipv6.destination: exact @name("destination");
            meta.common.destination_port: exact @name("destination_port");
        }
        size = SIZE_FLOW_V6;
        BLOCKS(flow_v6)
    }

    apply {
        if (hdr.ipv4.isValid() && meta.common.trusted == 0 && !meta.again.isValid()) {
            if (allow_v4.apply().miss) {
                flow_v4.apply();
            }
        } else if (hdr.ipv6.isValid() && meta.common.trusted == 0 && !meta.again.isValid()) {
            if (allow_v6.apply().miss) {
                flow_v6.apply();
            }
        }
    }
}

control SourceAndPrefixV4(in headers_t hdr, inout ingress_metadata_t meta) {
    PACKET_COUNTER(ID_SOURCE_V4_COUNTER, ".source_v4_counter", source_v4)
    PACKET_COUNTER(ID_PREFIX_V4_COUNTER, ".prefix_v4_counter", prefix_v4)

    BLOCK_ACTIONS(source_v4, VERDICT_DROPPED_SOURCE, ())
    BLOCK_ACTIONS(prefix_v4, VERDICT_DROPPED_PREFIX, ())

    @id(ID_SOURCE_V4) @name(".source_v4")
    table source_v4 {
        key = { hdr.ipv4.source: exact @name("source"); }
        size = SIZE_SOURCE_V4;
        BLOCKS(source_v4)
    }

    @id(ID_PREFIX_V4) @name(".prefix_v4")
    table prefix_v4 {
        key = { hdr.ipv4.source: lpm @name("source"); }
        size = SIZE_PREFIX_V4;
        BLOCKS(prefix_v4)
    }

    apply {
        if (source_v4.apply().miss) {
            prefix_v4.apply();
        }
    }
}

control SourceAndPrefixV6(in headers_t hdr, inout ingress_metadata_t meta) {
    PACKET_COUNTER(ID_SOURCE_V6_COUNTER, ".source_v6_counter", source_v6)
    PACKET_COUNTER(ID_PREFIX_V6_COUNTER, ".prefix_v6_counter", prefix_v6)

    BLOCK_ACTIONS(source_v6, VERDICT_DROPPED_SOURCE, ())
    BLOCK_ACTIONS(prefix_v6, VERDICT_DROPPED_PREFIX, ())

    @id(ID_SOURCE_V6) @name(".source_v6")
    EARLY
    table source_v6 {
        key = { hdr.ipv6.source: exact @name("source"); }
        size = SIZE_SOURCE_V6;
        BLOCKS(source_v6)
    }

    @id(ID_PREFIX_V6) @name(".prefix_v6")
    EARLY
    table prefix_v6 {
        key = { hdr.ipv6.source: lpm @name("source"); }
        size = SIZE_PREFIX_V6;
        BLOCKS(prefix_v6)
    }

    apply {
        if (source_v6.apply().miss) {
            prefix_v6.apply();
        }
    }
}

#endif
