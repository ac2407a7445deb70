// What the parser of v1model takes out of a packet.
#ifndef SDNBLOCK_HEADERS_P4
#define SDNBLOCK_HEADERS_P4

#include "wire.p4"

// Any extension header. RFC 8200, 4.3, 4.4, 4.6: `length` counts units of 8 bytes beyond
// the first 8; RFC 4302, 2 (authentication): units of 4; RFC 8200, 4.5 (fragment): reserved,
// 8 bytes in all. One type, so that one stack keeps them in the packet's own order.
header ipv6_extension_t {
    protocol_t next_header;
    bit<8> length;
    varbit<16368> body;
}

struct headers_t {
    packet_in_t packet_in;
    ethernet_t ethernet;
    vlan_t[2] vlan;
    ipv4_t ipv4;
    ipv4_options_t ipv4_options;
    ipv6_t ipv6;
    ipv6_extension_t[MAX_IPV6_EXTENSIONS] ipv6_extension;
    udp_t udp;
    tcp_t tcp;
    tcp_options_t tcp_options;
    payload_head_t payload_head;
    payload_rest_t payload_rest;
}

#endif
