PHP_ARG_ENABLE([mpqueue],
  [whether to enable mpqueue],
  [AS_HELP_STRING([--enable-mpqueue], [Enable background jobs with mpqueue])])

PHP_ARG_ENABLE([mpqueue-dev],
  [whether to build mpqueue for its developers],
  [AS_HELP_STRING([--enable-mpqueue-dev], [mpqueue: for its developers: warnings are errors, functions for tests])],
  [no], [no])

dnl MPQUEUE_LIBRARY(variable, pkg-config module, oldest version, name, Debian package)
AC_DEFUN([MPQUEUE_LIBRARY], [
  AC_MSG_CHECKING([for $4 >= $3])
  if $PKG_CONFIG --atleast-version=$3 $2; then
    $1_VERSION=`$PKG_CONFIG --modversion $2`
    $1_CFLAGS=`$PKG_CONFIG --cflags $2`
    $1_LIBS=`$PKG_CONFIG --libs $2`
    AC_MSG_RESULT([$$1_VERSION])
  elif $PKG_CONFIG --exists $2; then
    mpqueue_found=`$PKG_CONFIG --modversion $2`
    AC_MSG_RESULT([no, $mpqueue_found])
    AC_MSG_ERROR([mpqueue needs $4 $3 or newer, but found $mpqueue_found: install a newer one (Debian and Ubuntu: apt install $5).])
  else
    AC_MSG_RESULT([no])
    AC_MSG_ERROR([mpqueue needs $4 with its headers: install it (Debian and Ubuntu: apt install $5).])
  fi
  PHP_EVAL_INCLINE([$$1_CFLAGS])
  PHP_EVAL_LIBLINE([$$1_LIBS], [MPQUEUE_SHARED_LIBADD])
  AC_DEFINE_UNQUOTED([$1_VERSION], ["$$1_VERSION"], [Version of $4 at build time])
])

