from produce import TEXT, produce
from redis import Redis
from rq import Queue

from settings import REDIS_URL

queue = Queue(connection=Redis.from_url(REDIS_URL))
produce(
    lambda number: queue.enqueue('noop.noop', number, TEXT),
    lambda ids: queue.enqueue_many([Queue.prepare_data('noop.noop', (number, TEXT)) for number in ids]))
