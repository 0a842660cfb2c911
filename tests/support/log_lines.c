#include "log_lines.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

static unsigned count_lines(const char *path, const char *text)
{
    char line[8192];
    unsigned count = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

unsigned log_lines(const char *directory, const char *text)
{
    char pattern[512];
    glob_t found;
    unsigned count = 0;
    snprintf(pattern, sizeof pattern, "%s/mpqueue-*.log", directory);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        count += count_lines(found.gl_pathv[i], text);
    globfree(&found);
    return count;
}
