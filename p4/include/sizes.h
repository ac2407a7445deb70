/*
 * Sizes of tables, counters and meters: one place for the P4 program and the XDP program.
 * Only "#define NAME number" lines, for the preprocessors of P4 and of C alike.
 *
 * A size is a promise: a switch takes that many entries, then says RESOURCE_EXHAUSTED.
 */
#ifndef SDNBLOCK_SIZES_H
#define SDNBLOCK_SIZES_H

#define SIZE_PORT_SIDE 512
#define SIZE_L2_FORWARD 4096
#define SIZE_SIP_PORT 256
#define SIZE_ALLOW_V4 8192
#define SIZE_ALLOW_V6 8192
#define SIZE_FLOW_V4 131072
#define SIZE_FLOW_V6 131072
#define SIZE_SOURCE_V4 1048576
#define SIZE_SOURCE_V6 262144
#define SIZE_PREFIX_V4 65536
#define SIZE_PREFIX_V6 65536

#define SIZE_MESSAGE_COUNTER 64
#define SIZE_VERDICT_COUNTER 16
#define SIZE_LIMIT_METER 16384
#define SIZE_SAMPLE_METER 1
#define SIZE_OUTCOME 128

/* Slots of remotes: request window, outcome walk, first packets. A power of two. */
#define SIZE_SLOTS 65536

/* Limiters of remotes that the outcome walk holds, shared by slot. A power of two. */
#define SIZE_HELD_METER 1024

/* Classes of networks that share a budget of first packets, and as many for the answers. */
#define SIZE_NETWORKS 16
#define SIZE_FIRST_METER 32

/* Of at most this many IPv6 extension headers the pipeline finds the end. */
#define MAX_IPV6_EXTENSIONS 4

#endif
