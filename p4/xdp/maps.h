/*
 * Tables, counters, meters and slots. Keys are the P4Info match fields in order, each in
 * network order, padded with zeros to a multiple of four bytes; LPM keys begin with the
 * prefix length in host order.
 */
#ifndef SDNBLOCK_MAPS_H
#define SDNBLOCK_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../include/sizes.h"

/* The low 24 bits of the P4Info action ids (p4/include/ids.p4). */
enum action {
	ACTION_SET_SIDE = 1,
	ACTION_FORWARD = 2,
	ACTION_SIP = 4,
	ACTION_ALLOW = 5,
	ACTION_DROP = 6,
	ACTION_LIMIT = 7,
	ACTION_WATCH = 8,
	ACTION_FAIL = 11,
	ACTION_SUCCEED = 12,
};

/*
 * An entry and its direct counter. The counter is only ever added to, or set by `control`.
 * `length` repeats the prefix length of an LPM entry (0 elsewhere): a trie lookup also finds
 * shorter prefixes, and this tells which it found.
 */
struct entry {
	__u16 action;
	__u16 length;
	__u32 param;
	__u64 packets;
	__u64 bytes;
};

struct key_port {
	__u8 port[2];
	__u8 pad[2];
};

struct key_mac {
	__u8 mac[6];
	__u8 pad[2];
};

struct key_service {
	__u8 protocol;
	__be16 port;
	__u8 pad;
} __attribute__((packed));

struct key_outcome {
	__u8 kind;
	__u8 again;
	__u8 pad[2];
};

struct key_v4 {
	__u8 address[4];
};

struct key_v6 {
	__u8 address[16];
};

/*
 * A trie keeps an entry right behind its key's bytes: without the padding, the entry's
 * counters would lie across eight-byte (on 5.15 also cache line) boundaries, where an atomic
 * add is a split lock, for which some CPUs stop the kernel. No prefix is longer than 32 bits.
 */
struct key_lpm_v4 {
	__u32 length;
	__u8 address[4];
	__u8 pad[4];
};

struct key_lpm_v6 {
	__u32 length;
	__u8 address[16];
};

struct key_flow_v4 {
	__u8 protocol;
	__u8 source[4];
	__be16 source_port;
	__u8 destination[4];
	__be16 destination_port;
	__u8 pad[3];
} __attribute__((packed));

struct key_flow_v6 {
	__u8 protocol;
	__u8 source[16];
	__be16 source_port;
	__u8 destination[16];
	__be16 destination_port;
	__u8 pad[3];
} __attribute__((packed));

#define TABLE(name_, type_, key_, size_)           \
	struct {                                   \
		__uint(type, type_);               \
		__uint(max_entries, size_);        \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, key_);                 \
		__type(value, struct entry);       \
	} name_ SEC(".maps")

TABLE(port_side, BPF_MAP_TYPE_HASH, struct key_port, SIZE_PORT_SIDE);
TABLE(l2_forward, BPF_MAP_TYPE_HASH, struct key_mac, SIZE_L2_FORWARD);
TABLE(sip_port, BPF_MAP_TYPE_HASH, struct key_service, SIZE_SIP_PORT);
TABLE(allow_v4, BPF_MAP_TYPE_LPM_TRIE, struct key_lpm_v4, SIZE_ALLOW_V4);
TABLE(allow_v6, BPF_MAP_TYPE_LPM_TRIE, struct key_lpm_v6, SIZE_ALLOW_V6);
TABLE(flow_v4, BPF_MAP_TYPE_HASH, struct key_flow_v4, SIZE_FLOW_V4);
TABLE(flow_v6, BPF_MAP_TYPE_HASH, struct key_flow_v6, SIZE_FLOW_V6);
TABLE(source_v4, BPF_MAP_TYPE_HASH, struct key_v4, SIZE_SOURCE_V4);
TABLE(source_v6, BPF_MAP_TYPE_HASH, struct key_v6, SIZE_SOURCE_V6);
TABLE(prefix_v4, BPF_MAP_TYPE_LPM_TRIE, struct key_lpm_v4, SIZE_PREFIX_V4);
TABLE(prefix_v6, BPF_MAP_TYPE_LPM_TRIE, struct key_lpm_v6, SIZE_PREFIX_V6);

