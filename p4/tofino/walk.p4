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

// What is left of 65,535 above the score; and the score, when it was last told.
struct score_t {
    bit<16> left;
    bit<16> score;
}

// When the last answer was, in its upper 30 bits; the lower two mark it.
const bit<2> STAMP = 3;        // a challenge, and the most that these bits say
const bit<2> STAMP_OTHER = 1;  // another answer
const int<32> STAMP_CHALLENGE = 2;  // what is between the two

// Controller's ticks (1.024 ms, here 1.049) to units, up to 39 hours.
#define TICK_SHIFT 4
#define TICKS_MAX_BITS 31:27
const int<32> UNITS_MAX = 0x7ffffff8;  // with what STAMP adds, less than half of all

// Whose the slot is, and whether he is held.
control Held(inout ingress_metadata_t meta) {
    @id(ID_WALK_REMOTE) @name(".walk_remote")
    Register<key_t, bit<16>>(SIZE_SLOTS) walk_remote;
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

    @hidden
    action subtract() {
        meta.tofino.missing = meta.common.walk_threshold |-| meta.again.score;
    }

#define TIMES(name, memory_, hold_) \
    @hidden \
    action name() { \
        meta.tofino.memory = memory_; \
        meta.tofino.hold = hold_; \
    }

    TIMES(both, (int<32>)(meta.common.walk_memory << TICK_SHIFT),
          (int<32>)(meta.common.walk_hold << TICK_SHIFT))
    TIMES(long_memory, UNITS_MAX, (int<32>)(meta.common.walk_hold << TICK_SHIFT))
    TIMES(long_hold, (int<32>)(meta.common.walk_memory << TICK_SHIFT), UNITS_MAX)
    TIMES(both_long, UNITS_MAX, UNITS_MAX)

    @hidden EARLY
    table times {
        key = {
            meta.common.walk_memory[TICKS_MAX_BITS]: ternary;
            meta.common.walk_hold[TICKS_MAX_BITS]: ternary;
        }
        actions = { both; long_memory; long_hold; both_long; }
        const default_action = both_long();
        size = 4;
        const entries = {
            (0, 0): both();
            (_, 0): long_memory();
            (0, _): long_hold();
        }
    }

    // In the second pass. A step of its own: a condition does not subtract.
    @hidden EARLY
    table missing {
        actions = { subtract; }
        const default_action = subtract();
        size = 1;
    }

    @hidden
    action set_spans() {
        meta.tofino.below = ~meta.common.walk_threshold;
        meta.tofino.forgotten = meta.tofino.now - meta.tofino.memory;
        meta.tofino.hold_end = meta.tofino.now + meta.tofino.hold;
    }

    @hidden EARLY
    table spans {
        actions = { set_spans; }
        const default_action = set_spans();
        size = 1;
    }

    @hidden
    action crosses() {
        meta.tofino.crossing = 1;
    }

    @hidden EARLY
    table crossings {
        key = {
            meta.again.isValid(): ternary;
            meta.again.crossed: ternary;
            meta.again.claim: ternary;
            meta.again.score: ternary;
            meta.tofino.missing: ternary;
        }
        actions = { crosses; NoAction; }
        const default_action = NoAction();
        size = 4;
        const entries = {
            (true, 1, _, _, _): crosses();
            (true, _, CLAIM_WALK, 0, _): NoAction();
            (true, _, CLAIM_WALK, _, 0): crosses();
        }
    }

    @hidden
    action look_whose() {
        meta.tofino.mine = is_mine.execute(meta.tofino.slot);
    }

    @hidden
    action claim() {
        claim_remote.execute(meta.tofino.slot);
    }

    // Whose it is.
    @hidden EARLY
    table whose {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
        }
        actions = { look_whose; claim; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 4;
        const entries = {
            (false, _): look_whose();
            (true, CLAIM_WALK): claim();
        }
    }

    @hidden
    action look_held() {
        meta.common.held = is_held.execute(meta.tofino.slot);
    }

    @hidden
    action hold() {
        set_held.execute(meta.tofino.slot);
    }

    @hidden
    action free() {
        set_free.execute(meta.tofino.slot);
    }

    // Until when it is held, if that has consequences.
    @hidden EARLY
    table holds {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
            meta.tofino.crossing: ternary;
            meta.common.trusted: ternary;
            meta.tofino.has_remote: ternary;
            meta.tofino.mine: ternary;
            meta.common.walk_threshold: ternary;
            meta.common.walk_response: ternary;
        }
        actions = { look_held; hold; free; NoAction; }
        const default_action = NoAction();
        size = 8;
        const entries = {
            (true, _, 1, _, _, _, _, _): hold();
            (true, CLAIM_WALK, _, _, _, _, _, _): free();
            (true, _, _, _, _, _, _, _): NoAction();
            (_, _, _, _, _, _, 0, _): NoAction();
            (_, _, _, 0, 1, 1, _, RESPONSE_LIMIT): look_held();
            (_, _, _, 0, 1, 1, _, RESPONSE_DROP): look_held();
        }
    }

    apply {
        outcome_policy.apply();
        times.apply();
        spans.apply();
        if (meta.again.isValid() && meta.again.challenged == 0) {
            meta.tofino.stamp = (int<32>)(((bit<32>)meta.tofino.now)[31:2] ++ STAMP_OTHER);
        } else {
            meta.tofino.stamp = (int<32>)(((bit<32>)meta.tofino.now)[31:2] ++ STAMP);
        }
        missing.apply();
        crossings.apply();
        whose.apply();
        holds.apply();
    }
}

