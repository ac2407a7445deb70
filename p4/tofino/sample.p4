// Twin of p4/include/sample.p4. What the architecture forces: the parts of a slot are asked one
// after the other (see walk.p4); a shift by a number of bits that is not fixed is a mask from a
// table; a copy is a mirrored packet. And since what waits for all tables has few steps left, it
// is in egress, whose steps are counted anew, that the budgets are asked and the copy is made.
#ifndef SDNBLOCK_TOFINO_SAMPLE_P4
#define SDNBLOCK_TOFINO_SAMPLE_P4

#include "walk.p4"
#include "verdict.p4"

struct early_t {
    bit<32> epoch;
    bit<32> count;
}

#define EPOCH(shift) shift: set_mask((0xffffffff << (shift + TICK_SHIFT)) & 0xffffffff);

// Whose the slot of first packets is. Before the meters speak, as in window.p4.
control Sample(inout bridge_t bridge, inout ingress_metadata_t meta) {
    @id(ID_FIRST_REMOTE) @name(".first_remote")
    Register<key_t, bit<14>>(SIZE_SLOTS_SMALL) first_remote;

    RegisterAction<key_t, bit<14>, bit<1>>(first_remote) take = {
        void apply(inout key_t value, out bit<1> mine) {
            if (value.high == meta.tofino.key_high && value.low == meta.tofino.key_low) {
                mine = 1;
            } else {
                mine = 0;
            }
            value.high = meta.tofino.key_high;
            value.low = meta.tofino.key_low;
        }
    };

    RegisterAction<key_t, bit<14>, bit<1>>(first_remote) is_mine = {
        void apply(inout key_t value, out bit<1> mine) {
            if (value.high == meta.tofino.key_high && value.low == meta.tofino.key_low) {
                mine = 1;
            } else {
                mine = 0;
            }
        }
    };

    @id(ID_FIRST_POLICY_ACTION) @name(".set_first_policy")
    action set_first_policy(bit<16> packets, bit<8> shift) {
        meta.tofino.first_packets = (bit<32>)packets;
        meta.tofino.epoch_shift = shift;
    }

    @id(ID_FIRST_POLICY) @name(".first_policy")
    table first_policy {
        actions = { set_first_policy; }
        default_action = set_first_policy(0, 0);
        size = 1;
    }

    @hidden
    action set_mask(bit<32> mask) {
        meta.tofino.epoch_mask = mask;
    }

    // Longer shifts leave nothing of the clock: one epoch for ever.
    @hidden
    table epoch_length {
        key = { meta.tofino.epoch_shift: exact; }
        actions = { set_mask; }
        const default_action = set_mask(0);
        size = 32;
        const entries = {
            EPOCH(0) EPOCH(1) EPOCH(2) EPOCH(3) EPOCH(4) EPOCH(5) EPOCH(6) EPOCH(7)
            EPOCH(8) EPOCH(9) EPOCH(10) EPOCH(11) EPOCH(12) EPOCH(13) EPOCH(14) EPOCH(15)
            EPOCH(16) EPOCH(17) EPOCH(18) EPOCH(19) EPOCH(20) EPOCH(21) EPOCH(22) EPOCH(23)
            EPOCH(24) EPOCH(25) EPOCH(26) EPOCH(27)
        }
    }

    @hidden
    action take_slot() {
        meta.tofino.first_taking = 1;
        meta.tofino.first_mine = take.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action look_whose() {
        meta.tofino.first_looking = 1;
        meta.tofino.first_mine = is_mine.execute(SMALL(meta.tofino.slot));
    }

    // A request takes the slot if it passes: no entry hit it, and its remote is not held.
    @hidden
    table owners {
        key = {
            meta.tofino.first_asked: ternary;
            meta.tofino.first_answered: ternary;
            meta.common.verdict: ternary;
            meta.common.held: ternary;
        }
        actions = { take_slot; look_whose; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 2;
        const entries = {
            (1, _, VERDICT_PASSED, 0): take_slot();
            (_, 1, _, _): look_whose();
        }
    }

    apply {
        first_policy.apply();
        epoch_length.apply();
        meta.tofino.epoch = (bit<32>)meta.tofino.now & meta.tofino.epoch_mask;
        bridge.budget = meta.common.trusted ++ meta.tofino.network;
        if (meta.tofino.first_packets != 0 && meta.tofino.is_request == 1) {
            meta.tofino.first_asked = 1;
        } else if (meta.tofino.first_packets != 0 && meta.tofino.is_final == 1) {
            meta.tofino.first_answered = 1;
        }
        // In a second pass, what the first found out.
        if (meta.again.isValid()) {
            bridge.copy = meta.again.copy;
        } else if (meta.common.verdict == VERDICT_WATCHED) {
            bridge.copy = COPY_WATCHED;
        }
        owners.apply();
    }
}

// Which packets are among the first.
control First(inout bridge_t bridge, inout ingress_metadata_t meta) {
    @id(ID_FIRST_COUNT) @name(".first_count")
    Register<early_t, bit<14>>(SIZE_SLOTS_SMALL) first_count;

    // COPY_FIRST: this is no more than the first_packets-th of its epoch.
    RegisterAction<early_t, bit<14>, bit<8>>(first_count) one_more = {
        void apply(inout early_t value, out bit<8> copy) {
            if (value.epoch != meta.tofino.epoch
                || value.count < meta.tofino.first_packets) {
                copy = COPY_FIRST;
            } else {
                copy = COPY_NONE;
            }
            if (value.epoch == meta.tofino.epoch) {
                value.count = value.count |+| 1;
            } else {
                value.count = 1;
            }
            value.epoch = meta.tofino.epoch;
        }
    };

    RegisterAction<early_t, bit<14>, bit<8>>(first_count) first = {
        void apply(inout early_t value, out bit<8> copy) {
            value.epoch = meta.tofino.epoch;
            value.count = 1;
            copy = COPY_FIRST;
        }
    };

    RegisterAction<early_t, bit<14>, bit<8>>(first_count) look = {
        void apply(inout early_t value, out bit<8> copy) {
            if (value.epoch == meta.tofino.epoch
                && value.count <= meta.tofino.first_packets) {
                copy = COPY_FIRST;
            } else {
                copy = COPY_NONE;
            }
        }
    };

    @hidden
    action count() {
        bridge.copy = one_more.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action begin() {
        bridge.copy = first.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    action look_within() {
        bridge.copy = look.execute(SMALL(meta.tofino.slot));
    }

    @hidden
    table counts {
        key = {
            meta.tofino.first_taking: ternary;
            meta.tofino.first_looking: ternary;
            meta.tofino.first_mine: ternary;
        }
        actions = { count; begin; look_within; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 4;
        const entries = {
            (1, _, 1): count();
            (1, _, 0): begin();
            (_, 1, 1): look_within();
        }
    }

    apply {
        counts.apply();
    }
}

// Whether there is room in the budget of a packet that is to be copied, and why it is.
control Budget(inout egress_metadata_t meta) {
    @id(ID_SAMPLE_METER) @name(".sample_meter")
    Meter<bit<1>>(SIZE_SAMPLE_METER, MeterType_t.PACKETS) sample_meter;
    @id(ID_FIRST_METER) @name(".first_meter")
    Meter<bit<5>>(SIZE_FIRST_METER, MeterType_t.PACKETS) first_meter;

    apply {
        meta.port = 7w0 ++ meta.bridge.ingress_port;
        if (meta.bridge.isValid() && meta.bridge.copy == COPY_WATCHED) {
            meta.reason = REASON_WATCHED;
            meta.colour = sample_meter.execute(0);
        } else if (meta.bridge.isValid() && meta.bridge.copy == COPY_FIRST) {
            meta.colour = first_meter.execute(meta.bridge.budget);
            if (meta.bridge.budget[4:4] == 1) {
                meta.reason = REASON_ANSWER;
            } else {
                meta.reason = REASON_FIRST;
            }
        }
    }
}

#endif
