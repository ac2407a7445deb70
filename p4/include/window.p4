// Stage `outcome`, its first half: SIP requests of each remote within a window. The slot
// holds the remote's whole key beside the count, so a hash collision can hide a remote for
// a window, but never convict a bystander.
#ifndef SDNBLOCK_WINDOW_P4
#define SDNBLOCK_WINDOW_P4

#include "headers.p4"
#include "ids.p4"

// An IPv4 host as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), or an IPv6 /64 with the rest zero.
typedef bit<128> remote_t;

struct request_rate_t {
    remote_t remote;
    bit<16> requests;
    bit<16> port;
}

struct slot_t {
    remote_t remote;
    bit<32> start;  // ticks of 1.024 ms
    bit<16> requests;
}

control RequestWindow(in headers_t hdr,
                      inout metadata_t meta,
                      in standard_metadata_t standard_metadata) {
    @id(ID_SLOT_REMOTE) @name(".slot_remote")
    register<remote_t>(SIZE_REQUEST_WINDOW) slot_remote;
    @id(ID_SLOT_START) @name(".slot_start")
    register<bit<32>>(SIZE_REQUEST_WINDOW) slot_start;
    @id(ID_SLOT_REQUESTS) @name(".slot_requests")
    register<bit<16>>(SIZE_REQUEST_WINDOW) slot_requests;

    @id(ID_REQUEST_POLICY) @name(".request_policy")
    action request_policy(bit<16> threshold, bit<32> window) {
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
            remote_t remote;
            if (hdr.ipv4.isValid()) {
                remote = 80w0 ++ 16w0xffff ++ hdr.ipv4.source;
            } else {
                remote = hdr.ipv6.source[127:64] ++ 64w0;
            }
            bit<32> index;
            hash(index, HashAlgorithm.crc32, (bit<32>)0, { remote },
                 (bit<32>)SIZE_REQUEST_WINDOW);

            bit<32> now = (bit<32>)(standard_metadata.ingress_global_timestamp >> 10);
            slot_t slot;
            slot_remote.read(slot.remote, index);
            slot_start.read(slot.start, index);
            slot_requests.read(slot.requests, index);

            bool live = slot.remote != 0 && now - slot.start < meta.request_window;
            bool ours = slot.remote == remote;
            if (!live || ours) {
                if (live) {
                    slot.requests = slot.requests |+| 1;
                } else {
                    slot.remote = remote;
                    slot.start = now;
                    slot.requests = 1;
                }
                slot_remote.write(index, slot.remote);
                slot_start.write(index, slot.start);
                slot_requests.write(index, slot.requests);
                if (slot.requests == meta.request_threshold) {
                    digest<request_rate_t>(1, {
                        remote, slot.requests, (bit<16>)standard_metadata.ingress_port });
                }
            }
        }
    }
}

#endif
