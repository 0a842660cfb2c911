/* The parts of hygiene.h that have files of their own. */
#ifndef MPQUEUE_HYGIENE_INTERNAL_H
#define MPQUEUE_HYGIENE_INTERNAL_H

#include <stdbool.h>

void mpqueue_hygiene_remember_process(void);
void mpqueue_hygiene_forget_process(void);
void mpqueue_hygiene_restore_process(bool recheck); /* recheck: also what could be changed without our noticing */

void mpqueue_hygiene_remember_settings(void);
void mpqueue_hygiene_forget_settings(void);
void mpqueue_hygiene_restore_settings(void);

#endif
