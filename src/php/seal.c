#include "seal.h"
#include "../../php_mpqueue.h"

#include "ext/hash/php_hash.h"
#include "ext/hash/php_hash_sha.h"
#include "zend_attributes.h"
#include "zend_exceptions.h"

#define KIND 'S'
#define VERSION 1
#define MAC_BYTES 32
#define BLOCK_BYTES 64
#define ROOM_BYTES (2 + MAC_BYTES)

/* HMAC's two hashes with the key's block already in them. */
typedef struct prepared_key {
    PHP_SHA256_CTX inner;
    PHP_SHA256_CTX outer;
} prepared_key;

struct mpqueue_keys {
    uint32_t count;
    prepared_key keys[MPQUEUE_KEYS_MAX];
};

/* -- keys ----------------------------------------------------------------------------------------------------- */

static void begin_hash(PHP_SHA256_CTX *context, const unsigned char block[BLOCK_BYTES], unsigned char pad)
{
    unsigned char padded[BLOCK_BYTES];

    for (int i = 0; i < BLOCK_BYTES; i++) {
        padded[i] = block[i] ^ pad;
    }
    PHP_SHA256Init(context);
    PHP_SHA256Update(context, padded, sizeof padded);
    ZEND_SECURE_ZERO(padded, sizeof padded);
}

static void prepare(prepared_key *key, const zend_string *text)
{
    unsigned char block[BLOCK_BYTES] = {0};
    PHP_SHA256_CTX context;

    if (ZSTR_LEN(text) <= sizeof block) {
        memcpy(block, ZSTR_VAL(text), ZSTR_LEN(text));
    } else {
        PHP_SHA256Init(&context);
        PHP_SHA256Update(&context, (const unsigned char *)ZSTR_VAL(text), ZSTR_LEN(text));
        PHP_SHA256Final(block, &context);
    }
    begin_hash(&key->inner, block, 0x36);
    begin_hash(&key->outer, block, 0x5C);
    ZEND_SECURE_ZERO(block, sizeof block);
}

/* Borrowed; NULL when it is no key. */
static const zend_string *text_of(zval *value)
{
    zval buffer;

    ZVAL_DEREF(value);
    if (Z_TYPE_P(value) == IS_OBJECT && Z_OBJCE_P(value) == zend_ce_sensitive_parameter_value) {
        value =
            zend_read_property(zend_ce_sensitive_parameter_value, Z_OBJ_P(value), ZEND_STRL("value"), true, &buffer);
        ZVAL_DEREF(value);
    }
    return Z_TYPE_P(value) == IS_STRING && Z_STRLEN_P(value) >= MPQUEUE_KEY_MIN_BYTES ? Z_STR_P(value) : NULL;
}

int mpqueue_keys_make(HashTable *list, mpqueue_keys **out)
{
    uint32_t count = zend_hash_num_elements(list);
    mpqueue_keys *keys;
    zval *value;

    if (count == 0 || count > MPQUEUE_KEYS_MAX || !zend_array_is_list(list)) {
        return -1;
    }
    keys = ecalloc(1, sizeof *keys);
    ZEND_HASH_FOREACH_VAL(list, value)
    {
        const zend_string *text = text_of(value);
        if (!text) {
            mpqueue_keys_free(keys);
            return -1;
        }
        prepare(&keys->keys[keys->count++], text);
    }
    ZEND_HASH_FOREACH_END();
    mpqueue_keys_free(*out);
    *out = keys;
    return 0;
}

void mpqueue_keys_free(mpqueue_keys *keys)
{
    if (keys) {
        ZEND_SECURE_ZERO(keys, sizeof *keys);
        efree(keys);
    }
}

/* -- signing -------------------------------------------------------------------------------------------------- */

static void compute(const prepared_key *key, const char *queue, mpq_slice payload, unsigned char mac[MAC_BYTES])
{
    PHP_SHA256_CTX context = key->inner;
    size_t queue_len = strlen(queue); /* a name has at most 128 bytes */
    unsigned char head[2] = {VERSION, (unsigned char)queue_len};

    PHP_SHA256Update(&context, head, sizeof head);
    PHP_SHA256Update(&context, (const unsigned char *)queue, queue_len);
    PHP_SHA256Update(&context, (const unsigned char *)payload.data, payload.len);
    PHP_SHA256Final(mac, &context);
    context = key->outer;
    PHP_SHA256Update(&context, mac, MAC_BYTES);
    PHP_SHA256Final(mac, &context);
}

void mpqueue_seal_begin(const mpqueue_keys *keys, smart_str *out)
{
    static const char room[ROOM_BYTES] = {KIND, VERSION};

    if (keys) {
        smart_str_appendl(out, room, sizeof room);
    }
}

void mpqueue_seal_end(const mpqueue_keys *keys, const char *queue, smart_str *out, size_t start)
{
    if (!keys) {
        return;
    }
    char *sealed = ZSTR_VAL(out->s) + start;
    mpq_slice payload = mpq_slice_of(sealed + ROOM_BYTES, ZSTR_LEN(out->s) - start - ROOM_BYTES);
    compute(&keys->keys[0], queue, payload, (unsigned char *)sealed + 2);
}

/* -- opening -------------------------------------------------------------------------------------------------- */

/* Takes the same time wherever the first difference is. */
static bool is_same(const unsigned char *a, const unsigned char *b)
{
    volatile unsigned char difference = 0;

    for (int i = 0; i < MAC_BYTES; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference == 0;
}

static bool is_signed_by(const mpqueue_keys *keys, const char *queue, mpq_slice payload, const unsigned char *mac)
{
    unsigned char expected[MAC_BYTES];
    bool found = false;

    for (uint32_t i = 0; i < keys->count && !found; i++) {
        compute(&keys->keys[i], queue, payload, expected);
        found = is_same(expected, mac);
    }
    ZEND_SECURE_ZERO(expected, sizeof expected);
    return found;
}

static int refuse(const char *why)
{
    zend_throw_exception(mpqueue_ce_UndecodableJobException, why, 0);
    return -1;
}

static bool is_sealed(mpq_slice stored)
{
    return stored.len > 0 && stored.data[0] == KIND;
}

mpq_slice mpqueue_seal_peek(mpq_slice stored)
{
    return is_sealed(stored) && stored.len > ROOM_BYTES
               ? mpq_slice_of(stored.data + ROOM_BYTES, stored.len - ROOM_BYTES)
               : stored;
}

int mpqueue_seal_open(const mpqueue_keys *keys, const char *queue, mpq_slice stored, mpq_slice *payload)
{
    *payload = stored;
    if (!keys) {
        return is_sealed(stored) ? refuse("the stored job is signed, but basics.signing_keys is not set in the service "
                                          "that was to run it: it was not opened")
                                 : 0;
    }
    if (!is_sealed(stored)) {
        return refuse("the stored job is not signed, and the service runs signed jobs only (basics.signing_keys): it "
                      "was not opened");
    }
    if (stored.len <= ROOM_BYTES || stored.data[1] != VERSION) {
        return refuse("the stored job's signature is cut off or of an unknown version: it was not opened");
    }
    *payload = mpqueue_seal_peek(stored);
    if (is_signed_by(keys, queue, *payload, (const unsigned char *)stored.data + 2)) {
        return 0;
    }
    return refuse(
        "the stored job's signature is wrong: the job was changed, was pushed to another queue, or was signed "
        "with a key that is not in basics.signing_keys here. It was not opened");
}
