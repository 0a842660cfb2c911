from noop import noop
from produce import TEXT, produce

produce(lambda number: noop.delay(number, TEXT))
