"""Apache Kafka, and buses that speak its protocol, through librdkafka."""
