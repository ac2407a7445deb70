// What the state of remotes asks of a message: whether it is a request of a stranger, or a final
// response of ours, or one that is a challenge. v1model asks by comparisons where it wants to
// know; what the architecture forces: a condition sees 44 bits of the packet, and a comparison
// that is no equality costs most of them. So a table says it once, early.
#ifndef SDNBLOCK_TOFINO_KINDS_P4
#define SDNBLOCK_TOFINO_KINDS_P4

#include "headers.p4"

#define REQUEST(kind_) (1, 0, kind_): request();
#define FINAL(kind_) (1, 1, kind_): final();
#define CHALLENGE(kind_) (1, 1, kind_): challenge();

control Kinds(inout ingress_metadata_t meta) {
    @hidden
    action request() {
        meta.tofino.is_request = 1;
    }

    @hidden
    action final() {
        meta.tofino.is_final = 1;
    }

    @hidden
    action challenge() {
        meta.tofino.is_final = 1;
        meta.tofino.is_challenge = 1;
        meta.tofino.challenged = 1;
    }

    @hidden EARLY
    table kinds {
        key = {
            meta.common.is_sip: exact;
            meta.common.trusted: exact;
            meta.common.kind: exact;
        }
        actions = { request; final; challenge; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 64;
        const entries = {
            REQUEST(KIND_INVITE) REQUEST(KIND_ACK) REQUEST(KIND_BYE) REQUEST(KIND_CANCEL)
            REQUEST(KIND_REGISTER) REQUEST(KIND_OPTIONS) REQUEST(KIND_SUBSCRIBE)
            REQUEST(KIND_NOTIFY) REQUEST(KIND_PUBLISH) REQUEST(KIND_REFER) REQUEST(KIND_INFO)
            REQUEST(KIND_MESSAGE) REQUEST(KIND_UPDATE) REQUEST(KIND_PRACK)
            FINAL(KIND_2XX) FINAL(KIND_3XX) FINAL(KIND_4XX) CHALLENGE(KIND_401)
            FINAL(KIND_403) FINAL(KIND_404) CHALLENGE(KIND_407) FINAL(KIND_5XX) FINAL(KIND_6XX)
        }
    }

    apply {
        kinds.apply();
    }
}

#endif
