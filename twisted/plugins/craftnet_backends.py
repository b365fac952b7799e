"""The back ends this project ships; nothing of them is imported before it is chosen."""

from craftnet.providers.registry import BackendPlugin

memory = BackendPlugin("memory", "craftnet.providers.memory.backend.MemoryFactory")
workshop = BackendPlugin("workshop", "craftnet.providers.workshop.backend.WorkshopFactory")
redis = BackendPlugin("redis", "craftnet.providers.redis.backend.RedisFactory")
upstream = BackendPlugin("upstream", "craftnet.providers.upstream.backend.UpstreamFactory")
rediss = BackendPlugin("rediss", "craftnet.providers.redis.backend.RedissFactory")
