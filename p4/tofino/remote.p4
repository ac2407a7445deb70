// Twin of p4/include/remote.p4. What the architecture forces: the clock is another (48 bits of
// nanoseconds, which wrap every 78 hours: so times are compared modulo that), and a register
// compares 64 bits at most. So a remote has a key of 64 bits besides: the halves of its 128
// bits, or'ed. That loses nothing: it would take 0:ffff:a:b::/64 for the IPv4 host a.b, and
// nobody has an address there (RFC 4291, 2.4: the IETF keeps ::/8).
#ifndef SDNBLOCK_TOFINO_REMOTE_P4
#define SDNBLOCK_TOFINO_REMOTE_P4

#include "headers.p4"

control Remote(in headers_t hdr, in ingress_intrinsic_metadata_from_parser_t parsed,
               inout ingress_metadata_t meta) {
    Hash<bit<16>>(HashAlgorithm_t.CRC32) slot_hash;
    Hash<bit<4>>(HashAlgorithm_t.CRC32) network4_hash;
    Hash<bit<4>>(HashAlgorithm_t.CRC32) network6_hash;

    @hidden
    action ipv4(bit<32> address) {
        meta.common.remote = 80w0 ++ 16w0xffff ++ address;
        meta.tofino.key_high = 0xffff;
        meta.tofino.has_remote = 1;
        meta.tofino.key_low = address;
    }

    @hidden
    action ipv6(bit<128> address) {
        meta.common.remote = address[127:64] ++ 64w0;
        meta.tofino.key_high = address[127:96];
        meta.tofino.has_remote = 1;
        meta.tofino.key_low = address[95:64];
    }

    apply {
        if (hdr.ipv4.isValid() && meta.common.trusted == 1) {
            ipv4(hdr.ipv4.destination);
        } else if (hdr.ipv4.isValid()) {
            ipv4(hdr.ipv4.source);
        } else if (hdr.ipv6.isValid() && meta.common.trusted == 1) {
            ipv6(hdr.ipv6.destination);
        } else if (hdr.ipv6.isValid()) {
            ipv6(hdr.ipv6.source);
        }
        if (hdr.ipv4.isValid()) {
            meta.tofino.network = network4_hash.get({ 80w0, 16w0xffff,
                                                      meta.common.remote[31:8], 8w0 });
        } else if (hdr.ipv6.isValid()) {
            meta.tofino.network = network6_hash.get({ meta.common.remote[127:80], 80w0 });
        }
        meta.tofino.slot = slot_hash.get({ meta.common.remote });
        meta.tofino.now = (int<32>)parsed.global_tstamp[47:16];
    }
}

#endif
