/*
 * From the wire to facts, as p4/include/parser.p4: every header is either completely
 * there or not there at all; parsing stops at the first that is not, and nothing is
 * dropped for it.
 */
#ifndef SDNBLOCK_PARSE_H
#define SDNBLOCK_PARSE_H

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../include/sizes.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ROUTING 43
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_AUTHENTICATION 51
#define PROTOCOL_DESTINATION 60

/* Offsets stay below this, or the verifier cannot follow them: 14 + 8 + 40 + 4 * 2048 + 60 + 12. */
#define MAX_OFFSET 0x3fff

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct vlan {
	__be16 control;
	__be16 type;
};

struct ipv4 {
	__u8 version_words;
	__u8 service;
	__be16 total_length;
	__be16 identification;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__u8 source[4];
	__u8 destination[4];
};

struct ipv6 {
	__u8 version_class;
	__u8 rest[3];
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

struct udp {
	__be16 source_port;
	__be16 destination_port;
	__be16 length;
	__be16 checksum;
};

struct tcp {
	__be16 source_port;
	__be16 destination_port;
	__be32 sequence;
	__be32 acknowledgment;
	__u8 words_reserved;
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
};

/* What the stages need to know of a packet. Addresses and ports in network order. */
struct packet {
	__u8 destination_mac[6];
	__u8 family;   /* 4, 6, or 0 if it is not IP */
	__u8 protocol; /* of the L4 header; 0 if there is none */
	__be16 source_port;
	__be16 destination_port;
	__u8 source[16]; /* IPv4 in the first four bytes */
	__u8 destination[16];
	__u8 first[12]; /* of the payload, as p4/include/classify.p4 has it */
	__u8 has_message;
};

/* The header of type T at the cursor, or NULL if it is not completely there. */
#define HEADER(T, data, data_end, offset)                                     \
	({                                                                    \
		void *at_ = (data) + ((offset) & MAX_OFFSET);                 \
		(at_ + sizeof(T) > (data_end)) ? (T *)0 : (T *)at_;           \
	})

static __always_inline int is_vlan(__u16 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

static __always_inline int is_extension(__u8 protocol)
{
	return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING ||
	       protocol == PROTOCOL_FRAGMENT || protocol == PROTOCOL_AUTHENTICATION ||
	       protocol == PROTOCOL_DESTINATION;
}

/*
 * The payload's first bytes: `length` of them according to the headers. A length that lies
 * (wraps around) counts as none. `readable`: 0 if the header before it was cut off.
 */
static __always_inline void parse_payload(struct packet *packet, void *data, void *data_end,
					  __u32 offset, __u16 length, int readable)
{
	struct four {
		__u8 bytes[4];
	} *head;
	struct eight {
		__u8 bytes[8];
	} *rest;

	if (length == 0 || length > 0x7fff)
		return;
	packet->has_message = 1;
	head = HEADER(struct four, data, data_end, offset);
	if (length < 4 || !readable || !head) {
		/* Too short for anything known; not to be taken for a NUL keepalive. */
		__builtin_memset(packet->first, 0xff, 4);
		return;
	}
	__builtin_memcpy(packet->first, head, 4);
	rest = HEADER(struct eight, data, data_end, offset + 4);
	if (length >= 12 && rest)
		__builtin_memcpy(packet->first + 4, rest, 8);
}

static __always_inline void parse_udp(struct packet *packet, void *data, void *data_end,
				      __u32 offset)
{
	struct udp *udp = HEADER(struct udp, data, data_end, offset);

	if (!udp)
		return;
	packet->protocol = PROTOCOL_UDP;
	packet->source_port = udp->source_port;
	packet->destination_port = udp->destination_port;
	parse_payload(packet, data, data_end, offset + sizeof(*udp), bpf_ntohs(udp->length) - 8, 1);
}

/* `length`: bytes after the IPv4 header according to it. */
static __always_inline void parse_tcp(struct packet *packet, void *data, void *data_end,
				      __u32 offset, __u16 length)
{
	struct tcp *tcp = HEADER(struct tcp, data, data_end, offset);
	__u32 header;
	int readable;

	if (!tcp)
		return;
	packet->protocol = PROTOCOL_TCP;
	packet->source_port = tcp->source_port;
	packet->destination_port = tcp->destination_port;
	header = (tcp->words_reserved >> 4) * 4;
	if (header < sizeof(*tcp))
		return;
	offset += header;
	length -= header;
	/* Options that are not completely there hide the payload, not its length. */
	readable = data + (offset & MAX_OFFSET) <= data_end;
	if (packet->family == 6) {
		/* IPv6 over TCP fills an Ethernet frame: nothing there is padding. */
		length = data + (offset & MAX_OFFSET) + 4 <= data_end ? 12 : 0;
	}
	parse_payload(packet, data, data_end, offset, length, readable);
}

static __always_inline void parse_ipv4(struct packet *packet, void *data, void *data_end,
				       __u32 offset)
{
	__u8 *version = HEADER(__u8, data, data_end, offset);
	struct ipv4 *ipv4;
	__u32 header;

	if (!version || *version >> 4 != 4)
		return;
	ipv4 = HEADER(struct ipv4, data, data_end, offset);
	if (!ipv4)
		return;
	packet->family = 4;
	__builtin_memcpy(packet->source, ipv4->source, 4);
	__builtin_memcpy(packet->destination, ipv4->destination, 4);
	header = (ipv4->version_words & 0xf) * 4;
	if (header < sizeof(*ipv4) || data + ((offset + header) & MAX_OFFSET) > data_end ||
	    ipv4->fragment & bpf_htons(0x1fff))
		return;
	offset += header;
	if (ipv4->protocol == PROTOCOL_UDP)
		parse_udp(packet, data, data_end, offset);
	else if (ipv4->protocol == PROTOCOL_TCP)
		parse_tcp(packet, data, data_end, offset,
			  bpf_ntohs(ipv4->total_length) - header);
}

static __always_inline void parse_ipv6(struct packet *packet, void *data, void *data_end,
				       __u32 offset)
{
	struct extension {
		__u8 next_header;
		__u8 length;
		__be16 fragment; /* offset and flags, in a fragment header */
	} *extension;
	__u8 *version = HEADER(__u8, data, data_end, offset);
	struct ipv6 *ipv6;
	__u8 next;

	if (!version || *version >> 4 != 6)
		return;
	ipv6 = HEADER(struct ipv6, data, data_end, offset);
	if (!ipv6)
		return;
	packet->family = 6;
	__builtin_memcpy(packet->source, ipv6->source, 16);
	__builtin_memcpy(packet->destination, ipv6->destination, 16);
	next = ipv6->next_header;
	offset += sizeof(*ipv6);

#pragma unroll
	for (int i = 0; i < MAX_IPV6_EXTENSIONS; i++) {
		__u32 length;

		if (!is_extension(next))
			break;
		extension = HEADER(struct extension, data, data_end, offset);
		if (!extension)
			return;
		if (next == PROTOCOL_FRAGMENT)
			length = 8;
		else if (next == PROTOCOL_AUTHENTICATION)
			length = (extension->length + 2) * 4;
		else
			length = (extension->length + 1) * 8;
		if (data + ((offset + length) & MAX_OFFSET) > data_end)
			return;
		if (next == PROTOCOL_FRAGMENT && extension->fragment & bpf_htons(0xfff8))
			return;
		next = extension->next_header;
		offset += length;
	}
	if (next == PROTOCOL_UDP)
		parse_udp(packet, data, data_end, offset);
	else if (next == PROTOCOL_TCP)
		parse_tcp(packet, data, data_end, offset, 0);
}

/* Fills `packet`, which the caller has zeroed. Returns 0, or -1 if there is no Ethernet header. */
static __always_inline int parse(struct packet *packet, void *data, void *data_end)
{
	struct ethernet *ethernet = HEADER(struct ethernet, data, data_end, 0);
	__u32 offset = sizeof(*ethernet);
	__u16 type;

	if (!ethernet)
		return -1;
	__builtin_memcpy(packet->destination_mac, ethernet->destination, 6);
	type = bpf_ntohs(ethernet->type);

#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct vlan *vlan;

		if (!is_vlan(type))
			break;
		vlan = HEADER(struct vlan, data, data_end, offset);
		if (!vlan)
			return 0;
		type = bpf_ntohs(vlan->type);
		offset += sizeof(*vlan);
	}
	if (type == ETHERTYPE_IPV4)
		parse_ipv4(packet, data, data_end, offset);
	else if (type == ETHERTYPE_IPV6)
		parse_ipv6(packet, data, data_end, offset);
	return 0;
}

#endif
