// Stage `message`: what kind of SIP message it is, and how many of each kind go in and out.
#ifndef SDNBLOCK_MESSAGE_P4
#define SDNBLOCK_MESSAGE_P4

#include "headers.p4"
#include "ids.p4"
#include "kind.p4"

control Message(inout metadata_t meta) {
    Kind() kind_of;

    @id(ID_MESSAGE_IN) @name(".message_in")
    counter(SIZE_MESSAGE_COUNTER, CounterType.packets_and_bytes) message_in;
    @id(ID_MESSAGE_OUT) @name(".message_out")
    counter(SIZE_MESSAGE_COUNTER, CounterType.packets_and_bytes) message_out;

    apply {
        if (meta.is_sip == 1 && meta.has_message == 1) {
            meta.kind = KIND_OTHER;
            kind_of.apply(meta);
            if (meta.trusted == 1) {
                message_out.count((bit<32>)meta.kind);
            } else {
                message_in.count((bit<32>)meta.kind);
            }
        }
    }
}

#endif
