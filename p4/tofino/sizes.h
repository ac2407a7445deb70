/*
 * Sizes that are others on a Tofino than p4/include/sizes.h says: to be included after it. The
 * whole program with these is placed in twelve stages; p4/tofino/frontier.sh overrides them one
 * by one, to find out what else is.
 */
#ifndef SDNBLOCK_TOFINO_SIZES_H
#define SDNBLOCK_TOFINO_SIZES_H

#undef SIZE_FLOW_V4
#undef SIZE_FLOW_V6
#undef SIZE_SOURCE_V4
#undef SIZE_SOURCE_V6
#undef SIZE_PREFIX_V4
#undef SIZE_PREFIX_V6

#ifdef MIX_FLOW_V4
#define SIZE_FLOW_V4 MIX_FLOW_V4
#else
#define SIZE_FLOW_V4 65536
#endif
#ifdef MIX_FLOW_V6
#define SIZE_FLOW_V6 MIX_FLOW_V6
#else
#define SIZE_FLOW_V6 4096
#endif
#ifdef MIX_SOURCE_V4
#define SIZE_SOURCE_V4 MIX_SOURCE_V4
#else
#define SIZE_SOURCE_V4 400384
#endif
#ifdef MIX_SOURCE_V6
#define SIZE_SOURCE_V6 MIX_SOURCE_V6
#else
#define SIZE_SOURCE_V6 32768
#endif
#ifdef MIX_PREFIX_V4
#define SIZE_PREFIX_V4 MIX_PREFIX_V4
#else
#define SIZE_PREFIX_V4 16384
#endif
#ifdef MIX_PREFIX_V6
#define SIZE_PREFIX_V6 MIX_PREFIX_V6
#else
#define SIZE_PREFIX_V6 4096
#endif

#undef SIZE_ALLOW_V4
#undef SIZE_ALLOW_V6
#ifdef MIX_ALLOW_V4
#define SIZE_ALLOW_V4 MIX_ALLOW_V4
#else
#define SIZE_ALLOW_V4 6144
#endif
#ifdef MIX_ALLOW_V6
#define SIZE_ALLOW_V6 MIX_ALLOW_V6
#else
#define SIZE_ALLOW_V6 2048
#endif

/* Slots of the request window and of the first packets: by the lower bits of the walk's slot. */
#define SIZE_SLOTS_SMALL 16384
#define SMALL(slot) slot[13:0]

#endif
