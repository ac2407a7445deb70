// Twin of control Verdict of p4/include/blocks.p4. What the architecture forces: a meter's red
// is 3; the tables' actions already wrote the verdict, since a packet meets one meter or none
// and what that says is the only thing left to find out. Red drops right here, not through
// `dropped`: so what comes next does not wait for it, but asks for the colour, a stage earlier.
#ifndef SDNBLOCK_TOFINO_VERDICT_P4
#define SDNBLOCK_TOFINO_VERDICT_P4

#include "headers.p4"

const bit<8> RED = 3;

control Verdict(inout ingress_metadata_t meta,
                inout ingress_intrinsic_metadata_for_deparser_t deparse) {
    @id(ID_LIMIT_METER) @name(".limit_meter")
    Meter<bit<14>>(SIZE_LIMIT_METER, MeterType_t.PACKETS) limit_meter;
    @id(ID_HELD_METER) @name(".held_meter")
    Meter<bit<10>>(SIZE_HELD_METER, MeterType_t.PACKETS) held_meter;
    @id(ID_VERDICT) @name(".verdict")
    Counter<bit<64>, bit<4>>(SIZE_VERDICT_COUNTER, CounterType_t.PACKETS_AND_BYTES) verdict;

    apply {
        if (meta.common.limited == 1) {
            // A cell that is not there says green, as one that is not set does.
            if (meta.common.meter_index[15:14] == 0) {
                meta.tofino.colour = limit_meter.execute(meta.common.meter_index[13:0]);
            }
        } else if (meta.common.held == 1 && meta.tofino.hit4 == 0 && meta.tofino.hit6 == 0) {
            if (meta.common.walk_response == RESPONSE_LIMIT) {
                meta.tofino.colour = held_meter.execute(meta.tofino.slot[9:0]);
                meta.common.verdict = VERDICT_LIMITED_OUTCOME;
            } else {
                meta.common.dropped = 1;
                meta.common.verdict = VERDICT_DROPPED_OUTCOME;
            }
        }
        if (meta.tofino.colour == RED) {
            deparse.drop_ctl = 1;
            if (meta.common.limited == 1) {
                meta.common.verdict = VERDICT_DROPPED_LIMIT;
            } else {
                meta.common.verdict = VERDICT_DROPPED_OUTCOME_LIMIT;
            }
        }
        if (meta.common.trusted == 0) {
            verdict.count(meta.common.verdict[3:0], FCS_BYTES);
        }
    }
}

#endif
