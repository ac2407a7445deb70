/*
 * sdnblock for Linux XDP: the pipeline of p4/sdnblock.p4, to the packet. Linux 5.15.
 */
#include "control.h"
#include "message.h"
#include "stages.h"

/*
 * What the stages were compiled with: user space compares it with what it finds pinned
 * before it adopts running tables.
 */
#define LAYOUT 2

struct layout {
	__u32 version;
	__u32 entry_size;
	__u32 meter_size;
	__u32 slot_size;
};

const volatile struct layout layout SEC(".rodata") = {
	.version = LAYOUT,
	.entry_size = sizeof(struct entry),
	.meter_size = sizeof(struct meter),
	.slot_size = sizeof(struct slot),
};

static __always_inline int is_request(__u32 kind)
{
	return kind >= KIND_INVITE && kind <= KIND_PRACK;
}

SEC("xdp")
int pipeline(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *data_end = (void *)(long)context->data_end;
	__u32 interface = context->ingress_ifindex, bytes = data_end - data;
	__u32 *port_cell, port, verdict_index, output, zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct packet packet = {};
	int trusted, sip, kind;

	port_cell = bpf_map_lookup_elem(&ports, &interface);
	if (!port_cell || !set || parse(&packet, data, data_end))
		return XDP_PASS;
	port = *port_cell;

	trusted = is_trusted(port);
	output = output_port(&packet);
	sip = is_sip(&packet, trusted, bytes);
	if (trusted) {
		verdict_index = VERDICT_PASSED;
	} else {
		verdict_index = judge(&packet, bytes);
		count_cell(&verdict, verdict_index, bytes);
		if (verdict_index >= VERDICT_DROPPED_FLOW && verdict_index <= VERDICT_DROPPED_LIMIT)
			return XDP_DROP;
	}
	if (sip && packet.has_message) {
		kind = message_kind(packet.first);
		if (trusted) {
			count_cell(&message_out, kind, bytes);
		} else {
			count_cell(&message_in, kind, bytes);
			if (set->request_threshold && verdict_index != VERDICT_ALLOWED &&
			    is_request(kind))
				request_window(&packet, set, port);
		}
	}
	if (verdict_index == VERDICT_WATCHED)
		sample(context, port);
	/* A port that does not exist drops, as on any switch. */
	return output ? bpf_redirect_map(&devices, output, XDP_DROP) : XDP_PASS;
}

SEC("xdp")
int control(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *data_end = (void *)(long)context->data_end;
	struct command *command = data;

	for (int i = 0; i < MAX_COMMANDS; i++, command++) {
		if ((void *)(command + 1) > data_end)
			break;
		execute(command);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
