/* Directories that everybody can write to, such as /tmp: what lies there under a name that can be guessed may have been
 * put there by somebody else, to read what we write, or to have us write elsewhere. */
#ifndef MPQ_SHARED_DIR_H
#define MPQ_SHARED_DIR_H

#include "error.h"

/* -1 when `path`, itself and not what it may be a link to, lies in such a directory and belongs neither to this user
 * nor to root. A path that does not exist, or can't be looked at, is none of our business: 0. `what` is for the
 * message. */
int mpq_shared_dir_check(const char *what, const char *path, mpq_error *err);

#endif
