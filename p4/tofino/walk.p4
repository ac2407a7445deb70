// Twin of p4/include/outcome.p4. What the architecture forces: of a register, one slot is read
// and written once by a packet, in one step that makes two comparisons at most, and all that is
// done with one register knows two fields of the packet. So
// - the parts of a slot are asked one after the other: whose it is, whether that is still
//   remembered, the score, and until when it is held;
// - what depends on all of them (a free slot is taken, the threshold is crossed) is written by
//   a second pass of the same packet, which the first asks for. Most answers need none. Between
//   the two passes, for about a microsecond, other packets find the slot as it was;
// - times wrap every 78 hours, and whether one lies within a span is asked from both its ends.
#ifndef SDNBLOCK_TOFINO_WALK_P4
#define SDNBLOCK_TOFINO_WALK_P4

#include "headers.p4"
#include "deparser.p4"

struct key_t {
    bit<32> high;
    bit<32> low;
}

// When the last answer was, in its upper 30 bits; the lower two mark it.
const bit<2> STAMP = 3;        // a challenge, and the most that these bits say
const bit<2> STAMP_OTHER = 1;  // another answer
const int<32> STAMP_CHALLENGE = 2;  // what is between the two

// Controller's ticks (1.024 ms, here 1.049) to units, up to 39 hours.
#define TICK_SHIFT 4
#define TICKS_MAX_BITS 31:27
const int<32> UNITS_MAX = 0x7ffffff8;  // with what STAMP adds, less than half of all

