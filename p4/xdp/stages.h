/*
 * The pipeline's stages, in the order and with the meaning of the P4 program; each says
 * which control it mirrors.
 */
#ifndef SDNBLOCK_STAGES_H
#define SDNBLOCK_STAGES_H

#include "crc32.h"
#include "maps.h"
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
};

#define REASON_WATCHED 1

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

static __always_inline __u64 yielded(__u64 rate, __u64 now)
{
	return now / 1000000000 * rate + now % 1000000000 / 1000 * rate / 1000000;
}

/* One token, if the bucket holds one. */
static __always_inline int take(struct bucket *bucket, __u64 since_boot)
{
	__u64 fresh = since_boot - bucket->last;

	if ((__s64)fresh > 0) { /* another CPU may have looked a little later than we did */
		bucket->last = since_boot;
		bucket->tokens += fresh;
		if (bucket->tokens > bucket->burst)
			bucket->tokens = bucket->burst;
	}
	if (!bucket->tokens)
		return 0;
	bucket->tokens -= 1;
	return 1;
}

/* Whether cell `index` says red. An unset cell says green. */
static __always_inline int is_red(void *meters, __u32 index)
{
	struct meter *meter = bpf_map_lookup_elem(meters, &index);
	__u64 now = bpf_ktime_get_ns();
	__u64 peak, committed;
	int red;

	if (!meter || !meter->configured)
		return 0;
	peak = yielded(meter->peak.rate, now);
	committed = yielded(meter->committed.rate, now);
	bpf_spin_lock(&meter->lock);
	red = !take(&meter->peak, peak);
	if (!red)
		take(&meter->committed, committed);
	bpf_spin_unlock(&meter->lock);
	return red;
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

/* Controls Allow, Blocks and Verdict, without the count of the verdict. */
static __always_inline __u32 judge(struct packet *packet, __u32 bytes)
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
		return VERDICT_PASSED;
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

static __always_inline void event_lost(void)
{
	__u32 index = 0;
	__u64 *lost = bpf_map_lookup_elem(&events_lost, &index);

	if (lost)
		*lost += 1;
}

/* Control RequestWindow. */
static __always_inline void request_window(struct packet *packet, struct settings *settings,
					   __u32 port)
{
	__u8 remote[16] = {};
	__u64 words[2];
	__u32 index, requests = 0, threshold = settings->request_threshold;
	__u32 now = bpf_ktime_get_ns() / 1000 >> 10;
	struct event *event;
	struct slot *slot;
	int live;

	if (packet->family == 4) {
		remote[10] = 0xff;
		remote[11] = 0xff;
		__builtin_memcpy(remote + 12, packet->source, 4);
	} else {
		__builtin_memcpy(remote, packet->source, 8);
	}
	__builtin_memcpy(words, remote, 16);
	index = crc32(remote, 16) & (SIZE_REQUEST_WINDOW - 1);
	slot = bpf_map_lookup_elem(&request_slots, &index);
	if (!slot)
		return;
	bpf_spin_lock(&slot->lock);
	live = (slot->remote[0] || slot->remote[1]) &&
	       now - slot->start < settings->request_window;
	if (!live) {
		slot->remote[0] = words[0];
		slot->remote[1] = words[1];
		slot->start = now;
		slot->requests = requests = 1;
	} else if (slot->remote[0] == words[0] && slot->remote[1] == words[1]) {
		/* Saturates, as the P4 program's 16 bits do. */
		if (slot->requests < 0xffff)
			slot->requests += 1;
		requests = slot->requests;
	}
	bpf_spin_unlock(&slot->lock);
	if (requests != threshold)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event) + 16, 0);
	if (!event) {
		event_lost();
		return;
	}
	event->type = EVENT_DIGEST;
	event->port = port;
	event->value = requests;
	event->length = 16;
	__builtin_memcpy(event->data, remote, 16);
	bpf_ringbuf_submit(event, 0);
}

/*
 * Control Sample: the frame as it came in, within the meter's budget. A function of its own,
 * and not static: so the verifier follows its loop once, not once for each way to get here.
 */
__attribute__((noinline)) int sample(struct xdp_md *context, __u32 port)
{
	void *data = (void *)(long)context->data, *data_end = (void *)(long)context->data_end;
	__u32 length = data_end - data, zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct event *event;
	__u8 *copy;

	if (is_red(&sample_meter, 0) || !set || !set->sample_session)
		return 0;
	if (set->sample_length && length > set->sample_length)
		length = set->sample_length;
	if (length > MAX_SAMPLE)
		length = MAX_SAMPLE;
	event = bpf_ringbuf_reserve(&events, sizeof(*event) + MAX_SAMPLE, 0);
	if (!event) {
		event_lost();
		return 0;
	}
	event->type = EVENT_SAMPLE;
	event->port = port;
	event->value = REASON_WATCHED;
	event->length = length;
	copy = event->data;
	/* Linux 5.15 has no helper that copies from an XDP frame. */
	for (__u32 at = 0; at < MAX_SAMPLE && at < length; at += 8) {
		if (data + at + 8 <= data_end) {
			__builtin_memcpy(copy + at, data + at, 8);
			continue;
		}
		for (int i = 0; i < 8; i++) {
			if (data + at + i + 1 > data_end)
				break;
			copy[at + i] = *(__u8 *)(data + at + i);
		}
		break;
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

#endif
