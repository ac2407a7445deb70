// P4Runtime ids: fixed, never reused. Next available: table 0x11, action 0x0f,
// counter 0x04, direct counter 0x0e, meter 0x05, register 0x0c.
//
// The compiler adds the first byte, which is the object's type (P4Runtime specification, "ID
// Allocation for P4Info Objects") and which targets' own externs have others for.
#ifndef SDNBLOCK_IDS_P4
#define SDNBLOCK_IDS_P4

#define ID_PORT_SIDE 0x000001
#define ID_L2_FORWARD 0x000002
#define ID_SIP_PORT 0x000003
#define ID_ALLOW_V4 0x000004
#define ID_ALLOW_V6 0x000005
#define ID_FLOW_V4 0x000006
#define ID_FLOW_V6 0x000007
#define ID_SOURCE_V4 0x000008
#define ID_SOURCE_V6 0x000009
#define ID_PREFIX_V4 0x00000a
#define ID_PREFIX_V6 0x00000b
#define ID_SIP_MESSAGE 0x00000c
#define ID_REQUEST_WINDOW 0x00000d
#define ID_OUTCOME 0x00000e
#define ID_OUTCOME_POLICY 0x00000f
#define ID_FIRST_POLICY 0x000010

#define ID_SET_SIDE 0x000001
#define ID_FORWARD 0x000002
#define ID_MISS 0x000003
#define ID_SIP 0x000004
#define ID_ALLOW 0x000005
#define ID_DROP 0x000006
#define ID_LIMIT 0x000007
#define ID_WATCH 0x000008
#define ID_SET_KIND 0x000009
#define ID_REQUEST_POLICY 0x00000a
#define ID_FAIL 0x00000b
#define ID_SUCCEED 0x00000c
#define ID_OUTCOME_POLICY_ACTION 0x00000d
#define ID_FIRST_POLICY_ACTION 0x00000e

#define ID_MESSAGE_IN 0x000001
#define ID_MESSAGE_OUT 0x000002
#define ID_VERDICT 0x000003

// A direct counter has its table's number.
#define ID_SIP_PORT_COUNTER 0x000003
#define ID_ALLOW_V4_COUNTER 0x000004
#define ID_ALLOW_V6_COUNTER 0x000005
#define ID_FLOW_V4_COUNTER 0x000006
#define ID_FLOW_V6_COUNTER 0x000007
#define ID_SOURCE_V4_COUNTER 0x000008
#define ID_SOURCE_V6_COUNTER 0x000009
#define ID_PREFIX_V4_COUNTER 0x00000a
#define ID_PREFIX_V6_COUNTER 0x00000b

#define ID_LIMIT_METER 0x000001
#define ID_SAMPLE_METER 0x000002
#define ID_HELD_METER 0x000003
#define ID_FIRST_METER 0x000004

#define ID_SLOT_REMOTE 0x000001
#define ID_SLOT_START 0x000002
#define ID_SLOT_REQUESTS 0x000003
#define ID_WALK_REMOTE 0x000004
#define ID_WALK_LAST 0x000005
#define ID_WALK_SCORE 0x000006
#define ID_WALK_CHALLENGED 0x000007
#define ID_WALK_HELD 0x000008
#define ID_FIRST_REMOTE 0x000009
#define ID_FIRST_EPOCH 0x00000a
#define ID_FIRST_COUNT 0x00000b

#endif
