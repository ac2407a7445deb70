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
    Hash<bit<16>>(HashAlgorithm_t.CRC32) in4_hash;
    Hash<bit<16>>(HashAlgorithm_t.CRC32) out4_hash;
    Hash<bit<16>>(HashAlgorithm_t.CRC32) in6_hash;
    Hash<bit<16>>(HashAlgorithm_t.CRC32) out6_hash;
    Hash<bit<4>>(HashAlgorithm_t.CRC32) network4_hash;
    Hash<bit<4>>(HashAlgorithm_t.CRC32) network6_hash;

#define IPV4(name, address, l4_port) \
    @hidden \
    action name() { \
        meta.common.remote = 80w0 ++ 16w0xffff ++ address; \
        meta.tofino.key_high = 0xffff; \
        meta.tofino.key_low = address; \
        meta.tofino.has_remote = 1; \
        meta.tofino.service_port = l4_port; \
    }

#define IPV6(name, address, l4_port) \
    @hidden \
    action name() { \
        meta.common.remote = address[127:64] ++ 64w0; \
        meta.tofino.key_high = address[127:96]; \
        meta.tofino.key_low = address[95:64]; \
        meta.tofino.has_remote = 1; \
        meta.tofino.service_port = l4_port; \
    }

    IPV4(in4, hdr.ipv4.source, meta.common.destination_port)
    IPV4(out4, hdr.ipv4.destination, meta.common.source_port)
    IPV6(in6, hdr.ipv6.source, meta.common.destination_port)
    IPV6(out6, hdr.ipv6.destination, meta.common.source_port)

    @hidden EARLY
    table remotes {
        key = {
            hdr.ipv4.isValid(): ternary;
            hdr.ipv6.isValid(): ternary;
            meta.common.trusted: ternary;
        }
        actions = { in4; out4; in6; out6; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 4;
        const entries = {
            (true, _, 0): in4();
            (true, _, 1): out4();
            (_, true, 0): in6();
            (_, true, 1): out6();
        }
    }

#define SLOTS(name, slot4, slot6) \
    @hidden EARLY \
    table name { \
        key = { \
            hdr.ipv4.isValid(): ternary; \
            hdr.ipv6.isValid(): ternary; \
        } \
        actions = { slot4; slot6; @defaultonly NoAction; } \
        const default_action = NoAction(); \
        size = 2; \
        const entries = { \
            (true, _): slot4(); \
            (_, true): slot6(); \
        } \
    }

    @hidden
    action slot_in4() {
        meta.tofino.slot = in4_hash.get({ 80w0, 16w0xffff, hdr.ipv4.source });
    }

    @hidden
    action slot_in6() {
        meta.tofino.slot = in6_hash.get({ hdr.ipv6.source[127:64], 64w0 });
    }

    @hidden
    action slot_out4() {
        meta.tofino.slot = out4_hash.get({ 80w0, 16w0xffff, hdr.ipv4.destination });
    }

    @hidden
    action slot_out6() {
        meta.tofino.slot = out6_hash.get({ hdr.ipv6.destination[127:64], 64w0 });
    }

    SLOTS(slots_in, slot_in4, slot_in6)
    SLOTS(slots_out, slot_out4, slot_out6)

    apply {
        remotes.apply();
        // In the same step, from the addresses themselves.
        if (meta.common.trusted == 0) {
            slots_in.apply();
        } else {
            slots_out.apply();
        }
        if (hdr.ipv4.isValid()) {
            meta.tofino.network = network4_hash.get({ 80w0, 16w0xffff,
                                                      meta.common.remote[31:8], 8w0 });
        } else if (hdr.ipv6.isValid()) {
            meta.tofino.network = network6_hash.get({ meta.common.remote[127:80], 80w0 });
        }
        meta.tofino.now = (int<32>)parsed.global_tstamp[47:16];
    }
}

#endif
