// What kind of SIP message it is, from the first twelve bytes of the payload.
#ifndef SDNBLOCK_KIND_P4
#define SDNBLOCK_KIND_P4

#include "types.p4"
#include "ids.p4"

control Kind(inout metadata_t meta) {
    @id(ID_SET_KIND) @name(".set_kind")
    action set_kind(kind_t kind) {
        meta.kind = kind;
    }

    // A method and the space after it (RFC 3261, 7.1; methods are case-sensitive), or
    // `SIP/2.0 ` and the first digits of the status code (7.2).
    @id(ID_SIP_MESSAGE) @name(".sip_message")
    table sip_message {
        key = { meta.first: ternary @name("first"); }
        actions = { set_kind; @defaultonly NoAction; }
        const default_action = NoAction();
        const entries = {
            0x494e56495445200000000000 &&& 0xffffffffffffff0000000000: set_kind(KIND_INVITE);  // 'INVITE '
            0x41434b200000000000000000 &&& 0xffffffff0000000000000000: set_kind(KIND_ACK);  // 'ACK '
            0x425945200000000000000000 &&& 0xffffffff0000000000000000: set_kind(KIND_BYE);  // 'BYE '
            0x43414e43454c200000000000 &&& 0xffffffffffffff0000000000: set_kind(KIND_CANCEL);  // 'CANCEL '
            0x524547495354455220000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_REGISTER);  // 'REGISTER '
            0x4f5054494f4e532000000000 &&& 0xffffffffffffffff00000000: set_kind(KIND_OPTIONS);  // 'OPTIONS '
            0x535542534352494245200000 &&& 0xffffffffffffffffffff0000: set_kind(KIND_SUBSCRIBE);  // 'SUBSCRIBE '
            0x4e4f54494659200000000000 &&& 0xffffffffffffff0000000000: set_kind(KIND_NOTIFY);  // 'NOTIFY '
            0x5055424c4953482000000000 &&& 0xffffffffffffffff00000000: set_kind(KIND_PUBLISH);  // 'PUBLISH '
            0x524546455220000000000000 &&& 0xffffffffffff000000000000: set_kind(KIND_REFER);  // 'REFER '
            0x494e464f2000000000000000 &&& 0xffffffffff00000000000000: set_kind(KIND_INFO);  // 'INFO '
            0x4d4553534147452000000000 &&& 0xffffffffffffffff00000000: set_kind(KIND_MESSAGE);  // 'MESSAGE '
            0x555044415445200000000000 &&& 0xffffffffffffff0000000000: set_kind(KIND_UPDATE);  // 'UPDATE '
            0x505241434b20000000000000 &&& 0xffffffffffff000000000000: set_kind(KIND_PRACK);  // 'PRACK '
            0x5349502f322e302034303100 &&& 0xffffffffffffffffffffff00: set_kind(KIND_401);  // 'SIP/2.0 401'
            0x5349502f322e302034303300 &&& 0xffffffffffffffffffffff00: set_kind(KIND_403);  // 'SIP/2.0 403'
            0x5349502f322e302034303400 &&& 0xffffffffffffffffffffff00: set_kind(KIND_404);  // 'SIP/2.0 404'
            0x5349502f322e302034303700 &&& 0xffffffffffffffffffffff00: set_kind(KIND_407);  // 'SIP/2.0 407'
            0x5349502f322e302031000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_1XX);  // 'SIP/2.0 1'
            0x5349502f322e302032000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_2XX);  // 'SIP/2.0 2'
            0x5349502f322e302033000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_3XX);  // 'SIP/2.0 3'
            0x5349502f322e302034000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_4XX);  // 'SIP/2.0 4'
            0x5349502f322e302035000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_5XX);  // 'SIP/2.0 5'
            0x5349502f322e302036000000 &&& 0xffffffffffffffffff000000: set_kind(KIND_6XX);  // 'SIP/2.0 6'
            // Keepalives: CRLF CRLF (RFC 5626, 4.4.1), and the NULs that some phones send.
            0x0d0a0d0a0000000000000000 &&& 0xffffffff0000000000000000: set_kind(KIND_KEEPALIVE);
            0x000000000000000000000000 &&& 0xffffffff0000000000000000: set_kind(KIND_KEEPALIVE);
        }
    }

    apply {
        sip_message.apply();
    }
}

#endif
