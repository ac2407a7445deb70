/*
 * CRC-32 (IEEE 802.3, reflected, as BMv2's crc32 and Tofino's): which slot a remote has.
 * A table of sixteen words: two steps a byte, and no cache line lost to it.
 */
#ifndef SDNBLOCK_CRC32_H
#define SDNBLOCK_CRC32_H

#include <linux/types.h>

static const __u32 crc32_table[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
	0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static __always_inline __u32 crc32(const __u8 *bytes, int length)
{
	__u32 crc = ~0U;

#pragma unroll
	for (int i = 0; i < length; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ crc32_table[crc & 15];
		crc = crc >> 4 ^ crc32_table[crc & 15];
	}
	return ~crc;
}

#endif
