// Stage `sample`: copies for the controller. Of what is watched; of the first requests of each
// remote in an epoch, and of our final responses to those.
//
// Each has a budget (a meter), so no flood can exceed it. That of first requests is divided by
// networks, so that a flood from one network leaves room for new remotes in others; and a new
// remote always takes the slot, so that forged remotes cannot lock others out.
#ifndef SDNBLOCK_SAMPLE_P4
#define SDNBLOCK_SAMPLE_P4

#include "headers.p4"
#include "ids.p4"
#include "remote.p4"

const bit<32> CPU_SESSION = 250;   // clone session

control Sample(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<2> colour = 0;
    bit<8> reason = 0;
    bit<16> first_packets = 0;
    bit<8> epoch_shift = 0;
    bit<32> budget = 0;

    @id(ID_SAMPLE_METER) @name(".sample_meter")
    meter(SIZE_SAMPLE_METER, MeterType.packets) sample_meter;
    @id(ID_FIRST_METER) @name(".first_meter")
    meter(SIZE_FIRST_METER, MeterType.packets) first_meter;

    @id(ID_FIRST_REMOTE) @name(".first_remote")
    register<remote_t>(SIZE_SLOTS) first_remote;
    @id(ID_FIRST_EPOCH) @name(".first_epoch")
    register<bit<16>>(SIZE_SLOTS) first_epoch;
    @id(ID_FIRST_COUNT) @name(".first_count")
    register<bit<16>>(SIZE_SLOTS) first_count;

    @id(ID_FIRST_POLICY_ACTION) @name(".set_first_policy")
    action set_first_policy(bit<16> packets, bit<8> shift) {
        first_packets = packets;
        epoch_shift = shift;
    }

    // No key: the controller sets the default action. 0 packets turn it off. An epoch has
    // 2 ** shift ticks.
    @id(ID_FIRST_POLICY) @name(".first_policy")
    table first_policy {
        actions = { set_first_policy; }
        default_action = set_first_policy(0, 0);
    }

    apply {
        first_policy.apply();
        if (meta.verdict == VERDICT_WATCHED) {
            reason = REASON_WATCHED;
            sample_meter.execute_meter(0, colour);
        } else if (first_packets != 0 && meta.is_sip == 1 && meta.verdict == VERDICT_PASSED) {
            remote_t remote;
            bit<16> epoch;
            bit<16> count;
            bit<16> now = (bit<16>)(meta.now >> epoch_shift);
            first_remote.read(remote, meta.slot);
            first_epoch.read(epoch, meta.slot);
            first_count.read(count, meta.slot);
            bool mine = remote == meta.remote && epoch == now;
            if (meta.trusted == 0 && meta.kind >= FIRST_REQUEST && meta.kind <= LAST_REQUEST) {
                if (mine) {
                    count = count |+| 1;
                } else {
                    count = 1;
                }
                first_remote.write(meta.slot, meta.remote);
                first_epoch.write(meta.slot, now);
                first_count.write(meta.slot, count);
                if (count <= first_packets) {
                    reason = REASON_FIRST;
                    budget = meta.network;
                }
            } else if (meta.trusted == 1 && meta.kind >= FIRST_FINAL && meta.kind <= LAST_FINAL
                       && mine && count <= first_packets) {
                reason = REASON_ANSWER;
                budget = SIZE_NETWORKS + meta.network;
            }
            if (reason != 0) {
                first_meter.execute_meter(budget, colour);
            }
        }
        if (reason != 0 && colour != 2) {
            meta.sample_port = (bit<16>)standard_metadata.ingress_port;
            meta.sample_reason = reason;
            clone_preserving_field_list(CloneType.I2E, CPU_SESSION, 1);
        }
    }
}

#endif
