/*
 * What kind of SIP message a payload's first twelve bytes begin: as the table sip_message
 * of the P4 program (RFC 3261, 7.1 and 7.2).
 */
#ifndef SDNBLOCK_MESSAGE_H
#define SDNBLOCK_MESSAGE_H

#include <linux/types.h>

#include <bpf/bpf_endian.h>

#include "parse.h"

enum kind {
	KIND_OTHER,
	KIND_KEEPALIVE,
	KIND_INVITE,
	KIND_ACK,
	KIND_BYE,
	KIND_CANCEL,
	KIND_REGISTER,
	KIND_OPTIONS,
	KIND_SUBSCRIBE,
	KIND_NOTIFY,
	KIND_PUBLISH,
	KIND_REFER,
	KIND_INFO,
	KIND_MESSAGE,
	KIND_UPDATE,
	KIND_PRACK,
	KIND_1XX,
	KIND_2XX,
	KIND_3XX,
	KIND_4XX,
	KIND_401,
	KIND_403,
	KIND_404,
	KIND_407,
	KIND_5XX,
	KIND_6XX,
};

/* Whether the twelve bytes begin with a string; the compiler makes this two comparisons. */
#define BEGINS(first, text)                                                              \
	({                                                                               \
		int same_ = 1;                                                           \
		_Pragma("unroll") for (unsigned long i_ = 0; i_ < sizeof(text) - 1; i_++) \
			same_ &= (first)[i_] == (text)[i_];                              \
		same_;                                                                   \
	})

static __always_inline int response_kind(const __u8 *first)
{
	__u32 code = first[8] << 16 | first[9] << 8 | first[10];

	switch (code) {
	case 0x343031:
		return KIND_401;
	case 0x343033:
		return KIND_403;
	case 0x343034:
		return KIND_404;
	case 0x343037:
		return KIND_407;
	}
	switch (first[8]) {
	case '1':
		return KIND_1XX;
	case '2':
		return KIND_2XX;
	case '3':
		return KIND_3XX;
	case '4':
		return KIND_4XX;
	case '5':
		return KIND_5XX;
	case '6':
		return KIND_6XX;
	default:
		return KIND_OTHER;
	}
}

/*
 * A function of its own, and not static: the verifier follows its ways once, and behind it
 * knows only that there is some kind.
 */
__attribute__((noinline)) int message_kind(struct packet *packet)
{
	const __u8 *first;
	__u32 head;

	if (!packet)
		return KIND_OTHER;
	first = packet->first;
	head = (__u32)first[0] << 24 | first[1] << 16 | first[2] << 8 | first[3];

	switch (head) {
	case 0x5349502f: /* SIP/ */
		return BEGINS(first, "SIP/2.0 ") ? response_kind(first) : KIND_OTHER;
	case 0x494e5649:
		return BEGINS(first, "INVITE ") ? KIND_INVITE : KIND_OTHER;
	case 0x41434b20: /* "ACK " */
		return KIND_ACK;
	case 0x42594520: /* "BYE " */
		return KIND_BYE;
	case 0x43414e43:
		return BEGINS(first, "CANCEL ") ? KIND_CANCEL : KIND_OTHER;
	case 0x52454749:
		return BEGINS(first, "REGISTER ") ? KIND_REGISTER : KIND_OTHER;
	case 0x4f505449:
		return BEGINS(first, "OPTIONS ") ? KIND_OPTIONS : KIND_OTHER;
	case 0x53554253:
		return BEGINS(first, "SUBSCRIBE ") ? KIND_SUBSCRIBE : KIND_OTHER;
	case 0x4e4f5449:
		return BEGINS(first, "NOTIFY ") ? KIND_NOTIFY : KIND_OTHER;
	case 0x5055424c:
		return BEGINS(first, "PUBLISH ") ? KIND_PUBLISH : KIND_OTHER;
	case 0x52454645:
		return BEGINS(first, "REFER ") ? KIND_REFER : KIND_OTHER;
	case 0x494e464f:
		return BEGINS(first, "INFO ") ? KIND_INFO : KIND_OTHER;
	case 0x4d455353:
		return BEGINS(first, "MESSAGE ") ? KIND_MESSAGE : KIND_OTHER;
	case 0x55504441:
		return BEGINS(first, "UPDATE ") ? KIND_UPDATE : KIND_OTHER;
	case 0x50524143:
		return BEGINS(first, "PRACK ") ? KIND_PRACK : KIND_OTHER;
	case 0x0d0a0d0a: /* RFC 5626, 4.4.1 */
	case 0x00000000:
		return KIND_KEEPALIVE;
	default:
		return KIND_OTHER;
	}
}

#endif
