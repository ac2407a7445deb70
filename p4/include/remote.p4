// A remote: whom state is kept of. An IPv4 host as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), or an
// IPv6 /64 with the rest zero: who has one address of a /64 has them all.
#ifndef SDNBLOCK_REMOTE_P4
#define SDNBLOCK_REMOTE_P4

#include "headers.p4"

typedef bit<128> remote_t;
typedef bit<32> ticks_t;  // of 1.024 ms

// The remote of a packet, its slot in the tables of remotes, and the class of networks that
// its budget for copies is shared with. What comes in is of its source; what goes out, of its
// destination.
control Remote(in headers_t hdr, in standard_metadata_t standard_metadata,
               inout metadata_t meta) {
    apply {
        bit<128> network = 0;
        if (hdr.ipv4.isValid()) {
            bit<32> address = hdr.ipv4.source;
            if (meta.trusted == 1) {
                address = hdr.ipv4.destination;
            }
            meta.remote = 80w0 ++ 16w0xffff ++ address;
            network = 80w0 ++ 16w0xffff ++ address[31:8] ++ 8w0;
        } else {
            bit<128> address = hdr.ipv6.source;
            if (meta.trusted == 1) {
                address = hdr.ipv6.destination;
            }
            meta.remote = address[127:64] ++ 64w0;
            network = address[127:80] ++ 80w0;
        }
        hash(meta.slot, HashAlgorithm.crc32, (bit<32>)0, { meta.remote }, (bit<32>)SIZE_SLOTS);
        hash(meta.network, HashAlgorithm.crc32, (bit<32>)0, { network },
             (bit<32>)SIZE_NETWORKS);
        meta.now = (bit<32>)(standard_metadata.ingress_global_timestamp >> 10);
    }
}

#endif
