// What the packet is: its L4 ports, and the first bytes of its payload.
#ifndef SDNBLOCK_CLASSIFY_P4
#define SDNBLOCK_CLASSIFY_P4

#include "headers.p4"

control Classify(in headers_t hdr, inout metadata_t meta) {
    // Bytes of payload, as the headers say: what follows them in the frame may be padding.
    bit<16> length = 0;

    apply {
        if (hdr.udp.isValid()) {
            meta.has_l4 = 1;
            meta.protocol = PROTOCOL_UDP;
            meta.source_port = hdr.udp.source_port;
            meta.destination_port = hdr.udp.destination_port;
            length = hdr.udp.length - 8;
        } else if (hdr.tcp.isValid()) {
            meta.has_l4 = 1;
            meta.protocol = PROTOCOL_TCP;
            meta.source_port = hdr.tcp.source_port;
            meta.destination_port = hdr.tcp.destination_port;
            if (hdr.ipv4.isValid()) {
                length = hdr.ipv4.total_length - ((bit<16>)hdr.ipv4.header_words << 2);
                length = length - ((bit<16>)hdr.tcp.header_words << 2);
            } else if (hdr.payload_head.isValid()) {
                // IPv6 over TCP fills an Ethernet frame: nothing there is padding.
                length = 12;
            }
            if (hdr.tcp.header_words < 5) {
                length = 0;
            }
        }
        // A length that lies wraps around.
        if (length != 0 && length[15:15] == 0) {
            meta.has_message = 1;
            if (length >= 4 && hdr.payload_head.isValid()) {
                meta.first[95:64] = hdr.payload_head.data;
                if (length >= 12 && hdr.payload_rest.isValid()) {
                    meta.first[63:0] = hdr.payload_rest.data;
                }
            } else {
                // Too short for anything known; not to be taken for a NUL keepalive.
                meta.first = 0xffffffff0000000000000000;
            }
        }
    }
}

#endif
