require "#{ENV.fetch('PEERS_LIB')}/produce"
require_relative 'noop'

produce(->(id) { Noop.perform_async(id, TEXT) }, ->(ids) { Noop.perform_bulk(ids.map { |id| [id, TEXT] }) })
