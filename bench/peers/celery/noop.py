import os

from celery import Celery

app = Celery('noop', broker='redis+socket://' + os.environ['PEERS_SOCKET'])


@app.task(name='noop')
def noop(number, text):
    from record import ran
    ran(number)
