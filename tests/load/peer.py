"""The peer: the usual way to take packets in, kept small and correct.

FastAPI, async SQLAlchemy, asyncpg; a transaction a packet under SELECT … FOR UPDATE, a unique
(call, sequence). It does nothing else: no keys, no integrity figures, no live pages.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=20, max_overflow=10)

TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    id bigserial PRIMARY KEY, call_id varchar(128) UNIQUE NOT NULL,
    last_sequence int NOT NULL DEFAULT -1, packet_count int NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS packets (
    id bigserial PRIMARY KEY, call_id bigint NOT NULL REFERENCES calls, sequence int NOT NULL,
    data text NOT NULL, timestamp float8 NOT NULL, received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (call_id, sequence))
"""
CREATE = text("INSERT INTO calls (call_id) VALUES (:call_id) ON CONFLICT DO NOTHING")
LOCK = text("SELECT id FROM calls WHERE call_id = :call_id FOR UPDATE")
FIND = text("SELECT 1 FROM packets WHERE call_id = :id AND sequence = :sequence")
INSERT = text(
    "INSERT INTO packets (call_id, sequence, data, timestamp)"
    " VALUES (:id, :sequence, :data, :timestamp)"
)
COUNT = text(
    "UPDATE calls SET packet_count = packet_count + 1, updated_at = now(),"
    " last_sequence = greatest(last_sequence, :sequence) WHERE id = :id"
)


class Packet(BaseModel):
    sequence: int = Field(ge=0)
    data: str = Field(min_length=1)
    timestamp: float = Field(gt=0)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        for statement in TABLES.split(";"):
            await connection.execute(text(statement))
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/call/stream/{call_id}", status_code=202)
async def take(call_id: str, packet: Packet) -> dict[str, object]:
    async with engine.begin() as connection:
        found = (await connection.execute(LOCK, {"call_id": call_id})).scalar()
        if found is None:
            await connection.execute(CREATE, {"call_id": call_id})
            found = (await connection.execute(LOCK, {"call_id": call_id})).scalar()
        values = {"id": found, **packet.model_dump()}
        if (await connection.execute(FIND, values)).scalar() is None:
            await connection.execute(INSERT, values)
            await connection.execute(COUNT, values)
    return {"status": "accepted", "call_id": call_id, "sequence": packet.sequence}
