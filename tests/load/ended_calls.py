"""Calls that are over, many at once, written straight into the database."""

PACKETS = 12  # of a call

# All that a call needs, past triggers; what follows selects it.
BEGIN = """
SET session_replication_role = replica;
INSERT INTO calls_call (
    call_id, state, ai_outcome, ai_words, end_reason, agent, queue, caller, callee, direction,
    encoding, sample_rate, metadata, packet_count, last_sequence, has_packet_zero, duplicates, late,
    out_of_order, unread_late, has_ai_result, run, attempts, last_error, version, held, created_at,
    updated_at, last_packet_at, ended_at, processed_at)
"""

# Both tracks, each packet with sound of its own, and one that is no sound at all.
SEED = (
    BEGIN
    + """
SELECT 'call-' || n, 'COMPLETED', 'no_audio', '', 'hangup', '', '', '', '', '', 'audio/x-mulaw',
    8000, '{}', %(packets)s, %(packets)s, false, 0, 0, 0, false, false, 0, 0, '', 1, false, now(),
    now(), now(), now(), now()
FROM generate_series(1, %(calls)s) AS n;
INSERT INTO calls_packet (call_id, sequence, late, timestamp, received_at, track, data)
SELECT call.id, n, false, n * 0.02, now(), (ARRAY['inbound', 'outbound'])[1 + n %% 2],
    CASE n WHEN 5 THEN '{"dtmf": 5}' ELSE replace(encode(
        convert_to(repeat(md5(call.call_id || n), 5), 'utf8'), 'base64'), E'\\n', '') END
FROM calls_call AS call, generate_series(1, %(packets)s) AS n;
SET session_replication_role = origin;
"""
)
