// Twin of p4/include/window.p4. What the architecture forces: the parts of a slot are asked one
// after the other (see walk.p4). Whether its window is open and whose it is are only looked at,
// early; when all is decided, a request of the owner is counted, and where no window is open a
// second pass of the packet opens one: once in a window, as what comes between finds it open.
#ifndef SDNBLOCK_TOFINO_WINDOW_P4
#define SDNBLOCK_TOFINO_WINDOW_P4

#include "walk.p4"
#include "verdict.p4"

struct start_t {
    int<32> time;
    int<32> used;  // 0: by nobody yet; both halves have one type
}

control RequestWindow(inout ingress_metadata_t meta) {
    @id(ID_SLOT_START) @name(".slot_start")
    Register<start_t, bit<14>>(SIZE_SLOTS_SMALL) slot_start;
    @id(ID_SLOT_REMOTE) @name(".slot_remote")
    Register<key_t, bit<14>>(SIZE_SLOTS_SMALL) slot_remote;

    RegisterAction<start_t, bit<14>, bit<32>>(slot_start) is_open = {
        void apply(inout start_t value, out bit<32> open) {
            open = 0;
            if (value.time - meta.tofino.window_begin > 0 && value.time - meta.tofino.now <= 0) {
                open = (bit<32>)value.used;
            }
        }
    };

    RegisterAction<start_t, bit<14>, bit<32>>(slot_start) open_now = {
        void apply(inout start_t value) {
            value.time = meta.tofino.now;
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

    @hidden
    action short_window() {
        meta.tofino.window = (int<32>)(meta.common.request_window << TICK_SHIFT);
    }

    @hidden
    action long_window() {
        meta.tofino.window = UNITS_MAX;
    }

    @hidden EARLY
    table times {
        key = { meta.common.request_window[TICKS_MAX_BITS]: ternary; }
        actions = { short_window; long_window; }
        const default_action = long_window();
        size = 1;
        const entries = {
            0: short_window();
        }
    }

    @hidden
    action set_begin() {
        meta.tofino.window_begin = meta.tofino.now - meta.tofino.window;
    }

    @hidden EARLY
    table begins {
        actions = { set_begin; }
        const default_action = set_begin();
        size = 1;
    }

    @hidden
    action look_open() {
        meta.tofino.window_open = is_open.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action open() {
        open_now.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    table starts {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
        }
        actions = { look_open; open; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 2;
        const entries = {
            (false, _): look_open();
            (true, CLAIM_WINDOW): open();
        }
    }

    @hidden
    action look_whose() {
        meta.tofino.window_mine = is_mine.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action claim() {
        take.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    table owners {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
        }
        actions = { look_whose; claim; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 2;
        const entries = {
            (false, _): look_whose();
            (true, CLAIM_WINDOW): claim();
        }
    }

    apply {
        request_window.apply();
        times.apply();
        begins.apply();
        starts.apply();
        owners.apply();
    }
}

// Whether it is a request that the window counts, if it is not dropped. Before the meters speak,
// which may write another verdict: so it need not wait for that.
control Windowed(inout ingress_metadata_t meta) {
    apply {
        if (meta.common.request_threshold != 0 && meta.tofino.is_request == 1
            && meta.common.verdict != VERDICT_ALLOWED) {
            meta.tofino.windowed = 1;
        }
    }
}

// A request that is not dropped.
control Requests(inout ingress_metadata_t meta,
                 inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_SLOT_REQUESTS) @name(".slot_requests")
    Register<bit<16>, bit<14>>(SIZE_SLOTS_SMALL) slot_requests;

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

    @hidden
    action begin() {
        deparse.digest_type = first.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action count() {
        deparse.digest_type = one_more.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action claim() {
        meta.tofino.claim = CLAIM_WINDOW;
        deparse.resubmit_type = CLAIM_RESUBMIT;
    }

    // No packet is of this table and of the walk's, which write the same fields: one is for
    // what comes in, the other for what goes out, and a second pass is for one of them.
    @hidden
    @ignore_table_dependency(".walk_scores")
    table requests {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
            meta.tofino.windowed: ternary;
            meta.common.dropped: ternary;
            meta.tofino.colour: ternary;
            meta.tofino.window_open[0:0]: ternary;
            meta.tofino.window_mine: ternary;
        }
        actions = { begin; count; claim; NoAction; }
        const default_action = NoAction();
        size = 8;
        const entries = {
            (true, CLAIM_WINDOW, _, _, _, _, _): begin();
            (true, _, _, _, _, _, _): NoAction();
            (_, _, _, _, RED, _, _): NoAction();
            (_, _, 1, 0, _, 0, _): claim();
            (_, _, 1, 0, _, 1, 1): count();
        }
    }

    apply {
        requests.apply();
    }
}

#endif
