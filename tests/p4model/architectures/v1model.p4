// What p4/ uses of v1model's metadata.
struct standard_metadata_t {
    bit<9> ingress_port;
    bit<9> egress_spec;
    bit<9> egress_port;
    bit<32> instance_type;
    bit<48> ingress_global_timestamp;
    bit<16> mcast_grp;
}
