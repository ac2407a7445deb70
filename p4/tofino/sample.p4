// Twin of p4/include/sample.p4. What the architecture forces: the parts of a slot are asked one
// after the other (see walk.p4); a shift by a number of bits that is not fixed is a mask from a
// table; a copy is a mirrored packet.
#ifndef SDNBLOCK_TOFINO_SAMPLE_P4
#define SDNBLOCK_TOFINO_SAMPLE_P4

#include "walk.p4"
#include "verdict.p4"

struct early_t {
    bit<32> epoch;
    bit<32> count;
}

#define EPOCH(shift) shift: set_mask((0xffffffff << (shift + TICK_SHIFT)) & 0xffffffff);

control Sample(inout ingress_metadata_t meta,
               inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_SAMPLE_METER) @name(".sample_meter")
    Meter<bit<1>>(SIZE_SAMPLE_METER, MeterType_t.PACKETS) sample_meter;
    @id(ID_FIRST_METER) @name(".first_meter")
    Meter<bit<5>>(SIZE_FIRST_METER, MeterType_t.PACKETS) first_meter;

    @id(ID_FIRST_REMOTE) @name(".first_remote")
    Register<key_t, bit<14>>(SIZE_SLOTS_SMALL) first_remote;
    @id(ID_FIRST_COUNT) @name(".first_count")
    Register<early_t, bit<14>>(SIZE_SLOTS_SMALL) first_count;

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

    // Within: this is no more than the first_packets-th of its epoch.
    RegisterAction<early_t, bit<14>, bit<1>>(first_count) one_more = {
        void apply(inout early_t value, out bit<1> within) {
            if (value.epoch != meta.tofino.epoch
                || value.count < meta.tofino.first_packets) {
                within = 1;
            } else {
                within = 0;
            }
            if (value.epoch == meta.tofino.epoch) {
                value.count = value.count |+| 1;
            } else {
                value.count = 1;
            }
            value.epoch = meta.tofino.epoch;
        }
    };

    RegisterAction<early_t, bit<14>, bit<1>>(first_count) first = {
        void apply(inout early_t value, out bit<1> within) {
            value.epoch = meta.tofino.epoch;
            value.count = 1;
            within = 1;
        }
    };

    RegisterAction<early_t, bit<14>, bit<1>>(first_count) look = {
        void apply(inout early_t value, out bit<1> within) {
            if (value.epoch == meta.tofino.epoch
                && value.count <= meta.tofino.first_packets) {
                within = 1;
            } else {
                within = 0;
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

    apply {
        first_policy.apply();
        epoch_length.apply();
        meta.tofino.epoch = (bit<32>)meta.tofino.now & meta.tofino.epoch_mask;
        meta.tofino.budget = meta.common.trusted ++ meta.tofino.network;
        if (meta.tofino.first_packets != 0 && meta.tofino.is_request == 1) {
            meta.tofino.first_asked = 1;
        } else if (meta.tofino.first_packets != 0 && meta.tofino.is_final == 1) {
            meta.tofino.first_answered = 1;
        }
        if (meta.common.watched == 1) {
            meta.tofino.reason = REASON_WATCHED;
            meta.tofino.sample_colour = sample_meter.execute(0);
        }
        // Of a packet that passes: no entry hit it, and its remote is not held.
        if (meta.tofino.first_asked == 1 && meta.tofino.hit4 == 0 && meta.tofino.hit6 == 0
            && meta.common.held == 0) {
            meta.tofino.first_mine = take.execute(SMALL(meta.tofino.slot));
        } else if (meta.tofino.first_answered == 1) {
            meta.tofino.first_mine = is_mine.execute(SMALL(meta.tofino.slot));
        }
        if (meta.tofino.first_asked == 1 && meta.tofino.hit4 == 0 && meta.tofino.hit6 == 0
            && meta.common.held == 0) {
            if (meta.tofino.first_mine == 1) {
                meta.tofino.first_within = one_more.execute(SMALL(meta.tofino.slot));
            } else {
                meta.tofino.first_within = first.execute(SMALL(meta.tofino.slot));
            }
        } else if (meta.tofino.first_answered == 1 && meta.tofino.first_mine == 1) {
            meta.tofino.first_within = look.execute(SMALL(meta.tofino.slot));
        }
        if (meta.tofino.first_within == 1) {
            meta.tofino.sample_colour = first_meter.execute(meta.tofino.budget);
            if (meta.common.trusted == 1) {
                meta.tofino.reason = REASON_ANSWER;
            } else {
                meta.tofino.reason = REASON_FIRST;
            }
        }
        if (meta.tofino.reason != 0 && meta.tofino.sample_colour != RED) {
            deparse.mirror_type = COPY_MIRROR;
            meta.tofino.copy_kind = PACKET_COPY;
            meta.tofino.copy_session = COPY_SESSION;
        }
    }
}

#endif
