/* Digests and copies of packets for user space. */
#ifndef SDNBLOCK_EVENTS_H
#define SDNBLOCK_EVENTS_H

#include "remote.h"

static __always_inline void event_lost(void)
{
	__u32 index = 0;
	__u64 *lost = bpf_map_lookup_elem(&events_lost, &index);

	if (lost)
		*lost += 1;
}

static __always_inline void tell(__u32 type, struct remote *remote, __u32 value, __u32 port)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event) + 16, 0);

	if (!event) {
		event_lost();
		return;
	}
	event->type = type;
	event->port = port;
	event->value = value;
	event->length = 16;
	__builtin_memcpy(event->data, remote->key, 16);
	bpf_ringbuf_submit(event, 0);
}

/*
 * The frame as it came in. A function of its own, and not static: so the verifier follows its
 * loop once, not once for each way to get here.
 */
__attribute__((noinline)) int copy_frame(struct xdp_md *context, __u32 port, __u32 reason)
{
	void *data = (void *)(long)context->data, *data_end = (void *)(long)context->data_end;
	__u32 length = data_end - data, zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct event *event;
	__u8 *copy;

	if (!set || !set->sample_session)
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
	event->value = reason;
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
