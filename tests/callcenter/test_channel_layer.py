"""A message for many sockets of one process is read once."""

from channels.layers import get_channel_layer


async def test_sockets_of_one_process_get_the_same_message() -> None:
    layer = get_channel_layer()
    sockets = [await layer.new_channel() for _ in range(2)]
    for socket in sockets:
        await layer.group_add("calls", socket)
    await layer.group_send("calls", {"type": "calls.changed", "calls": []})
    first, second = [await layer.receive(socket) for socket in sockets]
    assert first is second
    assert first == {"type": "calls.changed", "calls": []}
