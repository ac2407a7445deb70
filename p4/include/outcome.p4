// Stage `outcome`: a walk over what our servers answer each remote. Failures raise its score,
// successes lower it; a challenge that follows a challenge counts for itself, since the first
// 401 of every REGISTER is nobody's fault. Crossing the threshold tells the controller, and by
// policy holds the remote from its next packet on.
//
// A slot holds the remote's whole key: a hash collision can hide a remote while another's
// memory lasts, but never convict a bystander.
#ifndef SDNBLOCK_OUTCOME_P4
#define SDNBLOCK_OUTCOME_P4

#include "headers.p4"
#include "ids.p4"
#include "remote.p4"

struct outcome_t {
    remote_t remote;
    bit<16> score;
    bit<16> port;
}

@id(ID_WALK_REMOTE) @name(".walk_remote")
register<remote_t>(SIZE_SLOTS) walk_remote;
@id(ID_WALK_LAST) @name(".walk_last")
register<ticks_t>(SIZE_SLOTS) walk_last;
@id(ID_WALK_SCORE) @name(".walk_score")
register<bit<16>>(SIZE_SLOTS) walk_score;
@id(ID_WALK_CHALLENGED) @name(".walk_challenged")
register<bit<1>>(SIZE_SLOTS) walk_challenged;
@id(ID_WALK_HELD) @name(".walk_held")
register<ticks_t>(SIZE_SLOTS) walk_held;  // until when; 0: not held

// What comes in of a remote that is held.
control Held(inout metadata_t meta) {
    @id(ID_OUTCOME_POLICY_ACTION) @name(".set_outcome_policy")
    action set_outcome_policy(bit<16> threshold, ticks_t memory, ticks_t hold, bit<8> response) {
        meta.walk_threshold = threshold;
        meta.walk_memory = memory;
        meta.walk_hold = hold;
        meta.walk_response = response;
    }

    // No key: the controller sets the default action. A threshold of 0 turns the walk off.
    @id(ID_OUTCOME_POLICY) @name(".outcome_policy")
    table outcome_policy {
        actions = { set_outcome_policy; }
        default_action = set_outcome_policy(0, 0, 0, RESPONSE_TELL);
    }

    apply {
        outcome_policy.apply();
        if (meta.trusted == 0 && meta.unblocked == 1 && meta.walk_threshold != 0
            && (meta.walk_response == RESPONSE_LIMIT || meta.walk_response == RESPONSE_DROP)) {
            remote_t remote;
            ticks_t until;
            walk_remote.read(remote, meta.slot);
            walk_held.read(until, meta.slot);
            // No hold lasts longer: more is left of one that ended up to 50 days ago.
            ticks_t left = until - meta.now;
            if (remote == meta.remote && until != 0 && left != 0 && left <= meta.walk_hold) {
                meta.held = 1;
            }
        }
    }
}

// What goes out to a remote.
control Walk(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<16> up = 0;
    bit<16> down = 0;
    bit<1> again = 0;

    @id(ID_FAIL) @name(".fail")
    action fail(bit<16> weight) {
        up = weight;
    }

    @id(ID_SUCCEED) @name(".succeed")
    action succeed(bit<16> weight) {
        down = weight;
    }

    // `again`: the answer before, to the same remote, was a 401 or 407.
    @id(ID_OUTCOME) @name(".outcome")
    table outcome {
        key = {
            meta.kind: exact @name("kind");
            again: exact @name("again");
        }
        actions = { fail; succeed; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_OUTCOME;
    }

    apply {
        if (meta.walk_threshold != 0 && meta.is_sip == 1 && meta.kind >= FIRST_FINAL
            && meta.kind <= LAST_FINAL) {
            remote_t remote;
            ticks_t last;
            bit<16> score;
            bit<1> challenged;
            ticks_t held;
            walk_remote.read(remote, meta.slot);
            walk_last.read(last, meta.slot);
            walk_score.read(score, meta.slot);
            walk_challenged.read(challenged, meta.slot);
            walk_held.read(held, meta.slot);

            bool live = remote != 0 && meta.now - last < meta.walk_memory;
            bool mine = remote == meta.remote;
            if (live && mine) {
                again = challenged;
            }
            outcome.apply();
            bit<1> challenge = 0;
            if (meta.kind == KIND_401 || meta.kind == KIND_407) {
                challenge = 1;
            }
            bool claim = !live && (up != 0 || challenge == 1);
            if (claim) {
                score = 0;
                held = 0;
            }
            if (claim || (live && mine)) {
                score = (score |+| up) |-| down;
                if (up != 0 && score >= meta.walk_threshold) {
                    digest<outcome_t>(1, {
                        meta.remote, score, (bit<16>)standard_metadata.ingress_port });
                    score = 0;
                    held = meta.now + meta.walk_hold;
                    if (held == 0) {
                        held = 1;
                    }
                }
                walk_remote.write(meta.slot, meta.remote);
                walk_last.write(meta.slot, meta.now);
                walk_score.write(meta.slot, score);
                walk_challenged.write(meta.slot, challenge);
                walk_held.write(meta.slot, held);
            }
        }
    }
}

#endif
