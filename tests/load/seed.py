"""Fills a database with calls that are over: `python -m tests.load.seed --calls 100000`.

The database is the one of the settings. Written by SQL on the server, about a minute for 100,000:
calls of the last 30 days with results, utterances, attempts and journal, few in progress, no
packets. Run twice, it adds as many again.
"""

import argparse
import os
import time

import django
from django.db import connection, transaction

WORDS = (
    "the and you to for my your is it of was please hello thank order refund invoice delivery"
    " parcel account number payment contract cancel subscription password broken late screen"
    " router reset billing address appointment tomorrow morning price discount manager complaint"
    " wonderful terrible happy angry waiting hour again already never always sorry perfect"
)

# Rows as they are in the end; their moves, which the triggers want to see, are written beside them.
UNWATCHED = "ALTER TABLE calls_call DISABLE TRIGGER USER"
WATCHED = "ALTER TABLE calls_call ENABLE TRIGGER USER"
CALLS = """
WITH fresh AS (
    SELECT n, now() - (%(calls)s - n) * interval '30 days' / %(calls)s AS began,
        make_interval(secs => 20 + n * 7919 %% 900) AS lasted, n * 104729 %% 1000 AS lot,
        CASE WHEN n %% 2000 = 0 THEN 'IN_PROGRESS' WHEN n %% 50 = 1 THEN 'FAILED'
            WHEN n %% 10 = 3 THEN 'ARCHIVED' ELSE 'COMPLETED' END AS state
    FROM generate_series(1::bigint, %(calls)s) AS n
)
INSERT INTO calls_call (call_id, state, ai_outcome, ai_words, end_reason, agent, queue, caller,
    callee, direction, encoding, sample_rate, metadata, packet_count, last_sequence,
    has_packet_zero, duplicates, late, out_of_order, unread_late, held, has_ai_result, run,
    attempts, last_error, version, created_at, updated_at, last_packet_at, ended_at, processed_at)
SELECT format('seed-%%s-%%s', %(mark)s, lpad(n::text, 7, '0')), state,
    CASE state WHEN 'IN_PROGRESS' THEN 'pending' WHEN 'FAILED' THEN 'failed' ELSE 'transcribed' END,
    CASE state WHEN 'FAILED' THEN 'the AI service failed (503)' ELSE '' END,
    CASE state WHEN 'IN_PROGRESS' THEN '' ELSE 'hangup' END,
    'Agent ' || n %% 60, (ARRAY['Sales', 'Billing', 'Support', 'Returns'])[1 + n %% 4],
    '+4420' || 70000000 + n, '+442071234567', 'inbound', 'audio/x-mulaw', 8000,
    '{"seeded": true}', 1000 + lot, 1000 + lot + n %% 3, false, 0, 0, 0, false, false,
    state IN ('COMPLETED', 'ARCHIVED'), 1, 2, '', 9, began, began + lasted, began + lasted,
    CASE WHEN state <> 'IN_PROGRESS' THEN began + lasted END,
    CASE WHEN state <> 'IN_PROGRESS' THEN began + lasted + interval '5 s' END
FROM fresh
"""
RESULTS = """
WITH said AS (SELECT string_to_array(%(words)s, ' ') AS words)
INSERT INTO calls_result (call_id, run, transcript, sentiment, score, created_at)
SELECT id, 1,
    (SELECT string_agg(words[1 + (floor(random() ^ (2 + word * 0) * cardinality(words)))::int], ' ')
        || ' ' || 'case' || id %% 5000
     FROM generate_series(1, 60 + (id %% 60)::int) AS word),
    (ARRAY['positive', 'neutral', 'negative'])[1 + id %% 3],
    (ARRAY[0.7, 0, -0.7])[1 + id %% 3] + ((id * 31) %% 60 - 30) / 100.0,
    processed_at
FROM calls_call, said WHERE call_id LIKE %(prefix)s AND has_ai_result
"""
UTTERANCES = """
INSERT INTO calls_utterance (result_id, track, start, "end", text, sentiment, score)
SELECT result.call_id, (ARRAY['inbound', 'outbound'])[1 + n %% 2], 5 * n, 5 * n + 4,
    left(transcript, 40), sentiment, least(1, greatest(-1, score + (n - 3) * 0.1))
FROM calls_result AS result JOIN calls_call AS call ON call.id = result.call_id
CROSS JOIN generate_series(0, 5) AS n
WHERE call.call_id LIKE %(prefix)s
"""
JOBS = """
INSERT INTO calls_job (call_id, run, origin, actor, priority, further_runs, since_run, created_at,
    due_at, holder, abandoned, finished_at, outcome)
SELECT id, 1, 'end', 'seed', 0, 0, 1, ended_at, ended_at, '', 0, processed_at, ai_outcome
FROM calls_call WHERE call_id LIKE %(prefix)s AND processed_at IS NOT NULL
"""
ATTEMPTS = """
INSERT INTO calls_attempt (job_id, track, number, started_at, ended_at, kind, status, words,
    packets_read, forgiven, answer)
SELECT job.id, 'inbound', n, job.created_at, job.created_at + make_interval(secs => n),
    CASE WHEN n = 1 OR job.outcome = 'failed' THEN 'transient' ELSE 'success' END,
    CASE WHEN n = 1 OR job.outcome = 'failed' THEN 503 ELSE 200 END, '', 1000, false,
    CASE WHEN n = 1 OR job.outcome = 'failed' THEN NULL ELSE '[]'::jsonb END
FROM calls_job AS job JOIN calls_call AS call ON call.id = job.call_id
CROSS JOIN generate_series(1, 2) AS n
WHERE call.call_id LIKE %(prefix)s
"""
MOVES = """
INSERT INTO calls_move (call_id, from_state, to_state, at, actor, reason)
SELECT id, origin, target, CASE target WHEN 'COMPLETED' THEN ended_at ELSE processed_at END,
    'seed', 'seeded'
FROM calls_call CROSS JOIN (VALUES ('IN_PROGRESS', 'COMPLETED'), ('COMPLETED', 'PROCESSING_AI'))
    AS moves (origin, target)
WHERE call_id LIKE %(prefix)s AND ended_at IS NOT NULL
"""
STEPS = [UNWATCHED, CALLS, RESULTS, UTTERANCES, JOBS, ATTEMPTS, MOVES, WATCHED]
TABLES = ("call", "result", "utterance", "job", "attempt", "move")


def seed(calls: int) -> str:
    """Adds so many calls; what their ids begin with."""
    mark = f"{int(time.time()):x}"
    prefix = f"seed-{mark}-"
    values: dict[str, int | str] = {
        "calls": calls,
        "mark": mark,
        "words": WORDS,
        "prefix": f"{prefix}%",
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in STEPS:
            cursor.execute(statement, values)
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE calls_{table}")
    return prefix


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000)
    began = time.monotonic()
    wanted = parser.parse_args().calls
    prefix = seed(wanted)
    print(f"{wanted} calls {prefix}… in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    django.setup()
    main()
