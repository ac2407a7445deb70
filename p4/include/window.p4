// SIP requests of each remote within a window, as part of stage `outcome`. The slot
// holds the remote's whole key beside the count, so a hash collision can hide a remote for
// a window, but never convict a bystander.
#ifndef SDNBLOCK_WINDOW_P4
#define SDNBLOCK_WINDOW_P4

#include "headers.p4"
#include "ids.p4"
#include "remote.p4"

struct request_rate_t {
    remote_t remote;
    bit<16> requests;
    bit<16> port;
}

struct slot_t {
    remote_t remote;
    ticks_t start;
    bit<16> requests;
}

control RequestWindow(inout metadata_t meta,
                      in standard_metadata_t standard_metadata) {
    @id(ID_SLOT_REMOTE) @name(".slot_remote")
    register<remote_t>(SIZE_SLOTS) slot_remote;
    @id(ID_SLOT_START) @name(".slot_start")
    register<ticks_t>(SIZE_SLOTS) slot_start;
    @id(ID_SLOT_REQUESTS) @name(".slot_requests")
    register<bit<16>>(SIZE_SLOTS) slot_requests;

    @id(ID_REQUEST_POLICY) @name(".request_policy")
    action request_policy(bit<16> threshold, ticks_t window) {
        meta.request_threshold = threshold;
        meta.request_window = window;
    }

    // No key: the controller sets the default action. A threshold of 0 turns it off.
    @id(ID_REQUEST_WINDOW) @name(".request_window")
    table request_window {
        actions = { request_policy; }
        default_action = request_policy(0, 0);
    }

    apply {
        request_window.apply();
        if (meta.request_threshold != 0 && meta.is_sip == 1 && meta.allowed == 0
            && meta.kind >= FIRST_REQUEST && meta.kind <= LAST_REQUEST) {
            slot_t slot;
            slot_remote.read(slot.remote, meta.slot);
            slot_start.read(slot.start, meta.slot);
            slot_requests.read(slot.requests, meta.slot);

            bool live = slot.remote != 0 && meta.now - slot.start < meta.request_window;
            bool ours = slot.remote == meta.remote;
            if (!live || ours) {
                if (live) {
                    slot.requests = slot.requests |+| 1;
                } else {
                    slot.remote = meta.remote;
                    slot.start = meta.now;
                    slot.requests = 1;
                }
                slot_remote.write(meta.slot, slot.remote);
                slot_start.write(meta.slot, slot.start);
                slot_requests.write(meta.slot, slot.requests);
                if (slot.requests == meta.request_threshold) {
                    digest<request_rate_t>(1, {
                        meta.remote, slot.requests, (bit<16>)standard_metadata.ingress_port });
                }
            }
        }
    }
}

#endif
