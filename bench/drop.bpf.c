/* The least an XDP program can do: what bench/xdp_bench.py compares with. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int drop(struct xdp_md *context)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
