// From the wire to headers. What is not completely there is not extracted: the parser
// stops, and the controls see what came before it. Nothing is dropped for that.
#ifndef SDNBLOCK_PARSER_P4
#define SDNBLOCK_PARSER_P4

#include "headers.p4"

parser SdnblockParser(packet_in packet,
                      out headers_t hdr,
                      inout metadata_t meta,
                      inout standard_metadata_t standard_metadata) {
#define FIRST_STATE start
#include "states.p4"

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
