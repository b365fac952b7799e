"""The message buses that this project reads; nothing of them is imported before one is chosen."""

from craftnet.streams.registry import EventStreamPlugin

nats = EventStreamPlugin("nats", "craftnet.streams.nats.NatsFactory")
kafka = EventStreamPlugin("kafka", "craftnet.streams.kafka.stream.KafkaFactory")
