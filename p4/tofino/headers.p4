// What the parsers of a Tofino take out of a packet, and what goes along with it inside.
#ifndef SDNBLOCK_TOFINO_HEADERS_P4
#define SDNBLOCK_TOFINO_HEADERS_P4

#include "../include/wire.p4"
#include "sizes.h"

// The beginning of an IPv6 extension header, and eight more bytes of one. v1model has one type
// with a body of up to 2,040 bytes; here what is parsed over has to fit into containers.
header ipv6_extension_t {
    protocol_t next_header;
    bit<8> length;
    bit<48> body;
}

header ipv6_extension_more_t {
    bit<64> body;
}

// From ingress to egress; `kind` tells it from a copy. With what egress makes a copy of
// (sample.p4).
const bit<8> PACKET_WHOLE = 0;
const bit<8> PACKET_COPY = 1;
const bit<8> PACKET_FLOODED = 2;

// What egress makes a copy of.
const bit<8> COPY_NONE = 0;
const bit<8> COPY_FIRST = 1;    // among the first packets of its remote, or an answer to those
const bit<8> COPY_WATCHED = 2;

header bridge_t {
    bit<8> kind;
    bit<8> copy;
    @padding bit<3> pad0;
    bit<5> budget;    // of first packets
    @padding bit<7> pad1;
    PortId_t ingress_port;
}

header copy_t {
    bit<8> kind;
    bit<8> reason;
    bit<16> ingress_port;
}

// With a packet that goes through ingress a second time, to write into a slot of the walk what
// the first pass found out. Eight bytes are what can go along.
header again_t {
    bit<8> claim;    // the slot is free: take it; of what: CLAIM_...
    bit<8> crossed;  // the threshold
    bit<16> score;
    bit<8> challenged;
    bit<8> copy;     // of bridge_t
    bit<16> unused;
}

const bit<8> CLAIM_WALK = 1;
const bit<8> CLAIM_WINDOW = 2;

struct headers_t {
    bridge_t bridge;
    packet_in_t packet_in;
    ethernet_t ethernet;
    vlan_t[2] vlan;
    ipv4_t ipv4;
    ipv4_options_t ipv4_options;
    ipv6_t ipv6;
    ipv6_extension_t extension0;
    ipv6_extension_more_t extension0_more;
    ipv6_extension_more_t extension0_most;
    ipv6_extension_t extension1;
    ipv6_extension_more_t extension1_more;
    ipv6_extension_more_t extension1_most;
    ipv6_extension_t extension2;
    ipv6_extension_more_t extension2_more;
    ipv6_extension_more_t extension2_most;
    ipv6_extension_t extension3;
    ipv6_extension_more_t extension3_more;
    ipv6_extension_more_t extension3_most;
    udp_t udp;
    tcp_t tcp;
    tcp_options_t tcp_options;
}

// Beside the metadata that all targets share. Times are in units of 65.536 us, modulo 2^32.
struct tofino_t {
    bit<2> payload;            // what the parser read of it: PAYLOAD_...
    bit<32> first4;            // of a payload too short for twelve
    bit<16> length;            // of the payload, as the headers say

    int<32> now;
    bit<1> has_remote;
    bit<32> key_high;          // of the remote, whole, in 64 bits
    bit<32> key_low;
    bit<16> slot;
    bit<16> service_port;      // ours
    bit<4> network;

    bit<1> first_asked;        // a request that may be among the first
    bit<1> first_answered;     // an answer to such
    bit<1> windowed;           // a request that the window counts if it is not dropped
    bit<8> colour;             // of the meter that a limit asked

    bit<1> is_request;         // of a stranger
    bit<1> is_final;           // a final response of ours
    bit<1> is_challenge;       // 401 or 407

    int<32> memory;            // of the walk
    int<32> forgotten;         // now less that
    int<32> hold;
    int<32> hold_end;          // now and that
    bit<1> mine;               // the slot of the walk is this remote's
    int<32> stamp;             // now, with what is marked beside it (walk.p4)
    bit<32> walked;            // the stamp of this remote's last answer, if remembered
    bit<32> others;            // that of another in the slot
    bit<8> challenged;
    bit<16> up;
    bit<16> weight;            // up or down
    bit<16> score;
    bit<16> below;             // 65,535 less the threshold
    bit<16> room;              // that, and the weight
    bit<16> missing;           // to the threshold, in the second pass
    bit<1> crossing;           // in the second pass
    bit<1> walks;              // a final response, and the walk is on
    bit<8> claim;
    bit<8> no_claim;
    bit<8> crossed;
    bit<8> not_crossed;

    int<32> window;
    int<32> window_begin;
    bit<32> window_open;
    bit<1> window_mine;

    bit<32> first_packets;
    bit<8> epoch_shift;
    bit<32> epoch_mask;
    bit<32> epoch;
    bit<1> first_taking;       // a slot
    bit<1> first_looking;
    bit<1> first_mine;
    bit<16> port;
    bit<16> unused;
}

struct ingress_metadata_t {
    metadata_t common;
    tofino_t tofino;
    again_t again;             // valid in the second pass
}


const bit<2> PAYLOAD_NONE = 0;
const bit<2> PAYLOAD_4 = 1;
const bit<2> PAYLOAD_12 = 2;

struct egress_headers_t {
    packet_in_t packet_in;
}

struct egress_metadata_t {
    bridge_t bridge;
    copy_t copy;               // valid in a copy
    bit<8> colour;
    bit<8> reason;
    bit<16> port;
    bit<8> kind;
    MirrorId_t session;
}

#endif
