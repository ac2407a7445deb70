/*
 * Control Remote: whom state is kept of, as p4/include/remote.p4: an IPv4 host as
 * ::ffff:a.b.c.d, or an IPv6 /64 with the rest zero; its slot; its class of networks.
 */
#ifndef SDNBLOCK_REMOTE_H
#define SDNBLOCK_REMOTE_H

#include "crc32.h"
#include "maps.h"
#include "parse.h"

struct remote {
	__u64 key[2]; /* as in the packet */
	__u32 slot;
	__u32 now; /* ticks of 1.024 ms */
};

static __always_inline __u32 ticks(void)
{
	return bpf_ktime_get_ns() / 1000 >> 10;
}

static __always_inline void remote_key(__u8 *key, struct packet *packet, int trusted)
{
	const __u8 *address = trusted ? packet->destination : packet->source;

	__builtin_memset(key, 0, 16);
	if (packet->family == 4) {
		key[10] = 0xff;
		key[11] = 0xff;
		__builtin_memcpy(key + 12, address, 4);
	} else {
		__builtin_memcpy(key, address, 8);
	}
}

static __always_inline void find_remote(struct remote *remote, struct packet *packet, int trusted)
{
	__u8 key[16];

	remote_key(key, packet, trusted);
	__builtin_memcpy(remote->key, key, 16);
	remote->slot = crc32(key, 16) & (SIZE_SLOTS - 1);
	remote->now = ticks();
}

/* The class of the remote's /24 or /48. */
static __always_inline __u32 network_of(struct packet *packet, int trusted)
{
	__u8 key[16];

	remote_key(key, packet, trusted);
	if (packet->family == 4)
		key[15] = 0;
	else
		key[6] = key[7] = 0;
	return crc32(key, 16) & (SIZE_NETWORKS - 1);
}

static __always_inline int is_remote(struct remote *remote, __u64 *key)
{
	return key[0] == remote->key[0] && key[1] == remote->key[1];
}

#endif