if test "$PHP_MPQUEUE" != "no"; then
  if test -n "$PHP_CONFIG"; then
    mpqueue_php_id=`$PHP_CONFIG --vernum`
    if test "$mpqueue_php_id" -lt 80200; then
      mpqueue_found=`$PHP_CONFIG --version`
      AC_MSG_ERROR([mpqueue needs PHP 8.2 or newer, but $PHP_CONFIG belongs to PHP $mpqueue_found (Debian and Ubuntu: apt install php-dev).])
    fi
  fi

  AC_PATH_PROG([PKG_CONFIG], [pkg-config], [no])
  if test "$PKG_CONFIG" = "no"; then
    AC_MSG_ERROR([mpqueue needs pkg-config to find its libraries: install it (Debian and Ubuntu: apt install pkg-config).])
  fi
  MPQUEUE_LIBRARY([MPQUEUE_HIREDIS], [hiredis], [0.14], [hiredis], [libhiredis-dev])
  MPQUEUE_LIBRARY([MPQUEUE_SQLITE], [sqlite3], [3.35], [SQLite], [libsqlite3-dev])

  dnl What a process that only pushes jobs needs.
  mpqueue_engine="\
    src/engine/broker.c src/engine/broker_memory.c src/engine/broker_redis.c src/engine/broker_redis_admin.c \
    src/engine/broker_redis_consume.c src/engine/broker_redis_gate.c src/engine/broker_redis_hold.c \
    src/engine/broker_redis_lease.c src/engine/broker_redis_push.c src/engine/broker_redis_wait.c \
    src/engine/broker_sqlite.c src/engine/broker_sqlite_admin.c src/engine/broker_sqlite_exchange.c \
    src/engine/broker_sqlite_owner.c src/engine/buf.c src/engine/clock.c src/engine/codec.c src/engine/config.c \
    src/engine/config_dsn.c src/engine/error.c src/engine/fork_mark.c src/engine/job.c src/engine/memory_store.c src/engine/producer.c \
    src/engine/redis_cmd.c src/engine/redis_conn.c src/engine/redis_hold.c src/engine/redis_scripts.c src/engine/shared_dir.c src/engine/sqlite_db.c \
    src/engine/sqlite_sql.c src/engine/sqlite_wake.c"
  mpqueue_binding="\
    mpqueue.c src/php/config.c src/php/config_array.c src/php/delay.c src/php/driver.c src/php/exception.c \
    src/php/failed.c src/php/job.c src/php/payload.c src/php/payload_encode.c src/php/queue.c src/php/seal.c \
    src/php/setting.c src/php/value.c"

  dnl What runs services: see MPQ_HAVE_SUPERVISOR in src/engine/base.h.
  case $host_os in
    linux*[)]
      MPQUEUE_LIBRARY([MPQUEUE_LIBEVENT], [libevent_core], [2.1], [libevent], [libevent-dev])
      mpqueue_engine="\
    $mpqueue_engine src/engine/arena.c src/engine/backoff.c src/engine/board.c src/engine/board_legacy.c \
    src/engine/control.c src/engine/control_server.c src/engine/crashpoint.c src/engine/daemon.c src/engine/deadline.c src/engine/death.c \
    src/engine/dispatcher.c src/engine/generation.c src/engine/group.c src/engine/lane.c \
    src/engine/lane_adopt.c src/engine/lane_attach.c \
    src/engine/lane_post.c src/engine/lane_settle.c src/engine/lane_workers.c src/engine/leftover.c \
    src/engine/log.c src/engine/loop.c src/engine/manager.c src/engine/manager_open.c \
    src/engine/manager_status.c src/engine/pidfile.c src/engine/prefetch.c src/engine/procfs.c \
    src/engine/retry.c src/engine/ring.c src/engine/ring_wake.c src/engine/roster.c src/engine/service.c \
    src/engine/signals.c src/engine/spawn.c src/engine/stages.c src/engine/template.c src/engine/worker.c \
    src/engine/worker_grab.c"
      mpqueue_binding="\
    $mpqueue_binding src/php/console.c src/php/console_queue.c src/php/console_worker.c src/php/fork.c \
    src/php/guard.c src/php/host.c src/php/hygiene.c src/php/hygiene_process.c src/php/hygiene_settings.c \
    src/php/interrupt.c src/php/jobinfo.c src/php/run.c src/php/text.c"
      ;;
  esac

  mpqueue_flags="-DZEND_ENABLE_STATIC_TSRMLS_CACHE=1"
  AX_CHECK_COMPILE_FLAG([-fvisibility=hidden], [mpqueue_flags="$mpqueue_flags -fvisibility=hidden"])
  mpqueue_engine_flags="-std=c11 -D_GNU_SOURCE -iquote @ext_builddir@/src/engine $mpqueue_flags"
  if test "$PHP_MPQUEUE_DEV" != "no"; then
    mpqueue_engine_flags="$mpqueue_engine_flags -Wall -Wextra -Wshadow -Werror"
    dnl The macros of PHP declare parameters and variables that not every function needs.
    mpqueue_flags="$mpqueue_flags -Wall -Wextra -Wshadow -Werror -Wno-unused-parameter"
    mpqueue_binding="$mpqueue_binding src/php/dev.c"
    AC_DEFINE([MPQUEUE_DEV], [1], [With functions for tests])
  fi

  PHP_NEW_EXTENSION([mpqueue], [$mpqueue_binding], [$ext_shared],, [$mpqueue_flags])
  mpqueue_engine_flags=`echo "$mpqueue_engine_flags" | $SED "s#@ext_builddir@#$ext_builddir#g"`
  if test "$ext_shared" = "yes" || test "$ext_shared" = "shared"; then
    PHP_ADD_SOURCES_X([$ext_dir], [$mpqueue_engine], [$mpqueue_engine_flags], [shared_objects_mpqueue], [yes])
  else
    PHP_ADD_SOURCES([$ext_dir], [$mpqueue_engine], [$mpqueue_engine_flags])
  fi
  PHP_ADD_BUILD_DIR([$ext_builddir/src/engine], [1])
  PHP_ADD_BUILD_DIR([$ext_builddir/src/php], [1])
  PHP_ADD_EXTENSION_DEP([mpqueue], [date])
  PHP_ADD_EXTENSION_DEP([mpqueue], [hash])
  PHP_ADD_EXTENSION_DEP([mpqueue], [spl])
  PHP_SUBST([MPQUEUE_SHARED_LIBADD])
  PHP_ADD_MAKEFILE_FRAGMENT
fi
