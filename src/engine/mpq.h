/* The engine's face: the only header that an embedder includes. */
#ifndef MPQ_H
#define MPQ_H

#include "base.h"
#include "buf.h"
#include "clock.h"
#include "codec.h"
#include "config.h"
#include "error.h"
#include "job.h"
#include "log.h"
#include "producer.h"
#ifdef MPQ_HAVE_SUPERVISOR
#include "control.h"
#include "host.h"
#include "service.h"
#endif

#endif
