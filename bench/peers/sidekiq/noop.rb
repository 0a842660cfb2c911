require 'sidekiq'

redis = { url: "unix://#{ENV.fetch('PEERS_SOCKET')}" }
Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server do |config|
  require "#{ENV.fetch('PEERS_LIB')}/record"
  config.redis = redis
  config.logger.level = Logger::WARN if ENV['PEERS_ROW'] == 'best'
end

class Noop
  include Sidekiq::Worker

  def perform(id, _text)
    Record.ran(id)
  end
end
