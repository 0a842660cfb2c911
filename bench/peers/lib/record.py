"""Notes that a job ran: see record.php."""
import atexit
import os
import struct
import time

_file = os.open(os.environ['PEERS_RECORD'], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_tail = int(os.environ['PEERS_TAIL'])
_worker = int(os.environ.get('PEERS_WORKER') or 0)
_pack = struct.Struct('<3q').pack
_buffer = bytearray()


def ran(number):
    at = time.monotonic_ns()
    _buffer.extend(_pack(number, at, _worker or os.getpid()))
    if number >= _tail or len(_buffer) >= 65520:
        flush()


def flush():
    if _buffer:
        os.write(_file, _buffer)
        _buffer.clear()


atexit.register(flush)
