#include "shared_dir.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "/" is the parent of itself, "." of a name without a slash. */
static void parent_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(out, size, ".");
    else if (slash == path)
        snprintf(out, size, "/");
    else
        snprintf(out, size, "%.*s", (int)(slash - path), path);
}

int mpq_shared_dir_check(const char *what, const char *path, mpq_error *err)
{
    char parent[PATH_MAX];
    struct stat st, above;
    parent_of(path, parent, sizeof parent);
    if (lstat(path, &st) < 0 || stat(parent, &above) < 0 || !(above.st_mode & S_IWOTH))
        return 0;
    if (st.st_uid == geteuid() || st.st_uid == 0)
        return 0;
    return mpq_error_set(
        err, MPQ_ERROR_CONFIG,
        "the %s %s was made by another user (uid %u, this process has uid %u), and everybody can write "
        "to %s: it is refused for safety; choose a path below a directory of your own",
        what, path, (unsigned)st.st_uid, (unsigned)geteuid(), parent);
}
