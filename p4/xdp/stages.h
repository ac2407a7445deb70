/*
 * The pipeline's stages, in the order and with the meaning of the P4 program; each says
 * which control it mirrors.
 */
#ifndef SDNBLOCK_STAGES_H
#define SDNBLOCK_STAGES_H

#include "maps.h"
#include "meter.h"
#include "outcome.h"
#include "parse.h"

enum verdict {
	VERDICT_PASSED,
	VERDICT_ALLOWED,
	VERDICT_DROPPED_FLOW,
	VERDICT_DROPPED_SOURCE,
	VERDICT_DROPPED_PREFIX,
	VERDICT_DROPPED_LIMIT,
	VERDICT_WATCHED,
	VERDICT_LIMITED,
	VERDICT_DROPPED_OUTCOME,
	VERDICT_DROPPED_OUTCOME_LIMIT,
	VERDICT_LIMITED_OUTCOME,
};

static __always_inline int is_dropped(__u32 verdict)
{
	return (verdict >= VERDICT_DROPPED_FLOW && verdict <= VERDICT_DROPPED_LIMIT) ||
	       verdict == VERDICT_DROPPED_OUTCOME || verdict == VERDICT_DROPPED_OUTCOME_LIMIT;
}

static __always_inline void count_entry(struct entry *entry, __u32 bytes)
{
	__sync_fetch_and_add(&entry->packets, 1);
	__sync_fetch_and_add(&entry->bytes, bytes);
}

static __always_inline void count_cell(void *counters, __u32 index, __u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(counters, &index);

	if (counter) {
		counter->packets += 1;
		counter->bytes += bytes;
	}
}

/* Control Side: whether the port leads to our own servers. */
static __always_inline int is_trusted(__u32 port)
{
	struct key_port key = {.port = {port >> 8, port}};
	struct entry *entry = bpf_map_lookup_elem(&port_side, &key);

	return entry && entry->action == ACTION_SET_SIDE && entry->param;
}

/* Control Forward: the output port, or 0 for the network stack. */
static __always_inline __u32 output_port(struct packet *packet)
{
	struct key_mac key = {};
	struct entry *entry;

	__builtin_memcpy(key.mac, packet->destination_mac, 6);
	entry = bpf_map_lookup_elem(&l2_forward, &key);
	return entry && entry->action == ACTION_FORWARD ? entry->param : 0;
}

/* Control Service: whether the server's side of the packet is a SIP port. */
static __always_inline int is_sip(struct packet *packet, int trusted, __u32 bytes)
{
	struct key_service key = {
		.protocol = packet->protocol,
		.port = trusted ? packet->source_port : packet->destination_port,
	};
	struct entry *entry;

	if (!packet->protocol)
		return 0;
	entry = bpf_map_lookup_elem(&sip_port, &key);
	if (!entry)
		return 0;
	count_entry(entry, bytes);
	return entry->action == ACTION_SIP;
}

/* Control Allow. */
static __always_inline int is_allowed(struct packet *packet, __u32 bytes)
{
	struct entry *entry = NULL;

	if (packet->family == 4) {
		struct key_lpm_v4 key = {.length = 32};

		__builtin_memcpy(key.address, packet->source, 4);
		entry = bpf_map_lookup_elem(&allow_v4, &key);
	} else if (packet->family == 6) {
		struct key_lpm_v6 key = {.length = 128};

		__builtin_memcpy(key.address, packet->source, 16);
		entry = bpf_map_lookup_elem(&allow_v6, &key);
	}
	if (!entry)
		return 0;
	count_entry(entry, bytes);
	return entry->action == ACTION_ALLOW;
}