control Walk(inout ingress_metadata_t meta,
             inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_WALK_REMOTE) @name(".walk_remote")
    Register<key_t, bit<16>>(SIZE_SLOTS) walk_remote;
    @id(ID_WALK_LAST) @name(".walk_last")
    Register<int<32>, bit<16>>(SIZE_SLOTS) walk_last;
    @id(ID_WALK_SCORE) @name(".walk_score")
    Register<bit<16>, bit<16>>(SIZE_SLOTS) walk_score;
    @id(ID_WALK_HELD) @name(".walk_held")
    Register<int<32>, bit<16>>(SIZE_SLOTS) walk_held;  // until when

    RegisterAction<key_t, bit<16>, bit<1>>(walk_remote) is_mine = {
        void apply(inout key_t value, out bit<1> mine) {
            if (value.high == meta.tofino.key_high && value.low == meta.tofino.key_low) {
                mine = 1;
            } else {
                mine = 0;
            }
        }
    };

    RegisterAction<key_t, bit<16>, bit<1>>(walk_remote) claim_remote = {
        void apply(inout key_t value) {
            value.high = meta.tofino.key_high;
            value.low = meta.tofino.key_low;
        }
    };

    // Remembered: the last answer is not older than the memory, nor younger than now. A slot
    // that was never used has no mark.
    RegisterAction<int<32>, bit<16>, bit<32>>(walk_last) answer = {
        void apply(inout int<32> value, out bit<32> last) {
            last = 0;
            if (value - meta.tofino.forgotten > 0 && value - meta.tofino.stamp <= 0) {
                last = (bit<32>)value;
                value = meta.tofino.stamp - STAMP_CHALLENGE;
            }
        }
    };

    RegisterAction<int<32>, bit<16>, bit<32>>(walk_last) challenge = {
        void apply(inout int<32> value, out bit<32> last) {
            last = 0;
            if (value - meta.tofino.forgotten > 0 && value - meta.tofino.stamp <= 0) {
                last = (bit<32>)value;
                value = meta.tofino.stamp;
            }
        }
    };

    RegisterAction<int<32>, bit<16>, bit<32>>(walk_last) look = {
        void apply(inout int<32> value, out bit<32> last) {
            last = 0;
            if (value - meta.tofino.forgotten > 0 && value - meta.tofino.stamp <= 0) {
                last = (bit<32>)value;
            }
        }
    };

    RegisterAction<int<32>, bit<16>, bit<32>>(walk_last) claim_last = {
        void apply(inout int<32> value) {
            value = meta.tofino.stamp;
        }
    };

    RegisterAction<bit<16>, bit<16>, bit<16>>(walk_score) raise = {
        void apply(inout bit<16> value, out bit<16> score) {
            value = value |+| meta.tofino.weight;
            score = value;
        }
    };

    RegisterAction<bit<16>, bit<16>, bit<16>>(walk_score) lower = {
        void apply(inout bit<16> value) {
            value = value |-| meta.tofino.weight;
        }
    };

    RegisterAction<bit<16>, bit<16>, bit<16>>(walk_score) begin = {
        void apply(inout bit<16> value) {
            value = meta.tofino.weight;
        }
    };

    // Held: until when lies ahead, no further than a hold lasts.
    RegisterAction<int<32>, bit<16>, bit<1>>(walk_held) is_held = {
        void apply(inout int<32> value, out bit<1> held) {
            if (value - meta.tofino.now > 0 && value - meta.tofino.hold_end <= 0) {
                held = 1;
            } else {
                held = 0;
            }
        }
    };

    RegisterAction<int<32>, bit<16>, bit<1>>(walk_held) set_held = {
        void apply(inout int<32> value) {
            value = meta.tofino.hold_end;
        }
    };

    RegisterAction<int<32>, bit<16>, bit<1>>(walk_held) set_free = {
        void apply(inout int<32> value) {
            value = meta.tofino.now;
        }
    };

    @id(ID_OUTCOME_POLICY_ACTION) @name(".set_outcome_policy")
    action set_outcome_policy(bit<16> threshold, ticks_t memory, ticks_t hold, bit<8> response) {
        meta.common.walk_threshold = threshold;
        meta.common.walk_memory = memory;
        meta.common.walk_hold = hold;
        meta.common.walk_response = response;
    }

    @id(ID_OUTCOME_POLICY) @name(".outcome_policy")
    table outcome_policy {
        actions = { set_outcome_policy; }
        default_action = set_outcome_policy(0, 0, 0, RESPONSE_TELL);
        size = 1;
    }

    @id(ID_FAIL) @name(".fail")
    action fail(bit<16> weight) {
        meta.tofino.up = weight;
        meta.tofino.weight = weight;
    }

    @id(ID_SUCCEED) @name(".succeed")
    action succeed(bit<16> weight) {
        meta.tofino.weight = weight;
    }

    @id(ID_OUTCOME) @name(".outcome")
    table outcome {
        key = {
            meta.common.kind: exact @name("kind");
            meta.tofino.walked[1:1]: exact @name("again");
        }
        actions = { fail; succeed; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_OUTCOME;
    }

    @hidden
    action subtract() {
        meta.tofino.missing = meta.common.walk_threshold |-| meta.tofino.score;
    }

    // A step of its own: a condition does not subtract.
    @hidden
    table missing {
        actions = { subtract; }
        const default_action = subtract();
        size = 1;
    }

    apply {
        outcome_policy.apply();
        if (meta.tofino.has_remote == 1 && meta.common.walk_threshold != 0
            && (meta.common.walk_response == RESPONSE_LIMIT
                || meta.common.walk_response == RESPONSE_DROP)) {
            meta.tofino.hold_acts = 1;
        }
        if (meta.common.walk_memory[TICKS_MAX_BITS] == 0) {
            meta.tofino.memory = (int<32>)(meta.common.walk_memory << TICK_SHIFT);
        } else {
            meta.tofino.memory = UNITS_MAX;
        }
        if (meta.common.walk_hold[TICKS_MAX_BITS] == 0) {
            meta.tofino.hold = (int<32>)(meta.common.walk_hold << TICK_SHIFT);
        } else {
            meta.tofino.hold = UNITS_MAX;
        }
        meta.tofino.forgotten = meta.tofino.now - meta.tofino.memory;
        meta.tofino.hold_end = meta.tofino.now + meta.tofino.hold;
        if (meta.again.isValid() && meta.again.challenged == 0) {
            meta.tofino.stamp = (int<32>)(((bit<32>)meta.tofino.now)[31:2] ++ STAMP_OTHER);
        } else {
            meta.tofino.stamp = (int<32>)(((bit<32>)meta.tofino.now)[31:2] ++ STAMP);
        }
        if (meta.again.isValid() && meta.again.crossed == 1) {
            deparse.digest_type = OUTCOME_DIGEST;
        } else if (meta.again.isValid()) {
            meta.tofino.weight = meta.again.score;
        }

        // Whose it is.
        if (meta.again.isValid() && meta.again.claim == 1) {
            claim_remote.execute(meta.tofino.slot);
        } else if (!meta.again.isValid()) {
            meta.tofino.mine = is_mine.execute(meta.tofino.slot);
        }

        // Whether that is remembered.
        if (meta.again.isValid() && meta.again.claim == 1) {
            claim_last.execute(meta.tofino.slot);
        } else if (meta.common.walk_threshold != 0 && meta.tofino.is_final == 1) {
            if (meta.tofino.mine == 0) {
                meta.tofino.others = look.execute(meta.tofino.slot);
            } else if (meta.tofino.is_challenge == 1) {
                meta.tofino.walked = challenge.execute(meta.tofino.slot);
            } else {
                meta.tofino.walked = answer.execute(meta.tofino.slot);
            }
        }

        // Until when it is held, if that has consequences.
        if (meta.again.isValid() && meta.again.crossed == 1) {
            set_held.execute(meta.tofino.slot);
        } else if (meta.again.isValid()) {
            set_free.execute(meta.tofino.slot);
        } else if (meta.common.trusted == 0 && meta.tofino.mine == 1
                   && meta.tofino.hold_acts == 1) {
            meta.common.held = is_held.execute(meta.tofino.slot);
        }

        if (meta.common.walk_threshold != 0 && meta.tofino.is_final == 1) {
            outcome.apply();
        }

        // The score; or that the slot is to be taken.
        if (meta.again.isValid()) {
            begin.execute(meta.tofino.slot);
        } else if (meta.common.walk_threshold != 0 && meta.tofino.is_final == 1) {
            if (meta.tofino.walked[0:0] == 0 && meta.tofino.others[0:0] == 0) {
                if (meta.tofino.up != 0 || meta.tofino.is_challenge == 1) {
                    meta.tofino.claim = 1;
                    meta.tofino.score = meta.tofino.up;
                    deparse.resubmit_type = AGAIN_RESUBMIT;
                }
            } else if (meta.tofino.mine == 1) {
                if (meta.tofino.up != 0) {
                    meta.tofino.score = raise.execute(meta.tofino.slot);
                } else {
                    lower.execute(meta.tofino.slot);
                }
            }
        }
        missing.apply();
        if (meta.tofino.up != 0 && meta.tofino.missing == 0) {
            meta.tofino.crossed = 1;
            deparse.resubmit_type = AGAIN_RESUBMIT;
        }
    }
}

#endif
