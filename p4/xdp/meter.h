/* Two-rate three-colour meters (RFC 2698, colour-blind), in packets, as BMv2's. */
#ifndef SDNBLOCK_METER_H
#define SDNBLOCK_METER_H

#include "maps.h"

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

#endif