TABLE(outcome, BPF_MAP_TYPE_HASH, struct key_outcome, SIZE_OUTCOME);

struct counter {
	__u64 packets;
	__u64 bytes;
};

#define COUNTER(name_, size_)                          \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, size_);            \
		__type(key, __u32);                    \
		__type(value, struct counter);         \
	} name_ SEC(".maps")

COUNTER(message_in, SIZE_MESSAGE_COUNTER);
COUNTER(message_out, SIZE_MESSAGE_COUNTER);
COUNTER(verdict, SIZE_VERDICT_COUNTER);

/* Two token buckets, peak and committed (RFC 2698), in whole packets. */
struct bucket {
	__u64 rate;  /* tokens a second */
	__u64 burst;
	__u64 tokens;
	__u64 last;  /* tokens that the rate had yielded since boot when last looked */
};

struct meter {
	struct bpf_spin_lock lock;
	__u32 configured;
	struct bucket peak;
	struct bucket committed;
};

#define METER(name_, size_)                        \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, size_);        \
		__type(key, __u32);                \
		__type(value, struct meter);       \
	} name_ SEC(".maps")

METER(limit_meter, SIZE_LIMIT_METER);
METER(sample_meter, SIZE_SAMPLE_METER);
METER(held_meter, SIZE_HELD_METER);
METER(first_meter, SIZE_FIRST_METER);

/* One slot of the request window (p4/include/window.p4). */
struct slot {
	struct bpf_spin_lock lock;
	__u32 start;
	__u64 remote[2];
	__u32 requests;
	__u32 pad;
};

/* One slot of the outcome walk (p4/include/outcome.p4). */
struct walk {
	struct bpf_spin_lock lock;
	__u32 last;
	__u64 remote[2];
	__u32 held;
	__u16 score;
	__u8 challenged;
	__u8 pad;
};

/* One slot of the first packets (p4/include/sample.p4). */
struct first {
	struct bpf_spin_lock lock;
	__u16 epoch;
	__u16 count;
	__u64 remote[2];
};

#define SLOTS(name_, type_)                        \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, SIZE_SLOTS);   \
		__type(key, __u32);                \
		__type(value, type_);              \
	} name_ SEC(".maps")

SLOTS(request_slots, struct slot);
SLOTS(walks, struct walk);
SLOTS(firsts, struct first);

/* What user space sets: one cell. */
struct settings {
	__u32 request_threshold; /* 0: off */
	__u32 request_window;    /* ticks of 1.024 ms */
	__u32 sample_session;    /* whether session 250 exists */
	__u32 sample_length;     /* bytes of a sampled frame; 0: all of it */
	__u32 walk_threshold;    /* 0: off */
	__u32 walk_memory;       /* ticks */
	__u32 walk_hold;         /* ticks */
	__u32 walk_response;
	__u32 first_packets; /* 0: off */
	__u32 first_shift;   /* an epoch has 2 ** shift ticks */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Interface index to port number, and port number to interface index. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SIZE_PORT_SIDE);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, SIZE_PORT_SIDE);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

/* Digests and sampled frames for user space, bounded; what does not fit is counted. */
#define EVENT_DIGEST 1
#define EVENT_SAMPLE 2
#define EVENT_OUTCOME 3
#define MAX_SAMPLE 2048

struct event {
	__u32 type;
	__u32 port;
	__u32 value;  /* requests or score of a digest; reason of a sample */
	__u32 length; /* bytes of `data` that count */
	__u8 data[];  /* the remote, or the frame */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Cell 0: events lost because the buffer was full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} events_lost SEC(".maps");

#endif
