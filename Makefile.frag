# The Lua scripts, as C strings.
$(builddir)/src/engine/redis_scripts_data.h: $(srcdir)/scripts/embed $(srcdir)/scripts/*.lua
	@mkdir -p $(builddir)/src/engine
	sh $(srcdir)/scripts/embed $(srcdir)/scripts/*.lua > $@.tmp && mv $@.tmp $@

$(builddir)/src/engine/redis_scripts.lo src/engine/redis_scripts.lo: $(builddir)/src/engine/redis_scripts_data.h
