/*
 * Commands of user space that must not race with the data path: change an entry's action
 * in place, its counter untouched; set a counter. Run by BPF_PROG_TEST_RUN on a program
 * that is attached nowhere; the "packet" is an array of commands, and is given back with
 * each command's `status` filled in.
 *
 * (A map update from user space would replace the whole value, and with it what was
 * counted meanwhile. A BPF_PROG_TYPE_SYSCALL program cannot use LPM tries on Linux 5.15.)
 */
#ifndef SDNBLOCK_CONTROL_H
#define SDNBLOCK_CONTROL_H

#include "maps.h"

#define COMMAND_MODIFY 1      /* action and param */
#define COMMAND_SET_COUNTER 2 /* packets and bytes */

#define STATUS_OK 1
#define STATUS_MISSING 2

#define MAX_COMMANDS 32

struct command {
	__u16 operation;
	__u16 table; /* low bits of the P4Info table id */
	__u32 status;
	__u32 action;
	__u32 param;
	__u64 packets;
	__u64 bytes;
	__u8 key[40];
};

static __always_inline struct entry *find_entry(__u16 table, void *key)
{
	switch (table) {
	case 1:
		return bpf_map_lookup_elem(&port_side, key);
	case 2:
		return bpf_map_lookup_elem(&l2_forward, key);
	case 3:
		return bpf_map_lookup_elem(&sip_port, key);
	case 4:
		return bpf_map_lookup_elem(&allow_v4, key);
	case 5:
		return bpf_map_lookup_elem(&allow_v6, key);
	case 6:
		return bpf_map_lookup_elem(&flow_v4, key);
	case 7:
		return bpf_map_lookup_elem(&flow_v6, key);
	case 8:
		return bpf_map_lookup_elem(&source_v4, key);
	case 9:
		return bpf_map_lookup_elem(&source_v6, key);
	case 10:
		return bpf_map_lookup_elem(&prefix_v4, key);
	case 11:
		return bpf_map_lookup_elem(&prefix_v6, key);
	case 14:
		return bpf_map_lookup_elem(&outcome, key);
	default:
		return NULL;
	}
}

static __always_inline int is_trie(__u16 table)
{
	return table == 4 || table == 5 || table == 10 || table == 11;
}

static __always_inline void execute(struct command *command)
{
	__u8 key[40] __attribute__((aligned(8)));
	struct entry *entry;

	__builtin_memcpy(key, command->key, sizeof(key));
	entry = find_entry(command->table, key);
	if (!entry || (is_trie(command->table) && entry->length != *(__u32 *)key)) {
		command->status = STATUS_MISSING;
		return;
	}
	command->status = STATUS_OK;
	if (command->operation == COMMAND_MODIFY) {
		/* One 64-bit store: no packet sees the one without the other. */
		*(volatile __u64 *)entry = (__u64)command->param << 32 |
					   (__u32)entry->length << 16 | (__u16)command->action;
	} else if (command->operation == COMMAND_SET_COUNTER) {
		entry->packets = command->packets;
		entry->bytes = command->bytes;
	}
}

#endif
