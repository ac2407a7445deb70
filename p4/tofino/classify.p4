// Twin of p4/include/classify.p4: the L4 ports, and how long the payload is. What the
// architecture forces: a difference of three fields is no single step, so what TCP's headers
// take off comes from a table; the payload is a field of its own, not a header.
#ifndef SDNBLOCK_TOFINO_CLASSIFY_P4
#define SDNBLOCK_TOFINO_CLASSIFY_P4

#include "headers.p4"

// IPv4 and TCP header lengths in words, and what is added to the total length to take them off.
#define OFF(words) ((65536 - 4 * (words)) & 0xffff)
#define TCP_IN_IPV4(w) \
    (w, 5): ipv4_payload(OFF(w + 5)); (w, 6): ipv4_payload(OFF(w + 6)); \
    (w, 7): ipv4_payload(OFF(w + 7)); (w, 8): ipv4_payload(OFF(w + 8)); \
    (w, 9): ipv4_payload(OFF(w + 9)); (w, 10): ipv4_payload(OFF(w + 10)); \
    (w, 11): ipv4_payload(OFF(w + 11)); (w, 12): ipv4_payload(OFF(w + 12)); \
    (w, 13): ipv4_payload(OFF(w + 13)); (w, 14): ipv4_payload(OFF(w + 14)); \
    (w, 15): ipv4_payload(OFF(w + 15));

control Classify(in headers_t hdr, inout ingress_metadata_t meta,
                 in ingress_intrinsic_metadata_from_parser_t parsed) {
    @hidden
    action ipv4_payload(bit<16> off) {
        meta.tofino.length = hdr.ipv4.total_length + off;
    }

    @hidden
    table tcp_in_ipv4 {
        key = {
            hdr.ipv4.header_words: exact;
            hdr.tcp.header_words: exact;
        }
        actions = { ipv4_payload; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 128;
        const entries = {
            TCP_IN_IPV4(5) TCP_IN_IPV4(6) TCP_IN_IPV4(7) TCP_IN_IPV4(8) TCP_IN_IPV4(9)
            TCP_IN_IPV4(10) TCP_IN_IPV4(11) TCP_IN_IPV4(12) TCP_IN_IPV4(13) TCP_IN_IPV4(14)
            TCP_IN_IPV4(15)
        }
    }

    @hidden
    action ipv6_payload(bit<16> off) {
        meta.tofino.length = hdr.ipv6.payload_length + off;
    }

    // Behind extension headers, whose length is not added up, twelve bytes as in v1model.
    @hidden
    action ipv6_payload_behind_extensions() {
        meta.tofino.length = 12;
    }

    @hidden
    table tcp_in_ipv6 {
        key = {
            hdr.extension0.isValid(): exact;
            hdr.tcp.header_words: exact;
        }
        actions = { ipv6_payload; ipv6_payload_behind_extensions; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 32;
        const entries = {
            (false, 5): ipv6_payload(OFF(5)); (false, 6): ipv6_payload(OFF(6));
            (false, 7): ipv6_payload(OFF(7)); (false, 8): ipv6_payload(OFF(8));
            (false, 9): ipv6_payload(OFF(9)); (false, 10): ipv6_payload(OFF(10));
            (false, 11): ipv6_payload(OFF(11)); (false, 12): ipv6_payload(OFF(12));
            (false, 13): ipv6_payload(OFF(13)); (false, 14): ipv6_payload(OFF(14));
            (false, 15): ipv6_payload(OFF(15));
            (true, 5): ipv6_payload_behind_extensions(); (true, 6): ipv6_payload_behind_extensions();
            (true, 7): ipv6_payload_behind_extensions(); (true, 8): ipv6_payload_behind_extensions();
            (true, 9): ipv6_payload_behind_extensions(); (true, 10): ipv6_payload_behind_extensions();
            (true, 11): ipv6_payload_behind_extensions(); (true, 12): ipv6_payload_behind_extensions();
            (true, 13): ipv6_payload_behind_extensions(); (true, 14): ipv6_payload_behind_extensions();
            (true, 15): ipv6_payload_behind_extensions();
        }
    }

    @hidden
    action whole() {
        meta.common.has_message = 1;
    }

    @hidden
    action first_four() {
        meta.common.has_message = 1;
        meta.common.first = meta.tofino.first4 ++ 64w0;
    }

    // Too short for anything known, or not there: not to be taken for a NUL keepalive.
    @hidden
    action unknown() {
        meta.common.has_message = 1;
        meta.common.first = 0xffffffff0000000000000000;
    }

    // A length that lies wraps around. What is behind the payload in the frame is none of it.
    @hidden EARLY
    table payload {
        key = {
            meta.tofino.length: ternary;
            meta.tofino.payload: ternary;
        }
        actions = { whole; first_four; unknown; NoAction; }
        const default_action = whole();
        size = 16;
        const entries = {
            (0, _): NoAction();
            (0x8000 &&& 0x8000, _): NoAction();
            (1, _): unknown();
            (0x0002 &&& 0xfffe, _): unknown();
            (_, PAYLOAD_NONE): unknown();
            (0x0004 &&& 0xfffc, _): first_four();
            (0x0008 &&& 0xfffc, _): first_four();
            (_, PAYLOAD_4): first_four();
        }
    }

    apply {
        if (hdr.udp.isValid()) {
            meta.common.has_l4 = 1;
            meta.common.protocol = PROTOCOL_UDP;
            meta.common.source_port = hdr.udp.source_port;
            meta.common.destination_port = hdr.udp.destination_port;
            meta.tofino.length = hdr.udp.length - 8;
        } else if (hdr.tcp.isValid()) {
            meta.common.has_l4 = 1;
            meta.common.protocol = PROTOCOL_TCP;
            meta.common.source_port = hdr.tcp.source_port;
            meta.common.destination_port = hdr.tcp.destination_port;
            if (hdr.ipv4.isValid()) {
                tcp_in_ipv4.apply();
            } else {
                tcp_in_ipv6.apply();
            }
        }
        // A step of the parser that failed may still have written what it writes always.
        if (parsed.parser_err != 0 && meta.tofino.payload == PAYLOAD_12) {
            meta.tofino.payload = PAYLOAD_4;
        }
        payload.apply();
    }
}

#endif
