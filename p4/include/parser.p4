// From the wire to headers. What is not completely there is not extracted: the parser
// stops, and the controls see what came before it. Nothing is dropped for that.
#ifndef SDNBLOCK_PARSER_P4
#define SDNBLOCK_PARSER_P4

#include "headers.p4"

parser SdnblockParser(packet_in packet,
                      out headers_t hdr,
                      inout metadata_t meta,
                      inout standard_metadata_t standard_metadata) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_QINQ: parse_vlan;
            ETHERTYPE_QINQ_OLD: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan[0]);
        transition select(hdr.vlan[0].type) {
            ETHERTYPE_VLAN: parse_inner_vlan;
            ETHERTYPE_QINQ: parse_inner_vlan;
            ETHERTYPE_QINQ_OLD: parse_inner_vlan;
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    state parse_inner_vlan {
        packet.extract(hdr.vlan[1]);
        transition select(hdr.vlan[1].type) {
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    // The version and the number of words, before trusting either (RFC 791, 3.1).
    state parse_ipv4_version {
        transition select(packet.lookahead<bit<8>>()) {
            0x45: parse_ipv4;
            0x46 &&& 0xfe: parse_ipv4_with_options;
            0x48 &&& 0xf8: parse_ipv4_with_options;
            0x40 &&& 0xf0: parse_ipv4_too_short;
            default: accept;
        }
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_UDP): parse_udp;
            (0, PROTOCOL_TCP): parse_tcp;
            default: accept;
        }
    }

    state parse_ipv4_with_options {
        packet.extract(hdr.ipv4);
        packet.extract(hdr.ipv4_options, ((bit<32>)hdr.ipv4.header_words - 5) << 5);
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_UDP): parse_udp;
            (0, PROTOCOL_TCP): parse_tcp;
            default: accept;
        }
    }

    // Fewer than five words cannot be: its addresses still count, its end is unknown.
    state parse_ipv4_too_short {
        packet.extract(hdr.ipv4);
        transition accept;
    }

    state parse_ipv6_version {
        transition select(packet.lookahead<bit<4>>()) {
            6: parse_ipv6;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_HOP_BY_HOP: parse_ipv6_extension;
            PROTOCOL_ROUTING: parse_ipv6_extension;
            PROTOCOL_DESTINATION: parse_ipv6_extension;
            PROTOCOL_AUTHENTICATION: parse_ipv6_authentication;
            PROTOCOL_FRAGMENT: parse_ipv6_fragment;
            default: accept;
        }
    }

    // One extension header too many overflows the stack, which ends parsing.
    state parse_ipv6_extension {
        bit<16> head = packet.lookahead<bit<16>>();
        packet.extract(hdr.ipv6_extension.next, ((bit<32>)head[7:0] << 6) + 48);
        transition next_ipv6_extension;
    }

    state parse_ipv6_authentication {
        bit<16> head = packet.lookahead<bit<16>>();
        packet.extract(hdr.ipv6_extension.next, ((bit<32>)head[7:0] << 5) + 48);
        transition next_ipv6_extension;
    }

    state parse_ipv6_fragment {
        ipv6_fragment_t fragment = packet.lookahead<ipv6_fragment_t>();
        packet.extract(hdr.ipv6_extension.next, 48);
        transition select(fragment.offset) {
            0: next_ipv6_extension;
            default: accept;
        }
    }

    state next_ipv6_extension {
        transition select(hdr.ipv6_extension.last.next_header) {
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_HOP_BY_HOP: parse_ipv6_extension;
            PROTOCOL_ROUTING: parse_ipv6_extension;
            PROTOCOL_DESTINATION: parse_ipv6_extension;
            PROTOCOL_AUTHENTICATION: parse_ipv6_authentication;
            PROTOCOL_FRAGMENT: parse_ipv6_fragment;
            default: accept;
        }
    }

    state parse_udp {
        packet.extract(hdr.udp);
        transition parse_payload;
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        transition select(hdr.tcp.header_words) {
            5: parse_payload;
            6 &&& 0xe: parse_tcp_options;
            8 &&& 0x8: parse_tcp_options;
            default: accept;
        }
    }

    state parse_tcp_options {
        packet.extract(hdr.tcp_options, ((bit<32>)hdr.tcp.header_words - 5) << 5);
        transition parse_payload;
    }

    state parse_payload {
        packet.extract(hdr.payload_head);
        packet.extract(hdr.payload_rest);
        transition accept;
    }
}

#endif
