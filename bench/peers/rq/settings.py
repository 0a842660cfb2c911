import os

REDIS_URL = 'unix://' + os.environ['PEERS_SOCKET']
