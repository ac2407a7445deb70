// Constants and metadata of the pipeline, shared by all targets.
#ifndef SDNBLOCK_TYPES_P4
#define SDNBLOCK_TYPES_P4

#include "sizes.h"

typedef bit<16> ether_type_t;
typedef bit<8> protocol_t;
typedef bit<96> first_t;
typedef bit<8> kind_t;

const ether_type_t ETHERTYPE_IPV4 = 0x0800;
const ether_type_t ETHERTYPE_IPV6 = 0x86dd;
const ether_type_t ETHERTYPE_VLAN = 0x8100;   // IEEE 802.1Q
const ether_type_t ETHERTYPE_QINQ = 0x88a8;   // IEEE 802.1ad
const ether_type_t ETHERTYPE_QINQ_OLD = 0x9100;

const protocol_t PROTOCOL_HOP_BY_HOP = 0;
const protocol_t PROTOCOL_TCP = 6;
const protocol_t PROTOCOL_UDP = 17;
const protocol_t PROTOCOL_ROUTING = 43;
const protocol_t PROTOCOL_FRAGMENT = 44;
const protocol_t PROTOCOL_AUTHENTICATION = 51;
const protocol_t PROTOCOL_DESTINATION = 60;

// What a SIP message is: requests by method, responses by status class, and the
// four codes that tell guesses from successes.
const kind_t KIND_OTHER = 0;
const kind_t KIND_KEEPALIVE = 1;
const kind_t KIND_INVITE = 2;
const kind_t KIND_ACK = 3;
const kind_t KIND_BYE = 4;
const kind_t KIND_CANCEL = 5;
const kind_t KIND_REGISTER = 6;
const kind_t KIND_OPTIONS = 7;
const kind_t KIND_SUBSCRIBE = 8;
const kind_t KIND_NOTIFY = 9;
const kind_t KIND_PUBLISH = 10;
const kind_t KIND_REFER = 11;
const kind_t KIND_INFO = 12;
const kind_t KIND_MESSAGE = 13;
const kind_t KIND_UPDATE = 14;
const kind_t KIND_PRACK = 15;
const kind_t KIND_1XX = 16;
const kind_t KIND_2XX = 17;
const kind_t KIND_3XX = 18;
const kind_t KIND_4XX = 19;
const kind_t KIND_401 = 20;
const kind_t KIND_403 = 21;
const kind_t KIND_404 = 22;
const kind_t KIND_407 = 23;
const kind_t KIND_5XX = 24;
const kind_t KIND_6XX = 25;

const kind_t FIRST_REQUEST = KIND_INVITE;
const kind_t LAST_REQUEST = KIND_PRACK;
const kind_t FIRST_FINAL = KIND_2XX;  // final responses (RFC 3261, 7.2)
const kind_t LAST_FINAL = KIND_6XX;

// Cells of the verdict counter; also the verdict itself, in metadata.
typedef bit<8> verdict_t;
const verdict_t VERDICT_PASSED = 0;
const verdict_t VERDICT_ALLOWED = 1;
const verdict_t VERDICT_DROPPED_FLOW = 2;
const verdict_t VERDICT_DROPPED_SOURCE = 3;
const verdict_t VERDICT_DROPPED_PREFIX = 4;
const verdict_t VERDICT_DROPPED_LIMIT = 5;
const verdict_t VERDICT_WATCHED = 6;
const verdict_t VERDICT_LIMITED = 7;
const verdict_t VERDICT_DROPPED_OUTCOME = 8;
const verdict_t VERDICT_DROPPED_OUTCOME_LIMIT = 9;
const verdict_t VERDICT_LIMITED_OUTCOME = 10;

// What is done with a remote whose walk crossed the threshold, besides telling.
const bit<8> RESPONSE_TELL = 0;
const bit<8> RESPONSE_LIMIT = 1;
const bit<8> RESPONSE_DROP = 2;

// Why a packet reaches the controller (packet_in.reason).
const bit<8> REASON_WATCHED = 1;
const bit<8> REASON_FIRST = 2;   // a request, among the first of its remote
const bit<8> REASON_ANSWER = 3;  // our final response to one of those

struct metadata_t {
    // Of the L4 header, if there is one.
    bit<1> has_l4;
    protocol_t protocol;
    bit<16> source_port;
    bit<16> destination_port;
    bit<1> has_message;
    first_t first;
    kind_t kind;

    bit<1> trusted;
    bit<1> is_sip;
    bit<1> allowed;
    bit<1> dropped;
    bit<1> limited;
    bit<1> watched;
    verdict_t verdict;
    bit<1> unblocked;  // no entry of the block list hit
    bit<1> held;
    bit<16> meter_index;
    bit<16> request_threshold;
    bit<32> request_window;

    // Whom state is kept of (remote.p4).
    bit<128> remote;
    bit<32> slot;
    bit<32> network;
    bit<32> now;
    bit<16> walk_threshold;
    bit<32> walk_memory;
    bit<32> walk_hold;
    bit<8> walk_response;
    // What the copy for the controller has to know (kept by the clone).
    @field_list(1)
    bit<16> sample_port;
    @field_list(1)
    bit<8> sample_reason;
}

#endif
