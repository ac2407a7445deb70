// Stages `allow`, `flow`, `source` and `prefix`: the block list. The first table that
// hits decides; an allowlisted source is asked no further.
#ifndef SDNBLOCK_BLOCKS_P4
#define SDNBLOCK_BLOCKS_P4

#include "headers.p4"
#include "ids.p4"

control Allow(in headers_t hdr, inout metadata_t meta) {
    @id(ID_ALLOW_V4_COUNTER) @name(".allow_v4_counter")
    direct_counter(CounterType.packets_and_bytes) allow_v4_counter;
    @id(ID_ALLOW_V6_COUNTER) @name(".allow_v6_counter")
    direct_counter(CounterType.packets_and_bytes) allow_v6_counter;

    @id(ID_ALLOW) @name(".allow")
    action allow() {
        meta.allowed = 1;
    }

    @id(ID_ALLOW_V4) @name(".allow_v4")
    table allow_v4 {
        key = { hdr.ipv4.source: lpm @name("source"); }
        actions = { allow; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_ALLOW_V4;
        counters = allow_v4_counter;
    }

    @id(ID_ALLOW_V6) @name(".allow_v6")
    table allow_v6 {
        key = { hdr.ipv6.source: lpm @name("source"); }
        actions = { allow; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_ALLOW_V6;
        counters = allow_v6_counter;
    }

    apply {
        if (hdr.ipv4.isValid()) {
            allow_v4.apply();
        } else if (hdr.ipv6.isValid()) {
            allow_v6.apply();
        }
    }
}

control Blocks(in headers_t hdr, inout metadata_t meta) {
    @id(ID_FLOW_V4_COUNTER) @name(".flow_v4_counter")
    direct_counter(CounterType.packets_and_bytes) flow_v4_counter;
    @id(ID_FLOW_V6_COUNTER) @name(".flow_v6_counter")
    direct_counter(CounterType.packets_and_bytes) flow_v6_counter;
    @id(ID_SOURCE_V4_COUNTER) @name(".source_v4_counter")
    direct_counter(CounterType.packets_and_bytes) source_v4_counter;
    @id(ID_SOURCE_V6_COUNTER) @name(".source_v6_counter")
    direct_counter(CounterType.packets_and_bytes) source_v6_counter;
    @id(ID_PREFIX_V4_COUNTER) @name(".prefix_v4_counter")
    direct_counter(CounterType.packets_and_bytes) prefix_v4_counter;
    @id(ID_PREFIX_V6_COUNTER) @name(".prefix_v6_counter")
    direct_counter(CounterType.packets_and_bytes) prefix_v6_counter;

    @id(ID_DROP) @name(".drop")
    action drop() {
        meta.dropped = 1;
    }

    // Metered by one cell of limit_meter, which the controller allots.
    @id(ID_LIMIT) @name(".limit")
    action limit(@name("meter") bit<16> cell) {
        meta.limited = 1;
        meta.meter_index = cell;
    }

    @id(ID_WATCH) @name(".watch")
    action watch() {
        meta.watched = 1;
    }

    @id(ID_FLOW_V4) @name(".flow_v4")
    table flow_v4 {
        key = {
            meta.protocol: exact @name("protocol");
            hdr.ipv4.source: exact @name("source");
            meta.source_port: exact @name("source_port");
            hdr.ipv4.destination: exact @name("destination");
            meta.destination_port: exact @name("destination_port");
        }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_FLOW_V4;
        counters = flow_v4_counter;
    }

    @id(ID_FLOW_V6) @name(".flow_v6")
    table flow_v6 {
        key = {
            meta.protocol: exact @name("protocol");
            hdr.ipv6.source: exact @name("source");
            meta.source_port: exact @name("source_port");
            hdr.ipv6.destination: exact @name("destination");
            meta.destination_port: exact @name("destination_port");
        }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_FLOW_V6;
        counters = flow_v6_counter;
    }

    @id(ID_SOURCE_V4) @name(".source_v4")
    table source_v4 {
        key = { hdr.ipv4.source: exact @name("source"); }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_SOURCE_V4;
        counters = source_v4_counter;
    }

    @id(ID_SOURCE_V6) @name(".source_v6")
    table source_v6 {
        key = { hdr.ipv6.source: exact @name("source"); }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_SOURCE_V6;
        counters = source_v6_counter;
    }

    @id(ID_PREFIX_V4) @name(".prefix_v4")
    table prefix_v4 {
        key = { hdr.ipv4.source: lpm @name("source"); }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_PREFIX_V4;
        counters = prefix_v4_counter;
    }

    @id(ID_PREFIX_V6) @name(".prefix_v6")
    table prefix_v6 {
        key = { hdr.ipv6.source: lpm @name("source"); }
        actions = { drop; limit; watch; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_PREFIX_V6;
        counters = prefix_v6_counter;
    }

    apply {
        bool hit = false;
        if (hdr.ipv4.isValid()) {
            if (meta.has_l4 == 1) {
                meta.verdict = VERDICT_DROPPED_FLOW;
                hit = flow_v4.apply().hit;
            }
            if (!hit) {
                meta.verdict = VERDICT_DROPPED_SOURCE;
                hit = source_v4.apply().hit;
            }
            if (!hit) {
                meta.verdict = VERDICT_DROPPED_PREFIX;
                hit = prefix_v4.apply().hit;
            }
        } else if (hdr.ipv6.isValid()) {
            if (meta.has_l4 == 1) {
                meta.verdict = VERDICT_DROPPED_FLOW;
                hit = flow_v6.apply().hit;
            }
            if (!hit) {
                meta.verdict = VERDICT_DROPPED_SOURCE;
                hit = source_v6.apply().hit;
            }
            if (!hit) {
                meta.verdict = VERDICT_DROPPED_PREFIX;
                hit = prefix_v6.apply().hit;
            }
        }
        if (!hit && (hdr.ipv4.isValid() || hdr.ipv6.isValid())) {
            meta.unblocked = 1;
        }
    }
}

// From what the tables said to the verdict: the meter's word, and the count.
control Verdict(inout metadata_t meta) {
    bit<2> colour = 0;

    @id(ID_LIMIT_METER) @name(".limit_meter")
    meter(SIZE_LIMIT_METER, MeterType.packets) limit_meter;
    @id(ID_HELD_METER) @name(".held_meter")
    meter(SIZE_HELD_METER, MeterType.packets) held_meter;
    @id(ID_VERDICT) @name(".verdict")
    counter(SIZE_VERDICT_COUNTER, CounterType.packets_and_bytes) verdict;

    apply {
        if (meta.allowed == 1) {
            meta.verdict = VERDICT_ALLOWED;
        } else if (meta.limited == 1) {
            // A cell that is not there says green, as one that is not set does. (BMv2 would
            // read beyond its meters: it checks the index in debug builds only.)
            if (meta.meter_index < SIZE_LIMIT_METER) {
                limit_meter.execute_meter((bit<32>)meta.meter_index, colour);
            }
            if (colour == 2) {  // red (RFC 2698)
                meta.dropped = 1;
                meta.verdict = VERDICT_DROPPED_LIMIT;
            } else {
                meta.verdict = VERDICT_LIMITED;
            }
        } else if (meta.watched == 1) {
            meta.verdict = VERDICT_WATCHED;
        } else if (meta.held == 1 && meta.walk_response == RESPONSE_LIMIT) {
            held_meter.execute_meter(meta.slot & (SIZE_HELD_METER - 1), colour);
            meta.verdict = VERDICT_LIMITED_OUTCOME;
            if (colour == 2) {
                meta.dropped = 1;
                meta.verdict = VERDICT_DROPPED_OUTCOME_LIMIT;
            }
        } else if (meta.held == 1) {
            meta.dropped = 1;
            meta.verdict = VERDICT_DROPPED_OUTCOME;
        } else if (meta.dropped == 0) {
            meta.verdict = VERDICT_PASSED;
        }
        verdict.count((bit<32>)meta.verdict);
    }
}

#endif
