/* Settings of PHP. */
#include "../../php_mpqueue.h"
#include "hygiene_internal.h"

typedef struct ini_value {
    zend_ini_entry *entry;
    zend_string *value; /* NULL = no value */
} ini_value;

static struct {
    ini_value *ini; /* owned; settings that differ from php.ini and the command line */
    uint32_t ini_count;
    zend_uchar ignore_user_abort; /* CLI's is not the setting's */
} base;

static uint32_t modified_ini_count(void)
{
    return EG(modified_ini_directives) ? zend_hash_num_elements(EG(modified_ini_directives)) : 0;
}

void mpqueue_hygiene_remember_settings(void)
{
    uint32_t count = modified_ini_count();
    zend_ini_entry *entry;

    base.ini_count = 0;
    base.ignore_user_abort = PG(ignore_user_abort);
    base.ini = count ? safe_pemalloc(count, sizeof *base.ini, 0, 1) : NULL;
    if (!count) {
        return;
    }
    ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry)
    {
        ini_value *kept = &base.ini[base.ini_count++];
        kept->entry = entry;
        kept->value = entry->value ? zend_string_copy(entry->value) : NULL;
    }
    ZEND_HASH_FOREACH_END();
}

void mpqueue_hygiene_forget_settings(void)
{
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (base.ini[i].value) {
            zend_string_release(base.ini[i].value);
        }
    }
    if (base.ini) {
        pefree(base.ini, 1);
    }
    base.ini = NULL;
    base.ini_count = 0;
}

static bool ini_is_as_remembered(void)
{
    if (modified_ini_count() != base.ini_count) {
        return false;
    }
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (!base.ini[i].entry->modified || base.ini[i].entry->value != base.ini[i].value) {
            return false;
        }
    }
    return true;
}

static bool is_base_ini(const zend_ini_entry *entry)
{
    for (uint32_t i = 0; i < base.ini_count; i++) {
        if (base.ini[i].entry == entry) {
            return true;
        }
    }
    return false;
}

/* What can only be made tighter (open_basedir) is restored as at the end of a request. */
static void restore_entry(zend_ini_entry *entry)
{
    if (zend_restore_ini_entry(entry->name, ZEND_INI_STAGE_RUNTIME) == FAILURE) {
        zend_restore_ini_entry(entry->name, ZEND_INI_STAGE_DEACTIVATE);
    }
}

/* Restoring takes an entry out of the table that is walked: collect first. */
static void restore_added_ini(void)
{
    HashTable added;
    zend_ini_entry *entry;

    zend_hash_init(&added, 8, NULL, NULL, 0);
    ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry)
    {
        if (!is_base_ini(entry)) {
            zend_hash_next_index_insert_ptr(&added, entry);
        }
    }
    ZEND_HASH_FOREACH_END();
    ZEND_HASH_FOREACH_PTR(&added, entry)
    {
        restore_entry(entry);
    }
    ZEND_HASH_FOREACH_END();
    zend_hash_destroy(&added);
}

static void alter_entry(zend_ini_entry *entry, zend_string *value)
{
    if (zend_alter_ini_entry_ex(entry->name, value, ZEND_INI_SYSTEM, ZEND_INI_STAGE_RUNTIME, true) == FAILURE) {
        zend_restore_ini_entry(entry->name, ZEND_INI_STAGE_DEACTIVATE);
        zend_alter_ini_entry_ex(entry->name, value, ZEND_INI_SYSTEM, ZEND_INI_STAGE_RUNTIME, true);
    }
}

static void restore_ini(void)
{
    if (ini_is_as_remembered()) {
        return;
    }
    if (EG(modified_ini_directives)) {
        restore_added_ini();
    }
    for (uint32_t i = 0; i < base.ini_count; i++) {
        ini_value *kept = &base.ini[i];
        if (!kept->entry->modified || kept->entry->value != kept->value) {
            alter_entry(kept->entry, kept->value ? kept->value : ZSTR_EMPTY_ALLOC());
        }
    }
}

/* A timer that fired too late to be noticed by the job. */
static void restore_timeout(void)
{
    if (zend_atomic_bool_load_ex(&EG(timed_out))) {
        zend_unset_timeout();
    }
}

void mpqueue_hygiene_restore_settings(void)
{
    restore_timeout();
    restore_ini();
    PG(ignore_user_abort) = base.ignore_user_abort;
}