/* Control Blocks, IPv4: the first entry that hits, and in `where` the verdict of its drop. */
static __always_inline struct entry *find_block_v4(struct packet *packet, __u32 *where)
{
	struct key_v4 source = {};
	struct key_lpm_v4 prefix = {.length = 32};
	struct entry *entry;

	if (packet->protocol) {
		struct key_flow_v4 flow = {
			.protocol = packet->protocol,
			.source_port = packet->source_port,
			.destination_port = packet->destination_port,
		};

		__builtin_memcpy(flow.source, packet->source, 4);
		__builtin_memcpy(flow.destination, packet->destination, 4);
		entry = bpf_map_lookup_elem(&flow_v4, &flow);
		*where = VERDICT_DROPPED_FLOW;
		if (entry)
			return entry;
	}
	__builtin_memcpy(source.address, packet->source, 4);
	entry = bpf_map_lookup_elem(&source_v4, &source);
	*where = VERDICT_DROPPED_SOURCE;
	if (entry)
		return entry;
	__builtin_memcpy(prefix.address, packet->source, 4);
	*where = VERDICT_DROPPED_PREFIX;
	return bpf_map_lookup_elem(&prefix_v4, &prefix);
}

/* Control Blocks, IPv6. */
static __always_inline struct entry *find_block_v6(struct packet *packet, __u32 *where)
{
	struct key_v6 source = {};
	struct key_lpm_v6 prefix = {.length = 128};
	struct entry *entry;

	if (packet->protocol) {
		struct key_flow_v6 flow = {
			.protocol = packet->protocol,
			.source_port = packet->source_port,
			.destination_port = packet->destination_port,
		};

		__builtin_memcpy(flow.source, packet->source, 16);
		__builtin_memcpy(flow.destination, packet->destination, 16);
		entry = bpf_map_lookup_elem(&flow_v6, &flow);
		*where = VERDICT_DROPPED_FLOW;
		if (entry)
			return entry;
	}
	__builtin_memcpy(source.address, packet->source, 16);
	entry = bpf_map_lookup_elem(&source_v6, &source);
	*where = VERDICT_DROPPED_SOURCE;
	if (entry)
		return entry;
	__builtin_memcpy(prefix.address, packet->source, 16);
	*where = VERDICT_DROPPED_PREFIX;
	return bpf_map_lookup_elem(&prefix_v6, &prefix);
}

/* What becomes of a packet that no entry of the block list hit. */
static __always_inline __u32 judge_unblocked(struct packet *packet, struct settings *settings)
{
	__u32 response = settings->walk_response;
	struct remote remote;

	if (!packet->family || !settings->walk_threshold ||
	    (response != RESPONSE_LIMIT && response != RESPONSE_DROP))
		return VERDICT_PASSED;
	find_remote(&remote, packet, 0);
	if (!is_held(&remote, settings->walk_hold))
		return VERDICT_PASSED;
	if (response == RESPONSE_DROP)
		return VERDICT_DROPPED_OUTCOME;
	return is_red(&held_meter, remote.slot & (SIZE_HELD_METER - 1)) ?
		       VERDICT_DROPPED_OUTCOME_LIMIT :
		       VERDICT_LIMITED_OUTCOME;
}

/* Controls Allow, Blocks, Held and Verdict, without the count of the verdict. */
static __always_inline __u32 judge(struct packet *packet, struct settings *settings, __u32 bytes)
{
	struct entry *entry = NULL;
	__u32 where = VERDICT_PASSED;
	__u64 value;

	if (is_allowed(packet, bytes))
		return VERDICT_ALLOWED;
	if (packet->family == 4)
		entry = find_block_v4(packet, &where);
	else if (packet->family == 6)
		entry = find_block_v6(packet, &where);
	if (!entry)
		return judge_unblocked(packet, settings);
	count_entry(entry, bytes);
	/* One load, for `control` changes both in one store: never the one without the other. */
	value = *(volatile __u64 *)entry;
	switch (value & 0xffff) {
	case ACTION_DROP:
		return where;
	case ACTION_LIMIT:
		return is_red(&limit_meter, value >> 32) ? VERDICT_DROPPED_LIMIT : VERDICT_LIMITED;
	case ACTION_WATCH:
		return VERDICT_WATCHED;
	default:
		return VERDICT_PASSED;
	}
}

#endif
