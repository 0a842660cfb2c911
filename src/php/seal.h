/*
 * Signed payloads: who can write to the store, but has no key, can't make a worker run anything.
 *
 *   'S' | version (1 byte) | HMAC-SHA-256 (32 bytes) | payload as in payload.h
 *
 * The HMAC is over version | length of the queue's name (1 byte) | the name | payload. What else an envelope holds
 * (limits, counters, the history of failures) is not covered.
 */
#ifndef MPQUEUE_SEAL_H
#define MPQUEUE_SEAL_H

#include "../engine/mpq.h"
#include "php.h"
#include "zend_smart_str.h"

#define MPQUEUE_KEYS_MAX 16
#define MPQUEUE_KEY_MIN_BYTES 32

/* basics.signing_keys: the first one signs, all of them verify. NULL wherever it is taken means that payloads are not
 * signed, and signed ones are refused. Request-bound. */
typedef struct mpqueue_keys mpqueue_keys;

/* Strings, or SensitiveParameterValue objects that hold them. 0; -1 when the list is not what it must be. */
int mpqueue_keys_make(HashTable *list, mpqueue_keys **out);
void mpqueue_keys_free(mpqueue_keys *keys); /* NULL is harmless */

/* Makes room before a payload is appended, and fills it in afterwards; `start` is where the room begins. */
void mpqueue_seal_begin(const mpqueue_keys *keys, smart_str *out);
void mpqueue_seal_end(const mpqueue_keys *keys, const char *queue, smart_str *out, size_t start);

/* The payload in what is stored, whether it is signed or not and by whomever: for looking at, not for decoding. */
mpq_slice mpqueue_seal_peek(mpq_slice stored);

/* The payload that may be decoded. -1: UndecodableJobException was thrown, and nothing of the bytes was looked at. */
int mpqueue_seal_open(const mpqueue_keys *keys, const char *queue, mpq_slice stored, mpq_slice *payload);

#endif
