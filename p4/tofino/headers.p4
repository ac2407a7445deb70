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

// From ingress to egress; `kind` tells it from a copy.
const bit<8> PACKET_WHOLE = 0;
const bit<8> PACKET_COPY = 1;

header bridge_t {
    bit<8> kind;
    bit<8> flooded;
    @padding bit<7> pad;
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
    bit<8> claim;    // the slot is free: take it
    bit<8> crossed;  // the threshold
    bit<16> score;
    bit<32> challenged;
}

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
    bit<1> hold_acts;          // being held would have consequences
    bit<32> key_high;          // of the remote, whole, in 64 bits
    bit<32> key_low;
    bit<16> slot;
    bit<4> network;

    bit<1> hit4;               // by an entry that says what is done, or by the allow list
    bit<1> hit6;
    bit<1> first_asked;        // a request that may be among the first
    bit<1> first_answered;     // an answer to such
    bit<1> windowed;           // a request that the window counts if it is not dropped
    bit<8> colour;             // of the meter that a limit asked
    bit<8> sample_colour;

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
    bit<32> challenged;
    bit<16> up;
    bit<16> weight;            // up or down
    bit<16> score;
    bit<16> missing;           // to the threshold
    bit<8> claim;
    bit<8> crossed;

    int<32> window;
    int<32> window_begin;
    bit<32> window_open;
    bit<1> window_mine;

    bit<32> first_packets;
    bit<8> epoch_shift;
    bit<32> epoch_mask;
    bit<32> epoch;
    bit<1> first_mine;
    bit<1> first_within;
    bit<5> budget;
    bit<8> reason;
    bit<16> port;
    bit<8> copy_kind;
    MirrorId_t copy_session;
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
    copy_t copy;
}

#endif
