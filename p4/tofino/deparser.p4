// What leaves ingress: the packet, and a digest or a second pass of it.
#ifndef SDNBLOCK_TOFINO_DEPARSER_P4
#define SDNBLOCK_TOFINO_DEPARSER_P4

#include "headers.p4"

const ResubmitType_t CROSSED_RESUBMIT = 1;
const ResubmitType_t CLAIM_RESUBMIT = 2;
const DigestType_t REQUEST_RATE_DIGEST = 1;
const DigestType_t OUTCOME_DIGEST = 2;

struct request_rate_t {
    bit<128> remote;
    bit<16> requests;
    bit<16> port;
}

struct outcome_t {
    bit<128> remote;
    bit<16> score;
    bit<16> port;
}

control SdnblockIngressDeparser(packet_out packet,
                                inout headers_t hdr,
                                in ingress_metadata_t meta,
                                in ingress_intrinsic_metadata_for_deparser_t deparse) {
    Resubmit() resubmit;
    @id(0xa6125d) @name(".request_rate_t")
    Digest<request_rate_t>() request_rate;
    @id(0x3bd2b5) @name(".outcome_t")
    Digest<outcome_t>() outcome;

    apply {
        if (deparse.resubmit_type == CROSSED_RESUBMIT) {
            resubmit.emit<again_t>({ meta.tofino.no_claim, meta.tofino.crossed,
                                     meta.tofino.score, meta.tofino.challenged,
                                     hdr.bridge.copy, meta.tofino.unused });
        }
        if (deparse.resubmit_type == CLAIM_RESUBMIT) {
            resubmit.emit<again_t>({ meta.tofino.claim, meta.tofino.not_crossed,
                                     meta.tofino.score, meta.tofino.challenged,
                                     hdr.bridge.copy, meta.tofino.unused });
        }
        if (deparse.digest_type == REQUEST_RATE_DIGEST) {
            request_rate.pack({ meta.common.remote, meta.common.request_threshold,
                                meta.tofino.port });
        }
        if (deparse.digest_type == OUTCOME_DIGEST) {
            outcome.pack({ meta.common.remote, meta.tofino.score, meta.tofino.port });
        }
        packet.emit(hdr);
    }
}

#endif
