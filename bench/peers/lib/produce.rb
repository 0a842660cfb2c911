# The same as produce.php: push takes an id, bulk an array of ids.
TEXT = 'x' * 80

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
end

def produce(push, bulk)
  what, first, count = ARGV
  ids = (first.to_i...(first.to_i + count.to_i)).to_a
  if what == 'paced'
    times = ids.flat_map do |id|
      before = now
      push.call(id)
      [before, now].tap { sleep 0.02 }
    end
    puts times.join(' ')
    return
  end
  begun = now
  what == 'one' ? ids.each { |id| push.call(id) } : ids.each_slice(1000) { |part| bulk.call(part) }
  puts (now - begun) / 1e9
end
