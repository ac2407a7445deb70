/*
 * Stage `outcome`: the request window (p4/include/window.p4) and the walk over our servers'
 * answers (p4/include/outcome.p4).
 */
#ifndef SDNBLOCK_OUTCOME_H
#define SDNBLOCK_OUTCOME_H

#include "events.h"
#include "message.h"

#define RESPONSE_LIMIT 1
#define RESPONSE_DROP 2

/* Control RequestWindow. */
static __always_inline void request_window(struct remote *remote, struct settings *settings,
					   __u32 port)
{
	__u32 requests = 0, threshold = settings->request_threshold;
	struct slot *slot = bpf_map_lookup_elem(&request_slots, &remote->slot);
	int live;

	if (!slot)
		return;
	bpf_spin_lock(&slot->lock);
	live = (slot->remote[0] || slot->remote[1]) &&
	       remote->now - slot->start < settings->request_window;
	if (!live) {
		slot->remote[0] = remote->key[0];
		slot->remote[1] = remote->key[1];
		slot->start = remote->now;
		slot->requests = requests = 1;
	} else if (is_remote(remote, slot->remote)) {
		/* Saturates, as the P4 program's 16 bits do. */
		if (slot->requests < 0xffff)
			slot->requests += 1;
		requests = slot->requests;
	}
	bpf_spin_unlock(&slot->lock);
	if (requests == threshold)
		tell(EVENT_DIGEST, remote, requests, port);
}

/* Control Held: whether the walk holds the remote. No hold lasts longer than `hold`: more is
 * left of one that ended up to 50 days ago. */
static __always_inline int is_held(struct remote *remote, __u32 hold)
{
	struct walk *walk = bpf_map_lookup_elem(&walks, &remote->slot);
	__u32 left;
	int held = 0;

	if (!walk || !walk->held)
		return 0;
	bpf_spin_lock(&walk->lock);
	left = walk->held - remote->now;
	if (is_remote(remote, walk->remote) && walk->held)
		held = left && left <= hold;
	bpf_spin_unlock(&walk->lock);
	return held;
}

static __always_inline int is_final(__u32 kind)
{
	return kind >= KIND_2XX && kind <= KIND_6XX;
}

struct weight {
	__u32 up;
	__u32 down;
};

static __always_inline void weigh(struct weight *weight, __u32 kind, __u32 again)
{
	struct key_outcome key = {.kind = kind, .again = again};
	struct entry *entry = bpf_map_lookup_elem(&outcome, &key);

	weight->up = entry && entry->action == ACTION_FAIL ? entry->param : 0;
	weight->down = entry && entry->action == ACTION_SUCCEED ? entry->param : 0;
}

/* Control Walk. Both weights are looked up before the slot says which one counts: no table may
 * be asked while a lock is held. */
static __always_inline void walk(struct remote *remote, struct settings *settings, __u32 kind,
				 __u32 port)
{
	struct walk *slot = bpf_map_lookup_elem(&walks, &remote->slot);
	int challenge = kind == KIND_401 || kind == KIND_407;
	struct weight first, repeated;
	__u32 up, down, score, crossed = 0;
	int live, mine;

	if (!slot)
		return;
	weigh(&first, kind, 0);
	weigh(&repeated, kind, 1);
	bpf_spin_lock(&slot->lock);
	live = (slot->remote[0] || slot->remote[1]) &&
	       remote->now - slot->last < settings->walk_memory;
	mine = is_remote(remote, slot->remote);
	if (live && mine && slot->challenged) {
		up = repeated.up;
		down = repeated.down;
	} else {
		up = first.up;
		down = first.down;
	}
	if (!live && (up || challenge)) {
		slot->remote[0] = remote->key[0];
		slot->remote[1] = remote->key[1];
		slot->score = 0;
		slot->held = 0;
		live = mine = 1;
	}
	if (live && mine) {
		/* Saturates at both ends, as the P4 program's 16 bits do. */
		score = slot->score + up;
		if (score > 0xffff)
			score = 0xffff;
		score = score > down ? score - down : 0;
		if (up && score >= settings->walk_threshold) {
			crossed = score;
			score = 0;
			slot->held = remote->now + settings->walk_hold;
			if (!slot->held)
				slot->held = 1;
		}
		slot->last = remote->now;
		slot->score = score;
		slot->challenged = challenge;
	}
	bpf_spin_unlock(&slot->lock);
	if (crossed)
		tell(EVENT_OUTCOME, remote, crossed, port);
}

#endif
