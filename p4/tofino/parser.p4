// Twin of p4/include/parser.p4. The states up to the end of the fixed IP headers are the same
// text. What the architecture forces:
// - The parser has no adder and puts all it steps over into containers, so IPv6 extension
//   headers are looked through when each has 8, 16 or 24 bytes (v1model: up to 2,048); behind
//   a longer one there is no L4, and source and prefix tables still apply.
// - The payload is looked at, not taken out: what the frame does not have would otherwise be
//   sent out behind it. How much of a UDP payload there is, the UDP length says.
// - A frame that ends early is an error that the ingress has to ask for, or it is dropped.
#ifndef SDNBLOCK_TOFINO_PARSER_P4
#define SDNBLOCK_TOFINO_PARSER_P4

#include "headers.p4"

// One extension header, the n-th, of the kinds that say their length in units of 8 bytes
// beyond the first, in units of 4 beyond the second (authentication), or not (fragment).
#define EXTENSION(n, generic, authentication, fragment, after, next_generic, \
                  next_authentication, next_fragment) \
    state generic { \
        packet.extract(hdr.extension##n); \
        transition select(hdr.extension##n.length) { \
            0: after; \
            1: generic##_16; \
            2: generic##_24; \
            default: accept; \
        } \
    } \
    state authentication { \
        packet.extract(hdr.extension##n); \
        transition select(hdr.extension##n.length) { \
            0: after; \
            2: generic##_16; \
            4: generic##_24; \
            default: accept; \
        } \
    } \
    state fragment { \
        packet.extract(hdr.extension##n); \
        transition select(hdr.extension##n.body[47:35]) { \
            0: after; \
            default: accept; \
        } \
    } \
    state generic##_16 { \
        packet.extract(hdr.extension##n##_more); \
        transition after; \
    } \
    state generic##_24 { \
        packet.extract(hdr.extension##n##_more); \
        packet.extract(hdr.extension##n##_most); \
        transition after; \
    } \
    state after { \
        transition select(hdr.extension##n.next_header) { \
            PROTOCOL_UDP: parse_udp; \
            PROTOCOL_TCP: parse_tcp; \
            PROTOCOL_HOP_BY_HOP: next_generic; \
            PROTOCOL_ROUTING: next_generic; \
            PROTOCOL_DESTINATION: next_generic; \
            PROTOCOL_AUTHENTICATION: next_authentication; \
            PROTOCOL_FRAGMENT: next_fragment; \
            default: accept; \
        } \
    }

parser SdnblockIngressParser(packet_in packet,
                             out headers_t hdr,
                             out ingress_metadata_t meta,
                             out ingress_intrinsic_metadata_t ingress) {
    state start {
        packet.extract(ingress);
        transition select(ingress.resubmit_flag) {
            1: parse_again;
            default: parse_port_metadata;
        }
    }

    state parse_port_metadata {
        packet.advance(PORT_METADATA_SIZE);
        transition parse_ethernet;
    }

    state parse_again {
        packet.extract(meta.again);
        transition parse_ethernet;
    }

#define FIRST_STATE parse_ethernet
#include "../include/states.p4"

    EXTENSION(0, parse_ipv6_extension, parse_ipv6_authentication, parse_ipv6_fragment,
              after_extension0, parse_extension1, parse_authentication1, parse_fragment1)
    EXTENSION(1, parse_extension1, parse_authentication1, parse_fragment1,
              after_extension1, parse_extension2, parse_authentication2, parse_fragment2)
    EXTENSION(2, parse_extension2, parse_authentication2, parse_fragment2,
              after_extension2, parse_extension3, parse_authentication3, parse_fragment3)
    EXTENSION(3, parse_extension3, parse_authentication3, parse_fragment3,
              after_extension3, accept, accept, accept)

    state parse_udp {
        packet.extract(hdr.udp);
        transition select(hdr.udp.length) {
            0x0000 &&& 0xfff8: accept;
            0x0008 &&& 0xfffc: accept;
            0x000c &&& 0xfffc: parse_payload_4;
            0x0010 &&& 0xfffc: parse_payload_4;
            default: parse_payload;
        }
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

    state parse_payload_4 {
        meta.tofino.first4 = packet.lookahead<bit<32>>();
        meta.tofino.payload = PAYLOAD_4;
        transition accept;
    }

    // Four bytes, and twelve if they are there: two steps, so that the first is done when the
    // second fails.
    @dontmerge("ingress")
    state parse_payload {
        meta.tofino.first4 = packet.lookahead<bit<32>>();
        meta.tofino.payload = PAYLOAD_4;
        transition parse_payload_12;
    }

    @dontmerge("ingress")
    state parse_payload_12 {
        meta.common.first = packet.lookahead<bit<96>>();
        meta.tofino.payload = PAYLOAD_12;
        transition accept;
    }
}

#endif