// What goes out to a remote, and second passes of that.
control Walk(inout ingress_metadata_t meta,
             inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_WALK_LAST) @name(".walk_last")
    Register<int<32>, bit<16>>(SIZE_SLOTS) walk_last;
    @id(ID_WALK_SCORE) @name(".walk_score")
    Register<score_t, bit<16>>(SIZE_SLOTS) walk_score;
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

    // The register has what is left of 65,535 above the score, and `room` is what is left of it
    // above the threshold, and the weight: so the score with the weight reaches the threshold if
    // no more is left. (Of what a table's entry says, an action adds, but subtracts nothing.)
    //
    // What it gives is the type of resubmission: that the threshold is crossed is found out by
    // the register, and costs no step.
    RegisterAction<score_t, bit<16>, ResubmitType_t>(walk_score) raise = {
        void apply(inout score_t value, out ResubmitType_t resubmit) {
            resubmit = 0;
            if (value.left <= meta.tofino.room) {
                resubmit = CROSSED_RESUBMIT;
            }
            value.left = value.left |-| meta.tofino.weight;
        }
    };

    RegisterAction<score_t, bit<16>, bit<16>>(walk_score) lower = {
        void apply(inout score_t value) {
            value.left = value.left |+| meta.tofino.weight;
        }
    };

    RegisterAction<score_t, bit<16>, bit<16>>(walk_score) begin = {
        void apply(inout score_t value) {
            value.left = meta.tofino.weight;
        }
    };

    // The weight is 65,535 then.
    RegisterAction<score_t, bit<16>, bit<16>>(walk_score) take_back = {
        void apply(inout score_t value, out bit<16> score) {
            value.score = value.left ^ meta.tofino.weight;
            score = value.score;
            value.left = meta.tofino.weight;
        }
    };

    @id(ID_FAIL) @name(".fail")
    action fail(bit<16> weight) {
        meta.tofino.up = weight;
        meta.tofino.weight = weight;
        meta.tofino.room = meta.tofino.below |+| weight;
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
    action look_other() {
        meta.tofino.others = look.execute(meta.tofino.slot);
    }

    @hidden
    action answered() {
        meta.tofino.walked = answer.execute(meta.tofino.slot);
    }

    @hidden
    action challenged() {
        meta.tofino.walked = challenge.execute(meta.tofino.slot);
    }

    @hidden
    action remember() {
        claim_last.execute(meta.tofino.slot);
    }

    // Whether that is remembered.
    @hidden EARLY
    table remembered {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
            meta.common.walk_threshold: ternary;
            meta.tofino.is_final: ternary;
            meta.tofino.is_challenge: ternary;
            meta.tofino.mine: ternary;
        }
        actions = { look_other; answered; challenged; remember; NoAction; }
        const default_action = NoAction();
        size = 8;
        const entries = {
            (true, CLAIM_WALK, _, _, _, _): remember();
            (true, _, _, _, _, _): NoAction();
            (_, _, 0, _, _, _): NoAction();
            (_, _, _, 1, _, 0): look_other();
            (_, _, _, 1, 1, 1): challenged();
            (_, _, _, 1, 0, 1): answered();
        }
    }

    @hidden
    action begin_score() {
        begin.execute(meta.tofino.slot);
    }

    @hidden
    action begin_crossing() {
        begin.execute(meta.tofino.slot);
        meta.tofino.score = meta.again.score;
        deparse.digest_type = OUTCOME_DIGEST;
    }

    @hidden
    action cross() {
        meta.tofino.score = take_back.execute(meta.tofino.slot);
        deparse.digest_type = OUTCOME_DIGEST;
    }

    @hidden
    action claim() {
        meta.tofino.claim = CLAIM_WALK;
        meta.tofino.score = meta.tofino.up;
        deparse.resubmit_type = CLAIM_RESUBMIT;
    }

    @hidden
    action fails() {
        deparse.resubmit_type = raise.execute(meta.tofino.slot);
    }

    @hidden
    action succeeds() {
        lower.execute(meta.tofino.slot);
    }

    // The score; or that the slot is to be taken. What is remembered is this remote's.
    @hidden @name(".walk_scores")
    table scores {
        key = {
            meta.again.isValid(): ternary;
            meta.again.claim: ternary;
            meta.tofino.crossing: ternary;
            meta.tofino.walks: ternary;
            meta.tofino.walked[0:0]: ternary;
            meta.tofino.others[0:0]: ternary;
            meta.tofino.is_challenge: ternary;
            meta.tofino.up: ternary;
        }
        actions = {
            begin_score; begin_crossing; cross; claim; fails; succeeds; NoAction;
        }
        const default_action = NoAction();
        size = 16;
        const entries = {
            (true, CLAIM_WALK, 1, _, _, _, _, _): begin_crossing();
            (true, CLAIM_WALK, 0, _, _, _, _, _): begin_score();
            (true, 0, _, _, _, _, _, _): cross();
            (true, _, _, _, _, _, _, _): NoAction();
            (_, _, _, 1, 0, 0, 0, 0): NoAction();
            (_, _, _, 1, 0, 0, _, _): claim();
            (_, _, _, 1, 1, _, _, 0): succeeds();
            (_, _, _, 1, 1, _, _, _): fails();
        }
    }

    apply {
        remembered.apply();
        if (meta.tofino.crossing == 1) {
            meta.tofino.weight = 0xffff;
        } else if (meta.again.isValid()) {
            meta.tofino.weight = ~meta.again.score;
        }
        if (meta.common.walk_threshold != 0 && meta.tofino.is_final == 1) {
            meta.tofino.walks = 1;
        }
        if (meta.common.walk_threshold != 0 && meta.tofino.is_final == 1) {
            outcome.apply();
        }
        scores.apply();
    }
}

#endif
