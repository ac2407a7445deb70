// What p4/tofino uses of Tofino's types and metadata, in the order and widths of the wire.
typedef bit<9> PortId_t;
typedef bit<16> MulticastGroupId_t;
typedef bit<3> MirrorType_t;
typedef bit<10> MirrorId_t;
typedef bit<3> ResubmitType_t;
typedef bit<3> DigestType_t;

const bit<32> PORT_METADATA_SIZE = 32w64;

header ingress_intrinsic_metadata_t {
    bit<1> resubmit_flag;
    bit<1> pad1;
    bit<2> packet_version;
    bit<3> pad2;
    bit<9> ingress_port;
    bit<48> ingress_mac_tstamp;
}

struct ingress_intrinsic_metadata_from_parser_t {
    bit<48> global_tstamp;
    bit<16> parser_err;
}

struct ingress_intrinsic_metadata_for_deparser_t {
    bit<3> drop_ctl;
    DigestType_t digest_type;
    ResubmitType_t resubmit_type;
}

struct ingress_intrinsic_metadata_for_tm_t {
    PortId_t ucast_egress_port;
    MulticastGroupId_t mcast_grp_a;
}

header egress_intrinsic_metadata_t {
    bit<7> pad0;
    PortId_t egress_port;
}

struct egress_intrinsic_metadata_from_parser_t {
    bit<16> parser_err;
}

struct egress_intrinsic_metadata_for_deparser_t {
    bit<3> drop_ctl;
    MirrorType_t mirror_type;
}

struct egress_intrinsic_metadata_for_output_port_t {
    bit<1> unused;
}
