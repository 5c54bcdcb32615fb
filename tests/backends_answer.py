"""Exit with code 0 when the tests' PostgreSQL and Redis accept connections."""

import os
import sys

import psycopg
import redis

if __name__ == "__main__":
    try:
        psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3).close()
        redis.Redis.from_url(os.environ["CHANNEL_REDIS_URL"], socket_timeout=3).ping()
    except (psycopg.Error, redis.RedisError) as error:
        sys.exit(str(error).strip())
