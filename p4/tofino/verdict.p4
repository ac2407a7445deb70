// Twin of control Verdict of p4/include/blocks.p4. What the architecture forces: a meter's red
// is 3; the tables' actions already wrote the verdict, since a packet meets one meter or none
// and what that says is the only thing left to find out. A table drops and counts in one step.
#ifndef SDNBLOCK_TOFINO_VERDICT_P4
#define SDNBLOCK_TOFINO_VERDICT_P4

#include "headers.p4"

const bit<8> RED = 3;

// What the meters say.
control Metered(inout ingress_metadata_t meta) {
    @id(ID_LIMIT_METER) @name(".limit_meter")
    Meter<bit<14>>(SIZE_LIMIT_METER, MeterType_t.PACKETS) limit_meter;
    @id(ID_HELD_METER) @name(".held_meter")
    Meter<bit<10>>(SIZE_HELD_METER, MeterType_t.PACKETS) held_meter;

    @hidden
    action drop() {
        meta.common.dropped = 1;
    }

    @hidden
    action drop_held() {
        meta.common.dropped = 1;
        meta.common.verdict = VERDICT_DROPPED_OUTCOME;
    }

    @hidden
    table dropped {
        key = {
            meta.common.verdict: exact;
            meta.common.held: ternary;
        }
        actions = { drop; drop_held; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 4;
        const entries = {
            (VERDICT_DROPPED_FLOW, _): drop();
            (VERDICT_DROPPED_SOURCE, _): drop();
            (VERDICT_DROPPED_PREFIX, _): drop();
            (VERDICT_PASSED, 1): drop_held();
        }
    }

    apply {
        if (meta.common.verdict == VERDICT_LIMITED) {
            // A cell that is not there says green, as one that is not set does.
            if (meta.common.meter_index[15:14] == 0) {
                meta.tofino.colour = limit_meter.execute(meta.common.meter_index[13:0]);
            }
        } else if (meta.common.verdict == VERDICT_PASSED && meta.common.held == 1
                   && meta.common.walk_response == RESPONSE_LIMIT) {
            meta.tofino.colour = held_meter.execute(meta.tofino.slot[9:0]);
            meta.common.verdict = VERDICT_LIMITED_OUTCOME;
        } else {
            dropped.apply();
        }
    }
}

control Verdict(in ingress_metadata_t meta,
                inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_VERDICT) @name(".verdict")
    Counter<bit<64>, bit<4>>(SIZE_VERDICT_COUNTER, CounterType_t.PACKETS_AND_BYTES) verdict;

    @hidden
    action pass(bit<4> cell) {
        verdict.count(cell, FCS_BYTES);
    }

    @hidden
    action drop(bit<4> cell) {
        verdict.count(cell, FCS_BYTES);
        deparse.drop_ctl = 1;
    }

    @hidden
    table verdicts {
        key = {
            meta.common.verdict: ternary;
            meta.tofino.colour: ternary;
        }
        actions = { pass; drop; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 16;
        const entries = {
            (VERDICT_PASSED, _): pass(0);
            (VERDICT_ALLOWED, _): pass(1);
            (VERDICT_DROPPED_FLOW, _): drop(2);
            (VERDICT_DROPPED_SOURCE, _): drop(3);
            (VERDICT_DROPPED_PREFIX, _): drop(4);
            (VERDICT_LIMITED, RED): drop(5);
            (VERDICT_WATCHED, _): pass(6);
            (VERDICT_LIMITED, _): pass(7);
            (VERDICT_DROPPED_OUTCOME, _): drop(8);
            (VERDICT_LIMITED_OUTCOME, RED): drop(9);
            (VERDICT_LIMITED_OUTCOME, _): pass(10);
        }
    }

    apply {
        if (meta.common.trusted == 0 && !meta.again.isValid()) {
            verdicts.apply();
        }
    }
}

#endif
