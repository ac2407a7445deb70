/* Control Sample: which packets are copied to the controller (p4/include/sample.p4). */
#ifndef SDNBLOCK_SAMPLE_H
#define SDNBLOCK_SAMPLE_H

#include "events.h"
#include "meter.h"

#define REASON_WATCHED 1
#define REASON_FIRST 2
#define REASON_ANSWER 3

/* Whether a request is among the first of its remote in this epoch, and counted so. */
static __always_inline int is_first(struct remote *remote, struct settings *settings)
{
	struct first *slot = bpf_map_lookup_elem(&firsts, &remote->slot);
	__u32 shift = settings->first_shift, count;
	__u16 epoch = shift < 32 ? remote->now >> shift : 0;

	if (!slot)
		return 0;
	bpf_spin_lock(&slot->lock);
	if (is_remote(remote, slot->remote) && slot->epoch == epoch) {
		count = slot->count < 0xffff ? slot->count + 1 : 0xffff;
	} else {
		slot->remote[0] = remote->key[0];
		slot->remote[1] = remote->key[1];
		slot->epoch = epoch;
		count = 1;
	}
	slot->count = count;
	bpf_spin_unlock(&slot->lock);
	return count <= settings->first_packets;
}

/* Whether our answer goes to a remote of which only first requests were seen yet. */
static __always_inline int answers_first(struct remote *remote, struct settings *settings)
{
	struct first *slot = bpf_map_lookup_elem(&firsts, &remote->slot);
	__u32 shift = settings->first_shift;
	__u16 epoch = shift < 32 ? remote->now >> shift : 0;
	int first;

	if (!slot)
		return 0;
	bpf_spin_lock(&slot->lock);
	first = is_remote(remote, slot->remote) && slot->epoch == epoch &&
		slot->count <= settings->first_packets;
	bpf_spin_unlock(&slot->lock);
	return first;
}

#endif
