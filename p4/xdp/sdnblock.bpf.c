/*
 * sdnblock for Linux XDP: the pipeline of p4/sdnblock.p4, to the packet. Linux 5.15.
 */
#include "control.h"
#include "message.h"
#include "sample.h"
#include "stages.h"

/*
 * What the stages were compiled with: user space compares it with what it finds pinned
 * before it adopts running tables.
 */
#define LAYOUT 3

struct layout {
	__u32 version;
	__u32 entry_size;
	__u32 meter_size;
	__u32 slot_size;
	__u32 walk_size;
	__u32 first_size;
	__u32 settings_size;
};

const volatile struct layout layout SEC(".rodata") = {
	.version = LAYOUT,
	.entry_size = sizeof(struct entry),
	.meter_size = sizeof(struct meter),
	.slot_size = sizeof(struct slot),
	.walk_size = sizeof(struct walk),
	.first_size = sizeof(struct first),
	.settings_size = sizeof(struct settings),
};

static __always_inline int is_request(__u32 kind)
{
	return kind >= KIND_INVITE && kind <= KIND_PRACK;
}

/* The stages behind the verdict, for SIP: why the packet is copied to the controller, or 0. */
static __always_inline __u32 message(struct packet *packet, struct settings *settings,
				     int trusted, __u32 verdict, __u32 port, __u32 bytes)
{
	__u32 kind = message_kind(packet);
	struct remote remote;
	int first = 0;

	find_remote(&remote, packet, trusted);
	if (trusted) {
		count_cell(&message_out, kind, bytes);
		if (!is_final(kind))
			return 0;
		if (settings->walk_threshold)
			walk(&remote, settings, kind, port);
		if (!settings->first_packets || !answers_first(&remote, settings))
			return 0;
		return is_red(&first_meter, SIZE_NETWORKS + network_of(packet, 1)) ? 0 :
										     REASON_ANSWER;
	}
	count_cell(&message_in, kind, bytes);
	if (!is_request(kind))
		return 0;
	if (settings->request_threshold && verdict != VERDICT_ALLOWED)
		request_window(&remote, settings, port);
	if (verdict == VERDICT_PASSED && settings->first_packets)
		first = is_first(&remote, settings);
	if (!first)
		return 0;
	return is_red(&first_meter, network_of(packet, 0)) ? 0 : REASON_FIRST;
}

SEC("xdp")
int pipeline(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *data_end = (void *)(long)context->data_end;
	__u32 interface = context->ingress_ifindex, bytes = data_end - data;
	__u32 *port_cell, port, verdict_index, output, reason = 0, zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct packet packet = {};
	int trusted, sip;

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
		verdict_index = judge(&packet, set, bytes);
		count_cell(&verdict, verdict_index, bytes);
		if (is_dropped(verdict_index))
			return XDP_DROP;
	}
	if (sip && packet.has_message)
		reason = message(&packet, set, trusted, verdict_index, port, bytes);
	if (verdict_index == VERDICT_WATCHED)
		reason = is_red(&sample_meter, 0) ? 0 : REASON_WATCHED;
	if (reason)
		copy_frame(context, port, reason);
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
