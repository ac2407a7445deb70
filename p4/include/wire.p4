// Headers, as on the wire: those that are the same for every target.
#ifndef SDNBLOCK_WIRE_P4
#define SDNBLOCK_WIRE_P4

#include "types.p4"

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    ether_type_t type;
}

// IEEE 802.1Q tag; `type` is that of what follows.
header vlan_t {
    bit<16> tci;  // priority and VLAN id
    ether_type_t type;
}

// RFC 791, 3.1
header ipv4_t {
    bit<4> version;
    bit<4> header_words;
    bit<8> service;
    bit<16> total_length;
    bit<16> identification;
    bit<3> flags;
    bit<13> fragment_offset;
    bit<8> ttl;
    protocol_t protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header ipv4_options_t {
    varbit<320> options;
}

// RFC 8200, 3
header ipv6_t {
    bit<4> version;
    bit<8> traffic_class;
    bit<20> flow_label;
    bit<16> payload_length;
    protocol_t next_header;
    bit<8> hop_limit;
    bit<128> source;
    bit<128> destination;
}

// RFC 8200, 4.5: only looked at, never extracted.
header ipv6_fragment_t {
    protocol_t next_header;
    bit<8> reserved;
    bit<13> offset;
    bit<2> reserved2;
    bit<1> more;
    bit<32> identification;
}

// RFC 768
header udp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<16> length;
    bit<16> checksum;
}

// RFC 9293, 3.1
header tcp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<32> sequence;
    bit<32> acknowledgment;
    bit<4> header_words;
    bit<4> reserved;
    bit<8> flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

header tcp_options_t {
    varbit<320> options;
}

// The first twelve bytes of the payload: enough for every method and for
// `SIP/2.0 404` (RFC 3261, 7.1 and 7.2).
header payload_head_t {
    bit<32> data;
}

header payload_rest_t {
    bit<64> data;
}

// What goes before a sampled frame on its way to the controller.
@controller_header("packet_in")
header packet_in_t {
    bit<16> ingress_port;
    bit<8> reason;
}

#endif
