// Twin of p4/include/message.p4; the table of kinds is the same text (p4/include/kind.p4). What
// the architecture forces: the kind is looked up early, beside the question whether it is SIP
// at all, and means nothing where it is not.
#ifndef SDNBLOCK_TOFINO_MESSAGE_P4
#define SDNBLOCK_TOFINO_MESSAGE_P4

#include "headers.p4"

control Message(in ingress_metadata_t meta) {
    @id(ID_MESSAGE_IN) @name(".message_in")
    Counter<bit<64>, bit<6>>(SIZE_MESSAGE_COUNTER, CounterType_t.PACKETS_AND_BYTES) message_in;
    @id(ID_MESSAGE_OUT) @name(".message_out")
    Counter<bit<64>, bit<6>>(SIZE_MESSAGE_COUNTER, CounterType_t.PACKETS_AND_BYTES) message_out;

    apply {
        if (meta.common.is_sip == 1 && meta.common.has_message == 1
            && meta.common.dropped == 0 && meta.tofino.colour != RED) {
            if (meta.common.trusted == 1) {
                message_out.count(meta.common.kind[5:0], FCS_BYTES);
            } else {
                message_in.count(meta.common.kind[5:0], FCS_BYTES);
            }
        }
    }
}

#endif
