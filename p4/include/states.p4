// Parser states that are the same for every target, up to the end of the fixed IP headers: to
// be included inside a parser that has the states parse_udp, parse_tcp and those of IPv6
// extension headers. FIRST_STATE is the name of the state that takes the Ethernet header.

    state FIRST_STATE {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_QINQ: parse_vlan;
            ETHERTYPE_QINQ_OLD: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan[0]);
        transition select(hdr.vlan[0].type) {
            ETHERTYPE_VLAN: parse_inner_vlan;
            ETHERTYPE_QINQ: parse_inner_vlan;
            ETHERTYPE_QINQ_OLD: parse_inner_vlan;
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    state parse_inner_vlan {
        packet.extract(hdr.vlan[1]);
        transition select(hdr.vlan[1].type) {
            ETHERTYPE_IPV4: parse_ipv4_version;
            ETHERTYPE_IPV6: parse_ipv6_version;
            default: accept;
        }
    }

    // The version and the number of words, before trusting either (RFC 791, 3.1).
    state parse_ipv4_version {
        transition select(packet.lookahead<bit<8>>()) {
            0x45: parse_ipv4;
            0x46 &&& 0xfe: parse_ipv4_with_options;
            0x48 &&& 0xf8: parse_ipv4_with_options;
            0x40 &&& 0xf0: parse_ipv4_too_short;
            default: accept;
        }
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_UDP): parse_udp;
            (0, PROTOCOL_TCP): parse_tcp;
            default: accept;
        }
    }

    state parse_ipv4_with_options {
        packet.extract(hdr.ipv4);
        packet.extract(hdr.ipv4_options, ((bit<32>)hdr.ipv4.header_words - 5) << 5);
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_UDP): parse_udp;
            (0, PROTOCOL_TCP): parse_tcp;
            default: accept;
        }
    }

    // Fewer than five words cannot be: its addresses still count, its end is unknown.
    state parse_ipv4_too_short {
        packet.extract(hdr.ipv4);
        transition accept;
    }

    state parse_ipv6_version {
        transition select(packet.lookahead<bit<4>>()) {
            6: parse_ipv6;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_HOP_BY_HOP: parse_ipv6_extension;
            PROTOCOL_ROUTING: parse_ipv6_extension;
            PROTOCOL_DESTINATION: parse_ipv6_extension;
            PROTOCOL_AUTHENTICATION: parse_ipv6_authentication;
            PROTOCOL_FRAGMENT: parse_ipv6_fragment;
            default: accept;
        }
    }
