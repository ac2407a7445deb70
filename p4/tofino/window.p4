// Twin of p4/include/window.p4. What the architecture forces: the parts of a slot are asked one
// after the other (see walk.p4): whether its window is open, whose it is, how many requests.
#ifndef SDNBLOCK_TOFINO_WINDOW_P4
#define SDNBLOCK_TOFINO_WINDOW_P4

#include "walk.p4"
#include "verdict.p4"

struct start_t {
    int<32> time;
    int<32> used;  // 0: by nobody yet; both halves have one type
}

control RequestWindow(inout ingress_metadata_t meta,
                      inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_SLOT_START) @name(".slot_start")
    Register<start_t, bit<14>>(SIZE_SLOTS_SMALL) slot_start;
    @id(ID_SLOT_REMOTE) @name(".slot_remote")
    Register<key_t, bit<14>>(SIZE_SLOTS_SMALL) slot_remote;
    @id(ID_SLOT_REQUESTS) @name(".slot_requests")
    Register<bit<16>, bit<14>>(SIZE_SLOTS_SMALL) slot_requests;

    RegisterAction<start_t, bit<14>, bit<32>>(slot_start) enter = {
        void apply(inout start_t value, out bit<32> is_open) {
            is_open = 0;
            if (value.time - meta.tofino.window_begin > 0 && value.time - meta.tofino.now <= 0) {
                is_open = (bit<32>)value.used;
            } else {
                value.time = meta.tofino.now;
            }
            value.used = 1;
        }
    };

    RegisterAction<key_t, bit<14>, bit<1>>(slot_remote) is_mine = {
        void apply(inout key_t value, out bit<1> mine) {
            if (value.high == meta.tofino.key_high && value.low == meta.tofino.key_low) {
                mine = 1;
            } else {
                mine = 0;
            }
        }
    };

    RegisterAction<key_t, bit<14>, bit<1>>(slot_remote) take = {
        void apply(inout key_t value) {
            value.high = meta.tofino.key_high;
            value.low = meta.tofino.key_low;
        }
    };

    // What they give is the digest's type: that the number reached the threshold is found out
    // by the register, and costs no step. The number that the digest says is then the threshold.
    RegisterAction<bit<16>, bit<14>, DigestType_t>(slot_requests) one_more = {
        void apply(inout bit<16> value, out DigestType_t digest) {
            digest = 0;
            if (value + 1 == meta.common.request_threshold) {
                digest = REQUEST_RATE_DIGEST;
            }
            value = value |+| 1;
        }
    };

    RegisterAction<bit<16>, bit<14>, DigestType_t>(slot_requests) first = {
        void apply(inout bit<16> value, out DigestType_t digest) {
            digest = 0;
            if (meta.common.request_threshold == 1) {
                digest = REQUEST_RATE_DIGEST;
            }
            value = 1;
        }
    };

    @id(ID_REQUEST_POLICY) @name(".request_policy")
    action request_policy(bit<16> threshold, ticks_t window) {
        meta.common.request_threshold = threshold;
        meta.common.request_window = window;
    }

    @id(ID_REQUEST_WINDOW) @name(".request_window")
    table request_window {
        actions = { request_policy; }
        default_action = request_policy(0, 0);
        size = 1;
    }

    apply {
        request_window.apply();
        if (meta.common.request_window[TICKS_MAX_BITS] == 0) {
            meta.tofino.window = (int<32>)(meta.common.request_window << TICK_SHIFT);
        } else {
            meta.tofino.window = UNITS_MAX;
        }
        meta.tofino.window_begin = meta.tofino.now - meta.tofino.window;
        if (meta.common.request_threshold != 0 && meta.tofino.is_request == 1
            && meta.common.allowed == 0) {
            meta.tofino.windowed = 1;
        }
        if (meta.tofino.windowed == 1 && meta.common.dropped == 0
            && meta.tofino.colour != RED) {
            meta.tofino.window_open = enter.execute(SMALL(meta.tofino.slot));
        } else {
            meta.tofino.windowed = 0;
        }
        if (meta.tofino.windowed == 1) {
            if (meta.tofino.window_open == 0) {
                take.execute(SMALL(meta.tofino.slot));
            } else {
                meta.tofino.window_mine = is_mine.execute(SMALL(meta.tofino.slot));
            }
        }
        if (meta.tofino.windowed == 1) {
            if (meta.tofino.window_open == 0) {
                deparse.digest_type = first.execute(SMALL(meta.tofino.slot));
            } else if (meta.tofino.window_mine == 1) {
                deparse.digest_type = one_more.execute(SMALL(meta.tofino.slot));
            }
        }
    }
}

#endif
